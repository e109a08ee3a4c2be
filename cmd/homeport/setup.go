package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"homeport/internal/config"
	"homeport/internal/detect"
	"homeport/policy"
	"homeport/registry"
)

// say picks the sentence in the language of output.
func (e *env) say(zh, en string) string {
	if e.lang == "en" {
		return en
	}
	return zh
}

// catalog is the registry with entries parsed at first use: commands name few of them.
func openCatalog() (*registry.Registry, error) {
	r, err := registry.Load("practice")
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return r, nil
}

// configOptions gives package config what it needs of catalog and rules.
func configOptions(reg *registry.Registry, schema *policy.Schema, getenv func(string) string) config.Options {
	ids := reg.IDs()
	return config.Options{
		Getenv:       getenv,
		KnownCatalog: func(id string) bool { return slices.Contains(ids, id) },
		CatalogIDs:   func() []string { return append(slices.Clone(ids), config.Custom) },
		Routable: func(id string) bool {
			p, ok := reg.Provider(id)
			return ok && p.Target()
		},
		CatalogHosts: func(id string) []string {
			p, ok := reg.Provider(id)
			if !ok {
				return nil
			}
			return p.Hosts
		},
		CheckFact: func(name string, value any) error {
			if err := schema.Check(name, value); err != nil {
				return factError(schema, name, err)
			}
			return nil
		},
		PriceKnown: func(p *config.Provider, model string) bool { return priceKnown(reg, p, model) },
		FileReadable: func(path string) error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			return f.Close()
		},
	}
}

// factError says in both languages what a fact may hold.
func factError(schema *policy.Schema, name string, err error) error {
	f, ok := schema.Fact(name)
	if !ok {
		return &config.FactError{Message: config.Text{Zh: fmt.Sprintf("没有名为 %q 的事实", name), En: err.Error()},
			Hint: config.Text{Zh: "事实的名称见 policy/facts.yaml", En: "facts are named in policy/facts.yaml"}}
	}
	want := map[policy.Type]string{policy.Bool: "应为 true 或 false", policy.Int: "应为不小于 0 的整数", policy.Number: "应为数字", policy.Place: "应为 ISO 3166-1 两位代码",
		policy.Places: "应为 ISO 3166-1 两位代码的列表", policy.Date: "应为日期，如 2026-11-22", policy.Done: "应为 true、false、日期，或 {state, on, until}"}[f.Type]
	if want == "" {
		want = "应为文本"
		if len(f.Values) > 0 {
			want = "应为以下之一：" + strings.Join(f.Values, ", ")
		}
	}
	return &config.FactError{Message: config.Text{Zh: fmt.Sprintf("事实 %s：%s", name, want), En: err.Error()}, Hint: config.Text{Zh: f.Why.ZH, En: f.Why.EN}}
}

// priceKnown reports whether a target's price in CNY is known. A server of one's own has no price per token: that is
// known, and is nought.
func priceKnown(reg *registry.Registry, p *config.Provider, model string) bool {
	if source, ok := p.ModelFacts()["model.source"].Value.(string); ok && (source == registry.SourceSelfHosted || source == registry.SourceOwn) {
		return true
	}
	if p.Catalog == config.Custom || p.ForeignHost {
		return false
	}
	if entry, ok := reg.Provider(p.Catalog); ok && (entry.Kind == registry.KindPractice || (entry.SelfHosted() && !entry.RemoteModel(model))) {
		return true
	}
	m, ok := reg.ModelAt(p.Catalog, p.BaseURL, model)
	if !ok || m.Price == nil || !m.Price.InCNY() {
		return false
	}
	_, ok = m.Price.MicroCNYAtMost(1000, 1000)
	return ok
}

// detectOptions says where to look when no file names providers. A key of the environment counts for entries with an
// address of their own; where one name serves two regions, the mainland entry comes first.
func detectOptions(reg *registry.Registry, getenv func(string) string) detect.Options {
	o := detect.Options{Getenv: getenv, Probes: detect.UsualPorts()}
	if getenv("HOMEPORT_DETECT") == "off" { // for tests and containers that must not touch other ports
		o.Probes = nil
	}
	byEnv := reg.ByEnv()
	names := make([]string, 0, len(byEnv))
	for name := range byEnv {
		if getenv(name) != "" && keyName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var abroad []detect.EnvKey
	for _, name := range names {
		for _, id := range byEnv[name] {
			p, ok := reg.Provider(id)
			if !ok || !p.Target() || p.SelfHosted() || !fixedHost(p) {
				continue
			}
			if mainland(p) {
				o.Keys = append(o.Keys, detect.EnvKey{Name: name, Catalog: id})
			} else {
				abroad = append(abroad, detect.EnvKey{Name: name, Catalog: id})
			}
		}
	}
	o.Keys = append(o.Keys, abroad...)
	return o
}

// unusedKeys names, sorted, the variables of the environment that hold a key of a service Homeport knows by name and never
// sends to: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and the like. Their values are read by nobody.
func unusedKeys(reg *registry.Registry, getenv func(string) string) []string {
	var out []string
	for name, ids := range reg.ByEnv() {
		if !keyName(name) || getenv(name) == "" {
			continue
		}
		used := slices.ContainsFunc(ids, func(id string) bool {
			p, ok := reg.Provider(id)
			return !ok || p.Target()
		})
		if !used {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// keyName tells variables that hold a bearer key from those that hold addresses, ids and halves of a signing pair.
func keyName(name string) bool {
	return strings.HasSuffix(name, "_API_KEY") || strings.HasSuffix(name, "_API_PASSWORD") || strings.HasSuffix(name, "_API_TOKEN")
}

func fixedHost(p *registry.Provider) bool {
	return slices.ContainsFunc(p.Hosts, func(h string) bool { return !strings.ContainsAny(h, "{*") })
}

func mainland(p *registry.Provider) bool {
	return slices.ContainsFunc(p.Endpoints, func(e registry.Endpoint) bool { return e.Mainland != nil && *e.Mainland })
}

// loaded is a configuration with what was said about it. Without a file, Found tells what the environment offers.
type loaded struct {
	cfg      *config.Config
	problems []config.Problem
	found    []detect.Found
	fromFile bool
	detected bool // the environment decided on the providers; found may still be empty
}

// loadConfig reads the configuration named by --config; without --config the default file may be absent, and then the
// environment decides. cfg is nil when the file has errors. look is false for commands that need no providers.
func loadConfig(e *env, reg *registry.Registry, schema *policy.Schema, look bool) (loaded, error) {
	data, err := config.ReadFile(e.configPath)
	var l loaded
	switch {
	case errors.Is(err, fs.ErrNotExist) && !e.configSet:
	case err != nil:
		return l, &exitError{code: exitUsage, err: err, hint: e.say("核对 --config 的路径", "check the path given to --config")}
	default:
		l.fromFile = true
		l.cfg, l.problems = config.Load(e.configPath, data, configOptions(reg, schema, e.getenv))
		if l.cfg == nil || len(l.cfg.Providers) > 0 {
			return l, nil
		}
	}
	if look {
		l.found, l.detected = detect.All(e.ctx, detectOptions(reg, e.getenv)), true
	}
	if l.cfg == nil {
		l.cfg = config.Default(l.found, e.getenv)
	} else {
		l.cfg.UseDetected(l.found, e.getenv)
	}
	return l, nil
}

// needConfig is loadConfig for commands that cannot go on with a bad file: problems go to w, then exit code 2.
func needConfig(e *env, w io.Writer) (*config.Config, error) {
	reg, err := openCatalog()
	if err != nil {
		return nil, err
	}
	engine, err := policy.Load()
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	l, err := loadConfig(e, reg, engine.Schema(), false)
	if err != nil {
		return nil, err
	}
	if l.cfg == nil {
		printProblems(w, l.problems, e.lang, true)
		return nil, &exitError{code: exitUsage, err: errors.New(e.say("配置有误，未作任何更改", "the configuration has errors; nothing was changed"))}
	}
	return l.cfg, nil
}

// printProblems writes one line a problem, and its hint on the next. errorsOnly leaves warnings out.
func printProblems(w io.Writer, problems []config.Problem, lang string, errorsOnly bool) {
	for _, p := range problems {
		if errorsOnly && p.Severity != config.Error {
			continue
		}
		fmt.Fprintln(w, p.In(lang))
		if !p.Hint.IsZero() {
			fmt.Fprintf(w, "  → %s\n", p.Hint.In(lang))
		}
	}
}
