package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"homeport/audit"
	"homeport/internal/appkey"
	"homeport/internal/config"
	"homeport/internal/gateway"
	"homeport/internal/limit"
	"homeport/internal/metrics"
	"homeport/internal/store/sqlite"
	"homeport/internal/upstream"
	"homeport/policy"
	"homeport/registry"
)

// World is what pipelines are built from beside the configuration. It outlives reloads.
type World struct {
	Registry *registry.Registry
	Engine   *policy.Engine
	Store    *sqlite.Store
	Limiter  *limit.Limiter
	Metrics  *metrics.Metrics
	Version  string
	Now      func() time.Time
	// PracticeURL is the base URL of the built-in practice upstream, for providers of that catalog entry without their own.
	PracticeURL string
	// Keys are credentials held in memory only: the key of a start without a file.
	Keys []appkey.Entry
	// AssumedFacts are the facts of a start without a file that nobody declared.
	AssumedFacts []string

	salts sync.Map // id → *gateway.CommitKey
	mu    sync.Mutex
	gates map[gateKey]*upstream.Gate // guarded by mu
}

// Built is a pipeline with what has to be let go when it is replaced.
type Built struct {
	*gateway.Pipeline
	Config *config.Config
	// Targets lists the targets in use so far.
	Targets func() []*gateway.Target
	close   []func()
}

// Close lets idle connections go; calls in flight end undisturbed.
func (b *Built) Close() {
	for _, f := range b.close {
		f()
	}
}

// Build makes an immutable pipeline. It opens no connection. An error names the provider, route or app at fault.
func Build(ctx context.Context, cfg *config.Config, w *World) (*Built, error) {
	b, err := build(ctx, cfg, w)
	if err != nil {
		return nil, err
	}
	return b.built, nil
}

func build(ctx context.Context, cfg *config.Config, w *World) (*builder, error) {
	profile, err := policy.ParseProfile(cfg.Profile)
	if err != nil {
		return nil, err
	}
	b := &builder{cfg: cfg, w: w, profile: profile, built: &Built{Config: cfg}, targets: map[string]*gateway.Target{},
		bases: map[baseKey]*policy.Base{}, providers: map[string]*instance{}}
	p := &gateway.Pipeline{
		Engine: w.Engine, Memory: w.Engine.NewMemory(), Profile: profile, MaxBody: int64(cfg.MaxBody),
		Digests: audit.Digests{Config: cfg.Digest(), Packs: "sha256:" + w.Engine.Digest()},
		Apps:    map[string]*gateway.App{},
	}
	b.built.Pipeline = p
	b.built.Targets = b.known
	p.Salt = func(app, month string) (*gateway.CommitKey, error) { return w.salt(ctx, app, month) }
	if p.Facts, err = factIDs(w.Engine.Schema()); err != nil {
		return nil, err
	}
	for i := range cfg.Providers {
		if err := b.provider(&cfg.Providers[i]); err != nil {
			return nil, fmt.Errorf("provider %s: %w", cfg.Providers[i].ID, err)
		}
	}
	for i := range cfg.Apps {
		app, err := b.app(&cfg.Apps[i])
		if err != nil {
			return nil, fmt.Errorf("app %s: %w", cfg.Apps[i].ID, err)
		}
		p.Apps[app.ID] = app
	}
	for i := range cfg.Routes {
		p.Routes = append(p.Routes, b.route(&cfg.Routes[i]))
	}
	for i := range cfg.Apps {
		app := &cfg.Apps[i]
		p.Apps[app.ID].Models = sync.OnceValue(func() []gateway.ModelName { return b.models(p, app) })
	}
	if p.Keys, err = b.keys(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Limits of every app of a configuration, for the limiter that outlives reloads.
func Limits(cfg *config.Config) map[string]limit.Limits {
	out := make(map[string]limit.Limits, len(cfg.Apps))
	for i := range cfg.Apps {
		l := cfg.Apps[i].Limits
		if l != (config.Limits{}) {
			out[cfg.Apps[i].ID] = limit.Limits{RequestsPerMinute: l.RequestsPerMinute, TokensPerDay: l.TokensPerDay, MicroCNYPerMonth: int64(l.CNYPerMonth)}
		}
	}
	return out
}

type builder struct {
	cfg     *config.Config
	w       *World
	profile policy.Profile
	built   *Built

	providers map[string]*instance

	mu      sync.Mutex // targets and bases also grow while requests are served: models behind a "*"
	targets map[string]*gateway.Target
	bases   map[baseKey]*policy.Base
}

func (b *builder) known() []*gateway.Target {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.targets))
}

type baseKey struct{ app, target string }

func factIDs(s *policy.Schema) (ids gateway.FactIDs, err error) {
	for name, id := range map[string]*policy.ID{"date": &ids.Date, "data.pi_persons_ytd": &ids.Persons,
		"data.sensitive_persons_ytd": &ids.SensitivePersons, "data.important": &ids.Important, "data.core": &ids.Core,
		"data.state_secret": &ids.StateSecret} {
		var ok bool
		if *id, ok = s.ID(name); !ok {
			return ids, fmt.Errorf("the rules' schema lacks the fact %s", name)
		}
	}
	return ids, nil
}

// keys joins configured keys, stored keys and keys held in memory into one snapshot.
func (b *builder) keys(ctx context.Context) (*appkey.Set, error) {
	entries := slices.Clone(b.w.Keys)
	for i := range b.cfg.Apps {
		for _, k := range b.cfg.Apps[i].Keys {
			entries = append(entries, appkey.Entry{Hash: k.Hash, App: b.cfg.Apps[i].ID})
		}
	}
	if b.w.Store != nil {
		stored, err := b.w.Store.Entries(ctx)
		if err != nil {
			return nil, fmt.Errorf("read application keys: %w", err)
		}
		entries = append(entries, stored...)
	}
	return appkey.NewSet(entries...)
}

// salt finds or makes the key of an app's commitments in a month.
func (w *World) salt(ctx context.Context, app, month string) (*gateway.CommitKey, error) {
	id := "app/" + app + "/" + month
	if k, ok := w.salts.Load(id); ok {
		return k.(*gateway.CommitKey), nil
	}
	secret, err := w.Store.Salt(ctx, id, w.Now())
	if err != nil {
		return nil, err
	}
	made, err := gateway.NewCommitKey(id, secret)
	if err != nil {
		return nil, err
	}
	k, _ := w.salts.LoadOrStore(id, made)
	return k.(*gateway.CommitKey), nil
}

// app settles what was declared for one application.
func (b *builder) app(c *config.App) (*gateway.App, error) {
	a := &gateway.App{ID: c.ID}
	if c.Limits != (config.Limits{}) {
		a.Limiter = b.w.Limiter
	}
	if b.w.Metrics != nil {
		a.Meters = b.w.Metrics.App(c.ID)
	}
	for name, f := range b.cfg.DeclaredFacts(c) {
		if f.Unknown {
			continue
		}
		switch v := f.Value.(type) {
		case bool:
			switch name {
			case "data.important":
				a.Important = &v
			case "data.core":
				a.Core = &v
			case "data.state_secret":
				a.StateSecret = &v
			}
		case int64:
			switch name {
			case "data.pi_persons_ytd":
				a.Persons, a.PersonsDeclared = v, true
			case "data.sensitive_persons_ytd":
				a.Sensitive, a.SensitiveDeclared = v, true
			}
		}
	}
	facts, err := b.appFacts(c)
	if err != nil {
		return nil, err
	}
	a.FactsJSON = facts.AppendSetJSON(nil)
	return a, nil
}

// measured are the facts that each request sets itself; they are not part of an app's encoded facts.
var measured = []string{"date", "data.pi_persons_ytd", "data.sensitive_persons_ytd", "data.important", "data.core", "data.state_secret"}

// appFacts are the facts declared for an app and its operator, on top of what is assumed.
func (b *builder) appFacts(c *config.App) (*policy.Facts, error) {
	f := b.w.Engine.Schema().New()
	for name, fact := range b.cfg.DeclaredFacts(c) {
		if slices.Contains(measured, name) {
			continue
		}
		from := policy.Declared
		if slices.Contains(b.w.AssumedFacts, name) {
			from = policy.Assumed
		}
		if err := setFact(f, name, fact, from); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func setFact(f *policy.Facts, name string, fact config.Fact, from policy.Provenance) error {
	if fact.Unknown {
		return f.SetName(name, nil, from)
	}
	return f.SetName(name, fact.Value, from)
}

// base is the frozen vector of facts of one app at one target.
func (b *builder) base(app *config.App, t *gateway.Target, in *instance) (*policy.Base, error) {
	key := baseKey{app.ID, t.ID}
	if base, ok := b.bases[key]; ok {
		return base, nil
	}
	f, err := b.appFacts(app)
	if err != nil {
		return nil, err
	}
	if err := in.facts(f, t); err != nil {
		return nil, err
	}
	base := f.Freeze()
	if len(b.bases) < maxTargets {
		b.bases[key] = base
	}
	return base, nil
}
