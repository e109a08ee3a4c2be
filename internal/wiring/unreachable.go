package wiring

import (
	"context"
	"slices"
	"time"

	"homeport/internal/config"
	"homeport/policy"
	"homeport/registry"
)

// Unreachable is a target that a route offers to an app in vain: the rules permit it for no request of this app, not even
// for one that carries nothing.
type Unreachable struct {
	App     string
	Route   int         // index in the configuration
	To      int         // index in the route's targets
	Target  string      // as written, "provider/model"; the model may be "*"
	Verdict string      // the mildest that was met: needs_approval or block
	Rules   []string    // those that each, by itself, keep it from being permitted
	Do      policy.Text // what the strictest of them says to do
	Needs   []string    // facts that are unknown and whose declaration alone may change the verdict
	// All is set on the last target of a route that has none for this app: every request on it is refused.
	All bool
}

// Unreachables judges each app at each target of each of its routes as the gateway would today. It builds what a start
// would build, opens no connection and changes nothing; an error says why a start would fail. Of a target whose model is
// "*" the models behind the names known to be asked for are judged, and it is listed when none of them is permitted.
func Unreachables(cfg *config.Config, reg *registry.Registry, engine *policy.Engine, now time.Time) ([]Unreachable, error) {
	const nowhere = "http://127.0.0.1:1/v1" // practice has no address before a start
	w := &World{Registry: reg, Engine: engine, Now: func() time.Time { return now }, PracticeURL: nowhere}
	b, err := build(context.Background(), cfg, w)
	if err != nil {
		return nil, err
	}
	defer b.built.Close()
	var out []Unreachable
	for i := range cfg.Routes {
		for j := range cfg.Apps {
			app, r := &cfg.Apps[j], &cfg.Routes[i]
			// An earlier pattern that takes this one as a name, star and all, takes all its names.
			if r.Matches(app.ID, r.Model) && !taken(cfg.Routes[:i], app.ID, r.Model) {
				out = append(out, b.unreachable(i, app, now)...)
			}
		}
	}
	return out, nil
}

// taken reports whether one of the routes takes a name for an app.
func taken(routes []config.Route, app, name string) bool {
	return slices.ContainsFunc(routes, func(r config.Route) bool { return r.Matches(app, name) })
}

func (b *builder) unreachable(route int, app *config.App, now time.Time) []Unreachable {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.cfg.Routes[route]
	var out []Unreachable
	for k, to := range r.To {
		asked := []string{""}
		if to.Model == "*" {
			asked = b.names(r)
		}
		u := Unreachable{App: app.ID, Route: route, To: k, Target: to.Provider + "/" + to.Model}
		var mildest policy.Verdict
		permitted, judged := false, false
		for _, name := range asked {
			if name != "" && (!r.Matches(app.ID, name) || taken(b.cfg.Routes[:route], app.ID, name)) {
				continue
			}
			choice, ok := b.choice(to, app, name)
			if !ok {
				continue
			}
			d := b.built.Bare(b.built.Apps[app.ID], choice, now)
			if permitted = d.Verdict.Permitted(); permitted {
				break
			}
			if !judged || d.Verdict < mildest {
				mildest = d.Verdict
				u.refused(d)
			}
			judged = true
		}
		if judged && !permitted {
			u.Verdict = mildest.String()
			out = append(out, u)
		}
	}
	if n := len(out); n == len(r.To) && n > 0 {
		out[n-1].All = true
	}
	return out
}

// refused takes from a decision what keeps it from being permitted.
func (u *Unreachable) refused(d *policy.Decision) {
	u.Rules, u.Needs, u.Do = nil, nil, policy.Text{}
	var strictest policy.Verdict
	settled := false // a rule refuses whatever else is declared
	for i := range d.Rules {
		f := &d.Rules[i]
		if f.Verdict.Permitted() {
			continue
		}
		if !slices.Contains(u.Rules, f.Rule) {
			u.Rules = append(u.Rules, f.Rule)
		}
		if f.Verdict > strictest {
			strictest, u.Do = f.Verdict, f.Do
		}
		settled = settled || !f.Unknown
		for _, name := range f.Needs {
			if !slices.Contains(u.Needs, name) {
				u.Needs = append(u.Needs, name)
			}
		}
	}
	if settled {
		u.Needs = nil
	}
}
