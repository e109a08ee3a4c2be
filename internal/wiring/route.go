package wiring

import (
	"slices"
	"strings"
	"sync"

	"homeport/internal/config"
	"homeport/internal/gateway"
)

// route prepares one route. Its choices for an app and a model name are worked out once and kept, within a bound.
func (b *builder) route(c *config.Route) gateway.Route {
	r := gateway.Route{Pattern: c.Model, Matches: c.Matches}
	var mu sync.RWMutex
	type key struct{ app, model string }
	kept := map[key][]gateway.Choice{}
	dynamic := slices.ContainsFunc(c.To, func(t config.Target) bool { return t.Model == "*" })
	r.To = func(app *gateway.App, model string) []gateway.Choice {
		k := key{app: app.ID}
		if dynamic {
			k.model = model
		}
		mu.RLock()
		choices, ok := kept[k]
		mu.RUnlock()
		if ok {
			return choices
		}
		choices = b.choices(c, app.ID, model)
		mu.Lock()
		defer mu.Unlock()
		if len(kept) < maxTargets {
			kept[k] = choices
		}
		return choices
	}
	return r
}

func (b *builder) choices(c *config.Route, appID, model string) []gateway.Choice {
	app, ok := b.cfg.App(appID)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []gateway.Choice
	for _, to := range c.To {
		if choice, ok := b.choice(to, app, model); ok {
			out = append(out, choice)
		}
	}
	return out
}

// choice is one target of a route for an app that asks for a model; false where there is none. The caller holds mu.
func (b *builder) choice(to config.Target, app *config.App, model string) (gateway.Choice, bool) {
	in := b.providers[to.Provider]
	name := to.Model
	if name == "*" {
		name = in.resolve(model)
	}
	if name == "" {
		return gateway.Choice{}, false
	}
	t, err := b.target(in, name)
	if err != nil {
		return gateway.Choice{}, false // facts were checked when the configuration was; a name that builds no target is no choice
	}
	base, err := b.base(app, t, in)
	if err != nil {
		return gateway.Choice{}, false
	}
	return gateway.Choice{Target: t, Tier: to.Tier, Weight: to.Weight, Base: base}, true
}

// openAINames are names that applications ask for; a route with a pattern shows those it takes.
var openAINames = []string{"gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini",
	"gpt-5-nano", "o1", "o3", "o3-mini", "o4-mini", "text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large"}

// models lists what an app may ask for: names of its routes, and for patterns the well-known names and the providers' own
// that they take. A name is listed when at least one of its targets is permitted for a request with nothing in it.
func (b *builder) models(p *gateway.Pipeline, c *config.App) []gateway.ModelName {
	app := p.Apps[c.ID]
	var out []gateway.ModelName
	seen := map[string]bool{}
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for i := range p.Routes {
			rt := &p.Routes[i]
			if !rt.Matches(c.ID, name) {
				continue
			}
			choices := rt.To(app, name)
			if len(choices) > 0 && p.AnyPermitted(app, choices, b.w.Now()) {
				out = append(out, gateway.ModelName{ID: name, OwnedBy: choices[0].System})
			}
			return
		}
	}
	for i := range b.cfg.Routes {
		r := &b.cfg.Routes[i]
		for _, name := range b.names(r) {
			if name == r.Model || r.Matches(c.ID, name) {
				add(name)
			}
		}
	}
	return out
}

// names are the model names known to be asked for by a route: its own, or, for a pattern, the well-known names and the
// providers' own, whether the pattern takes them or not.
func (b *builder) names(r *config.Route) []string {
	if !strings.Contains(r.Model, "*") {
		return []string{r.Model}
	}
	names := slices.Clone(openAINames)
	for _, to := range r.To {
		if to.Model != "*" {
			names = append(names, to.Model)
			continue
		}
		in := b.providers[to.Provider]
		names = append(names, in.cfg.Models...)
		if len(in.cfg.Models) == 0 && in.cfg.Catalog == "practice" {
			names = append(names, "practice")
		}
		for _, m := range b.w.Registry.ModelsOf(in.cfg.Catalog) {
			names = append(names, m.ID)
		}
	}
	return names
}
