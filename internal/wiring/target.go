package wiring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"homeport/internal/config"
	"homeport/internal/gateway"
	"homeport/internal/guard"
	"homeport/internal/practice"
	"homeport/internal/provider"
	"homeport/internal/upstream"
	"homeport/policy"
	"homeport/registry"
)

// instance is one configured provider: its client, its dialect, and what is known of it in law.
type instance struct {
	cfg      *config.Provider
	operator string // place of the operator, for servers on its own loopback
	reg      *registry.Registry
	wire     *provider.Wire
	client   *upstream.Client
	base     string
}

func (b *builder) provider(c *config.Provider) error {
	wire, err := provider.Load(c.Catalog)
	if err != nil {
		return err
	}
	in := &instance{cfg: c, reg: b.w.Registry, wire: wire, operator: "CN"}
	if f, ok := b.cfg.Operator.Facts["operator.place"]; ok {
		in.operator, _ = f.Value.(string)
	}
	if in.base, err = b.baseURL(c, wire); err != nil {
		return err
	}
	network := guard.Public
	if c.Network == "private" {
		network = guard.Private
	}
	auth, closeAuth, err := auth(c, wire, network, b.w.Version)
	if err != nil {
		return err
	}
	in.client, err = upstream.New(upstream.Config{
		BaseURL: in.base, Network: network, Auth: auth, Proxy: c.Proxy, HTTP2: c.HTTP2, Version: b.w.Version,
		Timeouts: upstream.Timeouts{Connect: c.Timeouts.Connect, FirstByte: c.Timeouts.FirstByte, Idle: c.Timeouts.Idle, Total: c.Timeouts.Total},
	})
	if err != nil {
		return err
	}
	b.built.close = append(b.built.close, in.client.Close)
	if closeAuth != nil {
		b.built.close = append(b.built.close, closeAuth)
	}
	b.providers[c.ID] = in
	return nil
}

// baseURL is the configured address, or the catalog's own. Azure's paths begin at the root of the resource.
func (b *builder) baseURL(c *config.Provider, wire *provider.Wire) (string, error) {
	base := c.BaseURL
	if base == "" && c.Catalog == "practice" {
		base = b.w.PracticeURL
	}
	if base == "" {
		base = wire.BaseURL
	}
	if base == "" || strings.ContainsAny(base, "{}") {
		return "", fmt.Errorf("base_url is needed for catalog entry %s", c.Catalog)
	}
	if wire.Dialect == provider.DialectAzure {
		base = strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/openai/v1")
		base = strings.TrimSuffix(base, "/openai")
	}
	return base, nil
}

// ErrKeyNeeded says that a provider has no key and its service wants one.
var ErrKeyNeeded = errors.New("key is needed")

func auth(c *config.Provider, wire *provider.Wire, network guard.Network, version string) (upstream.Auth, func(), error) {
	if c.Entra != nil {
		e, err := upstream.NewEntra(upstream.EntraConfig{Tenant: c.Entra.Tenant, ClientID: c.Entra.ClientID,
			ClientSecret: upstream.NewSecret(c.Entra.ClientSecret.Reveal()), Authority: c.Entra.Authority, Scope: c.Entra.Scope,
			Network: network, Proxy: c.Proxy, Version: version})
		if err != nil {
			return upstream.Auth{}, nil, fmt.Errorf("entra: %w", err)
		}
		return upstream.Auth{Scheme: upstream.AuthBearer, Source: e}, e.Close, nil
	}
	key := upstream.NewSecret(c.Key.Reveal())
	switch {
	case wire.Auth.Scheme == "none", key.Empty() && wire.Auth.Optional:
		return upstream.Auth{Scheme: upstream.AuthNone}, nil, nil
	case key.Empty():
		return upstream.Auth{}, nil, fmt.Errorf("%w for catalog entry %s", ErrKeyNeeded, c.Catalog)
	case wire.Auth.Scheme == "api_key":
		return upstream.Auth{Scheme: upstream.AuthHeader, Name: wire.Auth.Header, Key: key}, nil, nil
	}
	return upstream.Auth{Scheme: upstream.AuthBearer, Key: key}, nil, nil
}

// maxTargets bounds the targets that names behind a "*" may make; beyond it they are built anew for each request.
const maxTargets = 4096

// target returns the target for a model of a provider. The caller holds mu.
func (b *builder) target(in *instance, model string) (*gateway.Target, error) {
	id := in.cfg.ID + "/" + model
	if t, ok := b.targets[id]; ok {
		return t, nil
	}
	known, _ := b.w.Registry.Target(in.cfg.Catalog, in.base, model, in.operator)
	facts := in.cfg.ModelFacts()
	t := &gateway.Target{ID: id, Wire: in.wire, Client: in.client, Retries: in.cfg.RetryCount(), Practice: in.cfg.Catalog == "practice"}
	t.Call = provider.Target{Model: model, APIVersion: in.cfg.APIVersion, JSONSchema: in.cfg.JSONSchema, ToolChoice: in.cfg.ToolChoice}
	if in.cfg.APIVersion != "" {
		t.Call.AzureStyle = "deployments"
	}
	if d, ok := in.cfg.Deployments[model]; ok {
		t.Call.Model, t.Call.BaseModel = d, model
	}
	t.Call.Rules = in.wire.For(or(t.Call.BaseModel, model))
	if key := in.cfg.Key.Reveal(); key != "" {
		t.Conceal = strings.NewReplacer(key, "[…]")
	}
	gate := upstream.GateConfig{Concurrency: in.cfg.Concurrency, Wait: time.Second}
	if !in.cfg.Breaker.Off {
		gate.Breaker = &upstream.BreakerConfig{Failures: in.cfg.Breaker.Failures, Cooldown: in.cfg.Breaker.Cooldown}
	}
	var err error
	if t.Gate, err = b.w.gate(in.cfg.ID, model, gate); err != nil {
		return nil, err
	}
	if known.Matched {
		t.Place = known.Places
		if known.FilingKnown {
			t.Filing = known.Filing.Number
		}
	}
	if f, ok := facts["model.place"]; ok {
		t.Place, _ = f.Value.([]string)
	}
	if f, ok := facts["model.filing_no"]; ok {
		t.Filing, _ = f.Value.(string)
	}
	if f, ok := facts["model.filed"]; ok && f.Value != true {
		t.Filing = ""
	}
	t.System = system(in.cfg.Catalog)
	t.Cost = in.cost(model)
	if b.w.Metrics != nil {
		label := model
		if !b.listed(in, model) {
			label = "*" // a name that only a client chose is no label: their number has no bound
		}
		t.Meters = b.w.Metrics.Target(in.cfg.ID+"/"+label, t.System, label)
	}
	own := b.w.Engine.Schema().New()
	if err := in.facts(own, t); err != nil {
		return nil, err
	}
	t.FactsJSON = own.AppendSetJSON(nil)
	if len(b.targets) < maxTargets {
		b.targets[id] = t
	}
	return t, nil
}

// listed reports whether the configuration or the catalog names this model.
func (b *builder) listed(in *instance, model string) bool {
	if in.cfg.Catalog != config.Custom || slices.Contains(in.cfg.Models, model) {
		return true
	}
	for _, r := range b.cfg.Routes {
		if slices.ContainsFunc(r.To, func(t config.Target) bool { return t.Provider == in.cfg.ID && t.Model == model }) {
			return true
		}
	}
	return false
}

// gate returns the gate of a target: the same over reloads while its settings are, so that a change of keys neither closes a
// breaker nor lets a target carry twice what it may. Names beyond the bound share their provider's one.
func (w *World) gate(provider, model string, c upstream.GateConfig) (*upstream.Gate, error) {
	breaker := upstream.BreakerConfig{}
	if c.Breaker != nil {
		breaker = *c.Breaker
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gates == nil {
		w.gates = map[gateKey]*upstream.Gate{}
	}
	key := gateKey{provider + "/" + model, c.Concurrency, breaker}
	if _, ok := w.gates[key]; !ok && len(w.gates) >= maxTargets {
		key.target = provider + "/*"
	}
	if g, ok := w.gates[key]; ok {
		return g, nil
	}
	g, err := upstream.NewGate(c)
	if err != nil {
		return nil, err
	}
	w.gates[key] = g
	return g, nil
}

type gateKey struct {
	target      string
	concurrency int
	breaker     upstream.BreakerConfig
}

// facts sets what is known of the target: the catalog's facts where the address is one of its entry's, and what the
// operator declares, which wins. What neither says stays unknown.
func (in *instance) facts(f *policy.Facts, t *gateway.Target) error {
	model := or(t.Call.BaseModel, t.Call.Model)
	known, _ := in.reg.Target(in.cfg.Catalog, in.base, model, in.operator)
	set := func(name string, v any) error { return f.SetName(name, v, policy.Declared) }
	if err := set("model.provider", in.cfg.Catalog); err != nil {
		return err
	}
	if known.Matched {
		if known.Source != "" {
			if err := set("model.source", known.Source); err != nil {
				return err
			}
		}
		if len(known.Places) > 0 {
			if err := set("model.place", known.Places); err != nil {
				return err
			}
		}
		if known.FilingKnown {
			if err := set("model.filed", true); err != nil {
				return err
			}
			if err := set("model.filing_no", known.Filing.Number); err != nil {
				return err
			}
		}
	}
	declared := in.cfg.ModelFacts()
	source, _ := declared["model.source"].Value.(string)
	if source == "" {
		source = known.Source
	}
	if family := in.reg.FamilyOf(model); family != "" && source == registry.SourceSelfHosted {
		if err := set("model.family", family); err != nil {
			return err
		}
	}
	if in.cfg.Catalog == "practice" && known.Matched {
		if err := set("model.filed", false); err != nil {
			return err
		}
	}
	for name, fact := range declared {
		if err := setFact(f, name, fact, policy.Declared); err != nil {
			return err
		}
	}
	return nil
}

// cost gives the price of a call in micro-CNY. A server of one's own has no price per token, which is known and nought; a
// price that is not in the data is unknown, never nought.
func (in *instance) cost(model string) func(time.Time, int64, int64, int64) (int64, bool) {
	source, _ := in.cfg.ModelFacts()["model.source"].Value.(string)
	own := source == registry.SourceSelfHosted || source == registry.SourceOwn
	if p, ok := in.reg.Provider(in.cfg.Catalog); ok && !own && !in.cfg.ForeignHost {
		own = p.Kind == registry.KindPractice || p.SelfHosted() && !p.RemoteModel(model)
	}
	if own {
		return func(time.Time, int64, int64, int64) (int64, bool) { return 0, true }
	}
	if in.cfg.Catalog == config.Custom || in.cfg.ForeignHost {
		return nil
	}
	m, ok := in.reg.ModelAt(in.cfg.Catalog, in.base, model)
	if !ok || m.Price == nil || !m.Price.InCNY() {
		return nil
	}
	return func(now time.Time, prompt, completion, cached int64) (int64, bool) {
		p := m.Price.At(now)
		if micro, ok := p.MicroCNY(prompt, completion, cached); ok {
			return micro, true
		}
		return p.MicroCNYAtMost(prompt, completion)
	}
}

// system is the provider's gen_ai.provider.name; entries without a reserved value use their own id.
func system(catalog string) string {
	switch catalog {
	case "azure-openai":
		return "azure.ai.openai"
	case "moonshot-cn", "moonshot-intl":
		return "moonshot_ai"
	case "gemini":
		return "gcp.gemini"
	}
	return catalog
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// resolve names the provider's model for what was asked for, behind a route's "*": the catalog's counterpart of an OpenAI
// name, the name itself where the provider has it, or what a local server serves. "" is none.
func (in *instance) resolve(asked string) string {
	switch {
	case in.cfg.Catalog == "practice":
		return practice.Model
	case in.cfg.Catalog == config.Custom && len(in.cfg.Models) == 0:
		return asked
	}
	if len(in.cfg.Models) > 0 {
		if slices.Contains(in.cfg.Models, asked) {
			return asked
		}
		embedding := strings.Contains(asked, "embedding")
		for _, m := range in.cfg.Models {
			if strings.Contains(strings.ToLower(m), "embed") == embedding {
				return m
			}
		}
		return ""
	}
	if m := in.reg.MapFromOpenAI(asked, in.cfg.Catalog); len(m) > 0 {
		return m[0]
	}
	if _, ok := in.reg.ModelAt(in.cfg.Catalog, in.base, asked); ok {
		return asked
	}
	return ""
}
