package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"homeport/internal/appkey"
	"homeport/internal/config"
	"homeport/internal/detect"
)

// example is the configuration DESIGN 5.4 shows, less mask: true, whose function is not in this version.
const example = `operator: {name: 示例科技, place: CN, cii: false, sector: general}   # facts of the legal person
profile: strict                                # or counsel
listen: 127.0.0.1:8787
admin: {listen: 127.0.0.1:8788}
data: ./homeport-data                          # evidence log, SQLite, keys
store: sqlite                                  # or postgres://… for several nodes
providers:
  - {id: qwen, catalog: dashscope, key: "${DASHSCOPE_API_KEY}"}
  - {id: azure, catalog: azure-openai, base_url: https://acme.openai.azure.com, key: "${AZURE_OPENAI_API_KEY}",
     place: [SE], deployments: {gpt-4o: prod-4o}}
  - id: lab                                    # anything OpenAI-compatible, with declared facts
    catalog: custom
    base_url: http://127.0.0.1:9001/v1
    key: "${LAB_KEY}"
    facts: {source: open_weights_self_hosted, place: [CN], filed: false}
routes:                                        # what an app asks for → where it may go, in order
  - {model: "gpt-4*", to: [qwen/qwen3.7-plus, lab/qwen3-8b]}
  - {model: "text-embedding-*", to: [qwen/text-embedding-v4]}
apps:
  - id: support-bot
    keys: ["${SUPPORT_BOT_KEY}"]                 # or made with homeport key create support-bot
    service: {audience: public_cn, opinion: true, outputs: [text]}
    done: {registration: true, algo_filing: true}
    limits: {requests_per_minute: 600, tokens_per_day: 5_000_000, cny_per_month: 3000}
`

var exampleEnv = map[string]string{"DASHSCOPE_API_KEY": "canary-dashscope", "AZURE_OPENAI_API_KEY": "canary-azure",
	"LAB_KEY": "canary-lab", "SUPPORT_BOT_KEY": "canary-support-bot-0123456789"}

var catalogHosts = map[string][]string{"dashscope": {"dashscope.aliyuncs.com"}, "azure-openai": {"{resource}.openai.azure.com", "{resource}.services.ai.azure.com"},
	"deepseek": {"api.deepseek.com"}, "azure-china-21vianet": {"{resource}.openai.azure.cn"}, "practice": {"loopback"}, "ollama": {"loopback"}, "openai": {"api.openai.com"}}

var factNames = []string{"operator.place", "operator.cii", "operator.sector", "model.source", "model.place", "model.filed", "model.filing_no", "service.audience",
	"service.opinion", "service.outputs", "done.registration", "done.algo_filing", "data.origin", "route.proxy", "logs.place", "readers_abroad"}

func options(env map[string]string) config.Options {
	return config.Options{
		Getenv:       func(k string) string { return env[k] },
		KnownCatalog: func(id string) bool { _, ok := catalogHosts[id]; return ok },
		CatalogIDs: func() []string {
			return []string{"dashscope", "azure-openai", "deepseek", "custom", "practice", "ollama"}
		},
		Routable:     func(id string) bool { return id != "openai" },
		CatalogHosts: func(id string) []string { return catalogHosts[id] },
		CheckFact: func(name string, v any) error {
			for _, n := range factNames {
				if n == name {
					if text, ok := v.(string); ok && name == "operator.place" && len(text) != 2 {
						return fmt.Errorf("fact %s: want two letters", name)
					}
					if _, isBool := v.(bool); (name == "model.filed" || name == "readers_abroad") && v != nil && !isBool {
						return fmt.Errorf("fact %s: want true or false", name)
					}
					return nil
				}
			}
			return fmt.Errorf("no fact %q", name)
		},
		PriceKnown: func(p *config.Provider, model string) bool { return p.Catalog == "dashscope" || p.ID == "lab" },
	}
}

func mustLoad(t *testing.T, text string, env map[string]string) *config.Config {
	t.Helper()
	cfg, problems := config.Load("homeport.yaml", []byte(text), options(env))
	if cfg == nil {
		t.Fatalf("does not load: %v", lines(problems))
	}
	return cfg
}

func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "\n%s | %s", p.In("en"), p.Hint.In("en"))
	}
	return b.String()
}

func TestDesignExample(t *testing.T) {
	cfg, problems := config.Load("conf/homeport.yaml", []byte(example), options(exampleEnv))
	if cfg == nil || len(problems) != 0 {
		t.Fatalf("problems: %v", lines(problems))
	}
	if cfg.Operator.Name != "示例科技" || cfg.Operator.Facts["operator.place"].Value != "CN" || cfg.Operator.Facts["operator.cii"].Value != false {
		t.Errorf("operator: %v", cfg.Operator)
	}
	if cfg.Profile != "strict" || cfg.Listen != "127.0.0.1:8787" || cfg.Admin.Listen != "127.0.0.1:8788" || cfg.MaxBody != 16<<20 {
		t.Error("top level values are not those of the file and the defaults")
	}
	if cfg.Data != filepath.Join("conf", "homeport-data") {
		t.Errorf("data %q does not start at the file's folder", cfg.Data)
	}
	if p := cfg.Providers[0]; p.Key.Reveal() != "canary-dashscope" || p.ForeignHost || p.RetryCount() != 2 || p.Timeouts.FirstByte != 2*time.Minute || p.Network != "public" || p.Breaker.Failures != 5 {
		t.Errorf("provider qwen: %+v", p)
	}
	azure, _ := cfg.Provider("azure")
	if azure.Deployments["gpt-4o"] != "prod-4o" || !reflect.DeepEqual(azure.ModelFacts()["model.place"].Value, []string{"SE"}) || azure.ForeignHost {
		t.Errorf("provider azure: %+v", azure)
	}
	lab, _ := cfg.Provider("lab")
	if f := lab.ModelFacts(); f["model.source"].Value != "open_weights_self_hosted" || f["model.filed"].Value != false || !reflect.DeepEqual(f["model.place"].Value, []string{"CN"}) {
		t.Errorf("provider lab: %v", f)
	}
	if !lab.ForeignHost {
		t.Error("lab: a custom entry has no hosts of its own")
	}
	if got := cfg.Routes[0].To; len(got) != 2 || got[0].String() != "qwen/qwen3.7-plus" || got[0].Tier != 1 || got[1].Tier != 2 {
		t.Errorf("route: %v", got)
	}
	app, _ := cfg.App("support-bot")
	if app.Limits.RequestsPerMinute != 600 || app.Limits.TokensPerDay != 5_000_000 || app.Limits.CNYPerMonth != 3000_000_000 {
		t.Errorf("limits: %+v", app.Limits)
	}
	if app.Keys[0].Hash != appkey.HashOf("canary-support-bot-0123456789") {
		t.Error("key: not the hash of the credential")
	}
	declared := cfg.DeclaredFacts(app)
	if declared["service.audience"].Value != "public_cn" || declared["done.registration"].Value != true || declared["operator.sector"].Value != "general" ||
		!reflect.DeepEqual(declared["service.outputs"].Value, []string{"text"}) {
		t.Errorf("declared facts: %v", declared)
	}
	if dump := fmt.Sprintf("%v %+v %#v", cfg, cfg.Providers, cfg.Providers); strings.Contains(dump, "canary") {
		t.Error("a secret shows when the configuration is printed")
	}
}

func TestRouteMatching(t *testing.T) {
	r := config.Route{Model: "gpt-4*", Apps: []string{"a"}}
	for _, c := range []struct {
		app, model string
		want       bool
	}{{"a", "gpt-4", true}, {"a", "gpt-4o-mini", true}, {"b", "gpt-4", false}, {"a", "gpt-3.5", false}, {"a", "xgpt-4", false}} {
		if r.Matches(c.app, c.model) != c.want {
			t.Errorf("%v: want %v", c, c.want)
		}
	}
	for pattern, models := range map[string][2]string{"*": {"anything/at:all", ""}, "a*c": {"abbc", "abcd"}, "*-mini": {"gpt-4o-mini", "gpt-4o-mini-x"}, "a*b*c": {"a1b2b3c", "acb"}} {
		r := config.Route{Model: pattern}
		if !r.Matches("x", models[0]) || (models[1] != "" && r.Matches("x", models[1])) {
			t.Errorf("pattern %q", pattern)
		}
	}
}

func TestTiersAndWeights(t *testing.T) {
	for name, c := range map[string]struct{ to, want string }{
		"strings are tiers":         {"[qwen/a, lab/b]", "qwen/a:1:1 lab/b:2:1"},
		"weights share":             {"[{target: qwen/a, weight: 3}, {target: lab/b, weight: 1}, azure/c]", "qwen/a:1:3 lab/b:1:1 azure/c:2:1"},
		"explicit tiers are sorted": {"[{target: qwen/a, tier: 2}, {target: lab/b, tier: 1, weight: 5}]", "lab/b:1:5 qwen/a:2:1"},
		"model with slashes":        {"[lab/Qwen/Qwen3-8B]", "lab/Qwen/Qwen3-8B:1:1"},
		"model asked for":           {"[qwen/*]", "qwen/*:1:1"},
	} {
		text := strings.Replace(example, "[qwen/qwen3.7-plus, lab/qwen3-8b]", c.to, 1)
		text = strings.Replace(text, ", cny_per_month: 3000", "", 1)
		var got []string
		for _, x := range mustLoad(t, text, exampleEnv).Routes[0].To {
			got = append(got, fmt.Sprintf("%s:%d:%d", x, x.Tier, x.Weight))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

func TestDigest(t *testing.T) {
	base := mustLoad(t, example, exampleEnv).Digest()
	if !strings.HasPrefix(base, "sha256:") || len(base) != 71 {
		t.Fatalf("form of the digest: %s", base)
	}
	env := map[string]string{}
	for k, v := range exampleEnv {
		env[k] = v + "-other-value"
	}
	same := map[string]string{
		"comment":      "# a comment\n" + example,
		"default said": strings.Replace(example, "profile: strict", "profile: strict\nmax_body: 16MiB", 1),
		"key order":    strings.Replace(example, "place: CN, cii: false", "cii: false, place: CN", 1),
	}
	for name, text := range same {
		if mustLoad(t, text, exampleEnv).Digest() != base {
			t.Errorf("%s: the digest changes", name)
		}
	}
	if mustLoad(t, example, env).Digest() != base {
		t.Error("other secrets: the digest changes")
	}
	for name, pair := range map[string][2]string{
		"profile": {"profile: strict", "profile: counsel"}, "fact": {"opinion: true", "opinion: false"}, "fact to unknown": {"opinion: true", "opinion: null"},
		"target": {"qwen/qwen3.7-plus", "qwen/qwen3.7-max"}, "limit": {"600", "601"}, "place": {"[SE]", "[DE]"}, "breaker": {"catalog: dashscope", "catalog: dashscope, breaker: false"},
	} {
		if mustLoad(t, strings.Replace(example, pair[0], pair[1], 1), exampleEnv).Digest() == base {
			t.Errorf("%s: the digest stays", name)
		}
	}
}

func TestDefaultWithoutAFile(t *testing.T) {
	cfg := config.Default(nil, nil)
	if len(cfg.Providers) != 1 || cfg.Providers[0].Catalog != "practice" || cfg.Routes[0].To[0].String() != "practice/*" {
		t.Errorf("nothing found: %+v %+v", cfg.Providers, cfg.Routes)
	}
	if !config.IsLoopback(cfg.Listen) || !config.IsLoopback(cfg.Admin.Listen) || cfg.Profile != "strict" {
		t.Error("listeners must be loopback, profile strict")
	}
	app, ok := cfg.App("default")
	if !ok || len(app.Keys) != 0 {
		t.Fatal("one app, default, without a key")
	}
	facts := cfg.DeclaredFacts(app)
	for _, name := range config.AssumedByDefault() {
		if _, ok := facts[name]; !ok {
			t.Errorf("assumed fact %s is not set", name)
		}
	}
	found := []detect.Found{{Catalog: "dashscope", Env: "DASHSCOPE_API_KEY"}, {Catalog: "ollama", BaseURL: "http://127.0.0.1:11434/v1", Models: []string{"qwen3:8b"}}}
	cfg = config.Default(found, func(k string) string { return exampleEnv[k] })
	if len(cfg.Providers) != 2 || cfg.Providers[0].Key.Reveal() != "canary-dashscope" || cfg.Providers[1].Models[0] != "qwen3:8b" || len(cfg.Routes[0].To) != 2 {
		t.Errorf("found two: %+v", cfg.Providers)
	}
	if cfg.Digest() == config.Default(nil, nil).Digest() {
		t.Error("the digest does not tell what was found")
	}
}

func TestEmptyFile(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "comment": "# nothing\n", "marker": "---\n", "bom": "\ufeffprofile: strict\n"} {
		if cfg := mustLoad(t, text, nil); cfg.Profile != "strict" || cfg.MaxBody != 16<<20 {
			t.Errorf("%s: defaults are missing", name)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.168.1.1:1": false, "example.com:1": false, "localhost.evil.test:1": false, "127.0.0.1": false} {
		if config.IsLoopback(addr) != want {
			t.Errorf("%s: want %v", addr, want)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "homeport.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("# long\n", 1<<17)), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := config.ReadFile(path)
	if err != nil || len(data) != config.MaxFileSize+1 {
		t.Fatalf("read %d bytes, %v", len(data), err)
	}
	if cfg, _ := config.Load(path, data, options(nil)); cfg != nil {
		t.Error("a file over the limit loads")
	}
}

func TestEntraDefaults(t *testing.T) {
	form := "providers: [{id: a, catalog: %s, base_url: \"https://acme.%s\", entra: {tenant: t, client_id: c, client_secret: canary}}]\n"
	for catalog, want := range map[string][3]string{
		"azure-openai":         {"openai.azure.com", "https://login.microsoftonline.com", "https://cognitiveservices.azure.com/.default"},
		"azure-china-21vianet": {"openai.azure.cn", "https://login.partner.microsoftonline.cn", "https://cognitiveservices.azure.cn/.default"},
	} {
		cfg := mustLoad(t, fmt.Sprintf(form, catalog, want[0]), nil)
		if e := cfg.Providers[0].Entra; e.Authority != want[1] || e.Scope != want[2] || e.ClientSecret.Reveal() != "canary" {
			t.Errorf("%s: %s %s", catalog, e.Authority, e.Scope)
		}
	}
}

func TestPlaceIsAlwaysAList(t *testing.T) {
	form := "providers: [{id: a, catalog: deepseek, %s}]\n"
	for given, want := range map[string]any{"place: se": []string{"SE"}, "place: [SE, de]": []string{"SE", "DE"}, "facts: {place: cn}": []string{"CN"}, "facts: {place: [cn, hk]}": []string{"CN", "HK"}, "facts: {place: null}": nil} {
		p := mustLoad(t, fmt.Sprintf(form, given), nil).Providers[0]
		f, ok := p.ModelFacts()["model.place"]
		if !ok || !reflect.DeepEqual(f.Value, want) || f.Unknown != (want == nil) {
			t.Errorf("%s: %#v", given, f)
		}
	}
}

// Certificate files are looked for beside the configuration file, and reported at their own place when they are missing.
func TestCertificateFiles(t *testing.T) {
	var asked []string
	o := options(nil)
	o.FileReadable = func(path string) error {
		asked = append(asked, path)
		if strings.HasSuffix(path, "absent.pem") {
			return os.ErrNotExist
		}
		return nil
	}
	text := "apps: [{id: a}]\ntls: {cert: there.pem, key: absent.pem}\nadmin: {tls: {cert: /etc/there.pem, key: there.pem}}\n"
	cfg, problems := config.Load(filepath.Join("conf", "homeport.yaml"), []byte(text), o)
	if cfg != nil || len(problems) != 1 || problems[0].Line != 2 || problems[0].Column != 29 {
		t.Fatalf("problems: %s", lines(problems))
	}
	if len(asked) != 4 || !slices.Contains(asked, filepath.Join("conf", "absent.pem")) || !slices.Contains(asked, "/etc/there.pem") {
		t.Errorf("looked for %v", asked)
	}
	cfg = mustLoad(t, strings.Replace(text, "absent", "there", 1), nil)
	if cfg.TLS.Key != "there.pem" || cfg.Admin.TLS.Cert != "/etc/there.pem" {
		t.Errorf("paths: %+v %+v", cfg.TLS, cfg.Admin.TLS)
	}
}
