package config_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/config"
)

// with joins lines into a file.
func with(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

const lab = "providers: [{id: lab, catalog: custom, base_url: \"http://127.0.0.1:9001/v1\", facts: {source: own, place: CN, filed: false}}]"

// Each row: a file, the place and words of the problem it must give, words of its hint. Every row gives exactly one error.
func TestBadConfigurations(t *testing.T) {
	env := map[string]string{"OK": "value", "LONG": strings.Repeat("k", 30), "BAD_URL": "http://canary user@host", "SPACED": " canary "}
	for name, c := range map[string]struct {
		text string
		at   string // line:column
		says string
		hint string
	}{
		"unknown key, near":          {with("profil: strict"), "1:1", "unknown key \"profil\"", "did you mean profile?"},
		"unknown key, far":           {with("zzzzzzzzzzzzzz: 1"), "1:1", "unknown key", "known: operator, profile"},
		"unknown key, hyphen":        {with("max-body: 1MiB"), "1:1", "unknown key", "did you mean max_body?"},
		"unknown key in a list item": {with("apps:", "  - id: a", "    keyz: []"), "3:5", "unknown key \"keyz\"", "did you mean keys?"},
		"unknown key in flow":        {with("apps: [{id: a, limit: {}}]"), "1:16", "unknown key \"limit\"", "did you mean limits?"},
		"unknown key, short":         {with("d: 1"), "1:1", "unknown key \"d\"", "known: operator"},
		"duplicate key":              {with("profile: strict", "listen: 127.0.0.1:1", "profile: counsel"), "3:1", "already defined", "remove one"},
		"duplicate key in a list":    {with("apps:", "  - id: a", "    id: b"), "3:5", "already defined", "remove one"},
		"unset variable":             {with("listen: ${NOPE}"), "1:9", "variable NOPE is not set", "export NOPE="},
		"unset variable in a list":   {with("apps: [{id: a, keys: [\"${NOPE}\"]}]"), "1:23", "variable NOPE is not set", "export NOPE="},
		"bad variable name":          {with("listen: \"${9X}\""), "1:9", "not a variable name", "$${"},
		"unclosed variable":          {with("listen: \"${X\""), "1:9", "not closed", "${NAME}"},
		"bare variable in flow map":  {with("apps: [{id: a}]", "operator: {name: ${OK}}"), "2:19", "YAML syntax", "quote it: \"${NAME}\""},
		"bare variable in flow list": {with("trusted_proxies: [${OK}]"), "1:20", "YAML syntax", "quote it: \"${NAME}\""},
		"anchor":                     {with("data: &x ./d"), "1:7", "anchors", "write the content out"},
		"alias":                      {with("data: *x"), "1:7", "anchors", "write the content out"},
		"anchor on a mapping":        {with("admin: &a", "  listen: 127.0.0.1:9"), "1:8", "anchors", "write the content out"},
		"merge key":                  {with("admin:", "  <<: {listen: \"127.0.0.1:9\"}"), "2:3", "anchors", "write the content out"},
		"tag":                        {with("data: !!str x"), "1:7", "tags", "remove the tag"},
		"two documents":              {with("profile: strict", "---", "profile: counsel"), "3:1", "one YAML document", "---"},
		"root is a list":             {with("- a"), "1:1", "a mapping", ""},
		"root is a scalar":           {with("hello"), "1:1", "a mapping", ""},
		"tab":                        {"admin:\n\tlisten: x\n", "2:1", "YAML syntax", "spaces"},
		"not closed quote":           {with("data: \"abc"), "1:7", "YAML syntax", ""},
		"invalid utf8":               {"profile: strict\ndata: \xff\n", "2:7", "UTF-8", "UTF-8"},
		"deep brackets":              {with("data: " + strings.Repeat("[", 5000)), "1:107", "nested", ""},
		"deep dashes":                {strings.Repeat("- ", 5000) + "x\n", "1:201", "nested", ""},
		"too large":                  {strings.Repeat("# x\n", 1<<17), "1:1", "larger than", ""},
		"scalar for mapping":         {with("admin: 127.0.0.1:1"), "1:8", "a mapping", ""},
		"mapping for scalar":         {with("listen: {host: a}"), "1:9", "a single value", ""},
		"scalar for list":            {with("apps: a"), "1:7", "a list is expected", "[a, b]"},
		"null where text must be":    {with("listen:"), "", "missing here", "fill it in"},
		"profile":                    {with("profile: strct"), "1:10", "not one of: strict, counsel", "did you mean strict?"},
		"bool":                       {with("providers: [{id: a, catalog: deepseek, http2: yes}]"), "1:47", "true or false", ""},
		"quoted bool":                {with("providers: [{id: a, catalog: deepseek, http2: \"true\"}]"), "1:47", "true or false", ""},
		"duration":                   {with("providers: [{id: a, catalog: deepseek, timeouts: {connect: 5}}]"), "1:60", "duration", "500ms"},
		"negative duration":          {with("providers: [{id: a, catalog: deepseek, timeouts: {idle: -5s}}]"), "1:57", "duration", "500ms"},
		"retries":                    {with("providers: [{id: a, catalog: deepseek, retries: 11}]"), "1:49", "from 0 to 10", ""},
		"breaker":                    {with("providers: [{id: a, catalog: deepseek, breaker: 3}]"), "1:49", "false or {failures", ""},
		"breaker key":                {with("providers: [{id: a, catalog: deepseek, breaker: {failure: 3}}]"), "1:50", "unknown key", "did you mean failures?"},
		"size":                       {with("max_body: 0"), "1:11", "not a size", "16MiB"},
		"size unit":                  {with("max_body: 16 parsecs"), "1:11", "not a size", "16MiB"},
		"prefix":                     {with("trusted_proxies: [10.0.0.0/33]"), "1:19", "not an address", "10.0.0.0/8"},
		"number":                     {with("apps: [{id: a, limits: {requests_per_minute: 1e3}}]"), "1:46", "a whole number", "5_000_000"},
		"octal":                      {with("apps: [{id: a, limits: {requests_per_minute: 010}}]"), "1:46", "a whole number", "5_000_000"},
		"hex":                        {with("apps: [{id: a, limits: {requests_per_minute: 0x10}}]"), "1:46", "a whole number", "5_000_000"},
		"zero limit":                 {with("apps: [{id: a, limits: {tokens_per_day: 0}}]"), "1:41", "from 1 to", ""},
		"negative limit":             {with("apps: [{id: a, limits: {tokens_per_day: -1}}]"), "1:41", "from 1 to", ""},
		"too fine money":             {with("apps: [{id: a, limits: {cny_per_month: 0.0000001}}]"), "1:40", "six decimals", ""},
		"zero money":                 {with("apps: [{id: a, limits: {cny_per_month: 0}}]"), "1:40", "above zero", ""},
		"not yet: mask":              {with("apps:", "  - id: a", "    mask: true"), "3:11", "not in this version", "remove"},
		"not yet: vault":             {with("vault: {}"), "1:1", "not in this version", "remove"},
		"not yet: retention":         {with("retention: 180d"), "1:1", "not in this version", "remove"},
		"not yet: witnesses":         {with("witnesses: []"), "1:1", "not in this version", "remove"},
		"not yet: login":             {with("login: {oidc: x}"), "1:1", "not in this version", "remove"},
		"not yet: postgres":          {with("store: postgres://u@h/db"), "1:8", "not in this version", "remove"},
		"store":                      {with("store: mysql"), "1:8", "not one of: sqlite", ""},
		"no provider id":             {with("providers: [{catalog: deepseek}]"), "1:13", "id is missing", ""},
		"no catalog":                 {with("providers: [{id: a}]"), "1:13", "catalog is missing", ""},
		"unknown catalog":            {with("providers: [{id: a, catalog: depseek}]"), "1:30", "no such catalog entry", "did you mean deepseek?"},
		"reference entry":            {with("providers: [{id: a, catalog: openai}]"), "1:30", "sends no requests", "catalog providers"},
		"provider twice":             {with("providers:", "  - {id: a, catalog: deepseek}", "  - {id: a, catalog: deepseek}"), "3:10", "given twice", ""},
		"provider id with slash":     {with("providers: [{id: a/b, catalog: deepseek}]"), "1:18", "an id is letters", ""},
		"no base_url, custom":        {with("providers: [{id: a, catalog: custom}]"), "1:30", "needs a base_url", ""},
		"no base_url, azure":         {with("providers: [{id: a, catalog: azure-openai}]"), "1:30", "needs a base_url", ""},
		"key and entra":              {with("providers:", "  - {id: a, catalog: azure-openai, base_url: \"https://a.openai.azure.com\", key: k,", "     entra: {tenant: t, client_id: c, client_secret: s}}"), "3:13", "not both", ""},
		"entra lacks":                {with("providers:", "  - {id: a, catalog: azure-openai, base_url: \"https://a.openai.azure.com\",", "     entra: {tenant: t, client_id: c}}"), "3:13", "client_secret is missing", ""},
		"azure key elsewhere":        {with("providers: [{id: a, catalog: deepseek, deployments: {m: d}}]"), "1:53", "for Azure entries only", "azure-openai"},
		"empty secret":               {with("providers: [{id: a, catalog: deepseek, key: \"\"}]"), "1:45", "secret is empty", ""},
		"spaced secret":              {with("providers: [{id: a, catalog: deepseek, key: \"${SPACED}\"}]"), "1:45", "outer spaces", ""},
		"place":                      {with("providers: [{id: a, catalog: deepseek, place: [China]}]"), "1:48", "ISO 3166-1", "CN"},
		"place twice":                {with("providers: [{id: a, catalog: deepseek, place: CN, facts: {place: CN}}]"), "1:47", "not both", ""},
		"fact name":                  {with("apps: [{id: a, service: {audiense: internal}}]"), "1:36", "no fact \"service.audiense\"", ""},
		"fact value":                 {with("providers: [{id: a, catalog: deepseek, facts: {filed: maybe}}]"), "1:55", "want true or false", ""},
		"fact of another":            {with("apps: [{id: a, facts: {model.filed: true}}]"), "1:37", "does not belong to an app", "providers"},
		"fact twice":                 {with("apps: [{id: a, service: {opinion: true}, facts: {service.opinion: true}}]"), "1:67", "given twice", ""},
		"proxy scheme":               {with("providers: [{id: a, catalog: deepseek, proxy: \"ftp://h:1\"}]"), "1:47", "a proxy is", ""},
		"proxy with a password":      {with("providers: [{id: a, catalog: deepseek, proxy: \"http://u:p@h:1\"}]"), "1:47", "not in this version", ""},
		"app twice":                  {with("apps: [{id: a}, {id: a}]"), "1:22", "given twice", ""},
		"short key":                  {with("apps: [{id: a, keys: [short]}]"), "1:23", "shorter than 24", "key create"},
		"key of two apps":            {with("apps:", "  - {id: a, keys: [\"${LONG}\"]}", "  - {id: b, keys: [\"${LONG}\"]}"), "3:20", "already belongs to app a", "own"},
		"key twice":                  {with("apps:", "  - {id: a, keys: [\"${LONG}\", \"${LONG}\"]}"), "2:31", "already belongs to app a", ""},
		"route to nobody":            {with(lab, "routes: [{model: \"*\", to: [lap/x]}]"), "2:28", "no provider \"lap\"", "did you mean lab?"},
		"route to nobody, object":    {with(lab, "routes: [{model: \"*\", to: [{target: lap/x}]}]"), "2:37", "no provider \"lap\"", "did you mean lab?"},
		"route without a slash":      {with(lab, "routes: [{model: \"*\", to: [lab]}]"), "2:28", "provider/model", "qwen/"},
		"route with bad model":       {with(lab, "routes: [{model: \"*\", to: [\"lab/../x\"]}]"), "2:28", "provider/model", ""},
		"route without targets":      {with(lab, "routes: [{model: x, to: []}]"), "2:25", "must not be empty", ""},
		"route without to":           {with(lab, "routes: [{model: x}]"), "2:10", "to is missing", ""},
		"route for no app":           {with(lab, "apps: [{id: bot}]", "routes: [{model: x, apps: [bit], to: [lab/x]}]"), "3:28", "no such app", "did you mean bot?"},
		"route, target twice":        {with(lab, "routes: [{model: x, to: [lab/x, lab/x]}]"), "2:33", "given twice", "weight"},
		"weight":                     {with(lab, "routes: [{model: x, to: [{target: lab/x, weight: 0}]}]"), "2:50", "from 1 to", ""},
		"price unknown":              {with("providers: [{id: a, catalog: deepseek}]", "routes: [{model: x, to: [a/m]}]", "apps: [{id: p, limits: {cny_per_month: 10}}]"), "3:40", "price of target a/m is unknown", "tokens_per_day"},
		"listen":                     {with("listen: 8787"), "1:9", "host:port", "127.0.0.1:8787"},
		"listen port":                {with("listen: 127.0.0.1:99999"), "1:9", "host:port", ""},
		"same address":               {with("listen: 127.0.0.1:8788"), "", "same as listen", ""},
		"admin off loopback":         {with("admin: {listen: \"0.0.0.0:8788\"}"), "1:17", "in the clear", "tls"},
		"tls lacks key":              {with("tls: {cert: a.pem}"), "1:6", "key is missing", ""},
		"key is not text":            {with("1: x"), "1:1", "a key must be text", "quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, problems := config.Load("homeport.yaml", []byte(c.text), options(env))
			var errs []config.Problem
			for _, p := range problems {
				if p.Severity == config.Error {
					errs = append(errs, p)
				}
			}
			if cfg != nil || len(errs) != 1 {
				t.Fatalf("want one error, have %d: %s", len(errs), lines(problems))
			}
			p := errs[0]
			if at := fmt.Sprintf("%d:%d", p.Line, p.Column); c.at != "" && at != c.at {
				t.Errorf("place %s, want %s: %s", at, c.at, p.Message.En)
			}
			if !strings.Contains(p.Message.En, c.says) {
				t.Errorf("message %q, want %q", p.Message.En, c.says)
			}
			if !strings.Contains(p.Hint.En, c.hint) || (c.hint != "" && p.Hint.Zh == "") {
				t.Errorf("hint %q, want %q", p.Hint.En, c.hint)
			}
			if p.Message.Zh == "" || p.File != "homeport.yaml" {
				t.Error("no Chinese message, or no file")
			}
			if strings.Contains(fmt.Sprint(problems), "canary") {
				t.Error("a value shows in a problem")
			}
		})
	}
}

func TestBaseURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"https://API.Example.COM/v1/":      "https://api.example.com/v1",
		"https://api.example.com./v1":      "https://api.example.com/v1",
		"https://api.example.com:443/v1":   "https://api.example.com/v1",
		"http://127.0.0.1:9001/v1":         "http://127.0.0.1:9001/v1",
		"http://[::1]:9001":                "http://[::1]:9001",
		"https://例子.测试/v1":                 "https://xn--fsqu00a.xn--0zwm56d/v1",
		"http://[::ffff:127.0.0.1]:80":     "http://127.0.0.1",
		"https://user@api.example.com":     "",
		"https://u:p@api.example.com":      "",
		"https://api.example.com/v1?key=x": "",
		"https://api.example.com/v1?":      "",
		"https://api.example.com/v1#x":     "",
		"https://api.example.com/v1#":      "",
		"ftp://api.example.com":            "",
		"//api.example.com":                "",
		"api.example.com/v1":               "",
		"https://":                         "",
		"https:///v1":                      "",
		"https://a..b/v1":                  "",
		"https://-bad-.example/v1":         "",
		"https://ex ample.com":             "",
		"https://exa\\mple.com":            "",
		"https://example.com:0":            "",
		"https://example.com:":             "",
		"https://example.com:70000":        "",
		"https://example.com/a/../b":       "",
		"https://example.com/a//b":         "",
		"http://2130706433/v1":             "",
		"http://0177.0.0.1/v1":             "",
		"http://0x7f000001/v1":             "",
		"http://127.1/v1":                  "",
		"http://[fe80::1%25eth0]/v1":       "",
		"https://xn--a/v1":                 "",
		"https://example.com..":            "",
	} {
		text := fmt.Sprintf("providers:\n  - id: a\n    catalog: custom\n    base_url: '%s'\n    facts: {source: own, place: CN, filed: false}\n", raw)
		cfg, problems := config.Load("f", []byte(text), options(nil))
		switch {
		case want == "" && cfg != nil:
			t.Errorf("%q is accepted as %q", raw, cfg.Providers[0].BaseURL)
		case want == "" && problems[len(problems)-1].Line != 4:
			t.Errorf("%q: wrong place: %s", raw, lines(problems))
		case want == "":
			if len(raw) > 12 && strings.Contains(problems[len(problems)-1].Message.En, raw) {
				t.Errorf("%q shows in the problem", raw)
			}
		case cfg == nil:
			t.Errorf("%q is refused: %s", raw, lines(problems))
		case cfg.Providers[0].BaseURL != want:
			t.Errorf("%q becomes %q, want %q", raw, cfg.Providers[0].BaseURL, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	app := "apps: [{id: a}]"
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"loopback":             {with(app, "listen: 127.0.0.1:1"), nil},
		"off loopback":         {with(app, "listen: 0.0.0.0:8787"), []string{"in the clear"}},
		"every address":        {with(app, "listen: \":8787\""), []string{"in the clear"}},
		"with trusted proxies": {with(app, "listen: 0.0.0.0:8787", "trusted_proxies: [10.0.0.0/8]"), nil},
		"with tls":             {with(app, "listen: 0.0.0.0:8787", "tls: {cert: c, key: k}"), nil},
		"admin behind a proxy": {with(app, "admin: {listen: \"0.0.0.0:1\"}", "trusted_proxies: [10.0.0.1]"), nil},
		"foreign host":         {with(app, "providers: [{id: a, catalog: dashscope, base_url: \"https://relay.example/v1\"}]"), []string{"only its dialect is kept; facts not declared count as unknown: source, place, filed"}},
		"foreign, declared":    {with(app, "providers: [{id: a, catalog: dashscope, base_url: \"https://relay.example/v1\", place: CN, facts: {source: relay, filed: null}}]"), nil},
		"own host":             {with(app, "providers: [{id: a, catalog: dashscope, base_url: \"https://dashscope.aliyuncs.com/compatible-mode/v1\"}]"), nil},
		"host in a look-alike": {with(app, "providers: [{id: a, catalog: dashscope, base_url: \"https://dashscope.aliyuncs.com.evil.test/v1\"}]"), []string{"only its dialect"}},
		"azure resource":       {with(app, "providers: [{id: a, catalog: azure-openai, base_url: \"https://acme.openai.azure.com\"}]"), nil},
		"azure, two labels":    {with(app, "providers: [{id: a, catalog: azure-openai, base_url: \"https://x.acme.openai.azure.com\"}]"), []string{"only its dialect"}},
		"local ollama":         {with(app, "providers: [{id: a, catalog: ollama, base_url: \"http://127.0.0.1:11434/v1\"}]"), nil},
		"remote ollama":        {with(app, "providers: [{id: a, catalog: ollama, base_url: \"http://10.1.1.1:11434/v1\"}]"), []string{"only its dialect"}},
		"key over http":        {with(app, "providers: [{id: a, catalog: custom, base_url: \"http://models.example/v1\", key: k, facts: {source: own, place: CN, filed: false}}]"), []string{"plain http"}},
		"no apps":              {with(lab), []string{"no apps"}},
		"nothing at all":       {"", []string{"no apps"}},
		"hidden route":         {with(app, lab, "routes: [{model: \"*\", to: [lab/x]}, {model: y, to: [lab/y]}]"), []string{"never used"}},
	} {
		cfg, problems := config.Load("f", []byte(c.text), options(nil))
		if cfg == nil || len(problems) != len(c.says) {
			t.Errorf("%s: %s", name, lines(problems))
			continue
		}
		for i, says := range c.says {
			if problems[i].Severity != config.Warning || !strings.Contains(problems[i].Message.En, says) {
				t.Errorf("%s: %s", name, lines(problems))
			}
		}
	}
}

// All problems are told at once, in order of place.
func TestEveryProblemIsTold(t *testing.T) {
	text := with("profil: strict", "listen: ${NOPE}", "providers:", "  - {id: a, catalog: nothing-like-it}", "  - {id: a, catalog: deepseek, retries: x}", "routes: [{model: x, to: [b/y]}]", "mystery: 1")
	cfg, problems := config.Load("f", []byte(text), options(nil))
	if cfg != nil || len(problems) != 8 {
		t.Fatalf("have %d: %s", len(problems), lines(problems))
	}
	for i := 1; i < len(problems); i++ {
		if problems[i].Line < problems[i-1].Line {
			t.Error("not in order of place")
		}
	}
}

// Secrets, whether of a variable or written out, are in no problem whatever is wrong around them.
func TestNoValueInProblems(t *testing.T) {
	env := map[string]string{"S": "canary\nlisten: 0.0.0.0:1", "T": "canary-short"}
	for _, text := range []string{
		"listen: ${S}\n", "profile: ${T}\n", "max_body: ${T}\n", "providers: [{id: \"${T} x\", catalog: \"${T}\", base_url: \"${T}\", key: \"${S}\", proxy: \"${T}\"}]\n",
		"apps: [{id: a, keys: [\"${T}\"], limits: {cny_per_month: \"${T}\", tokens_per_day: \"${T}\"}}]\n", "trusted_proxies: [\"${T}\"]\n",
		"providers: [{id: a, catalog: custom, key: canary-literal, base_url: }]\n", "apps: [{id: a, keys: [canary-literal]}]\n",
		"providers: [{id: a, catalog: deepseek, key: canary: literal}]\n", "providers: [{id: a, catalog: deepseek, key: \"canary}]\n",
		"routes: [{model: \"${T} \", to: [\"${T}\"], apps: [\"${T}\"]}]\n", "operator: {place: \"${T}\"}\n",
	} {
		_, problems := config.Load("f", []byte(text), options(env))
		if len(problems) == 0 {
			t.Errorf("no problem in %q", text)
		}
		if strings.Contains(fmt.Sprintf("%+v", problems), "canary") {
			t.Errorf("a value shows: %s", lines(problems))
		}
	}
}

func TestSubstitution(t *testing.T) {
	env := map[string]string{"A": "x: y\n- [z]", "B": "${A}", "N": "600", "T": "true", "H": "127.0.0.1"}
	for raw, want := range map[string]string{
		`"${A}"`: "x: y\n- [z]", `"${B}"`: "${A}", `"$${A}"`: "${A}", `"$$${A}"`: "$${A}", `"$A $"`: "$A $", `"a${H}b${H}"`: "a127.0.0.1b127.0.0.1", `'${H}'`: "127.0.0.1", `plain ${H}`: "plain 127.0.0.1",
	} {
		cfg := mustLoad(t, "operator:\n  name: "+raw+"\n", env)
		if cfg.Operator.Name != want {
			t.Errorf("%s becomes %q, want %q", raw, cfg.Operator.Name, want)
		}
	}
	cfg := mustLoad(t, "listen: ${H}:1\napps: [{id: a, limits: {requests_per_minute: \"${N}\"}, service: {opinion: \"${T}\"}}]\n", env)
	if cfg.Listen != "127.0.0.1:1" || cfg.Apps[0].Limits.RequestsPerMinute != 600 || cfg.Apps[0].Service["service.opinion"].Value != true {
		t.Error("values in number, address and fact")
	}
	if cfg, _ := config.Load("f", []byte("${H}: x\n"), options(env)); cfg != nil {
		t.Error("a variable in a key is accepted")
	}
}

// FuzzLoad: no panic, no value of a variable in a problem, and a file either loads or says why.
func FuzzLoad(f *testing.F) {
	f.Add(example, "v")
	f.Add("operator: {name: \"${X}\"}\n", "a: b")
	f.Add("a: &x [*x]\n", "")
	f.Add("? {a: b}\n: c\n", "x")
	f.Add("apps:\n- id: ${X}\n  keys: ['${X}', \"$${X}\"]\n", "\n- id: other")
	f.Add("k: |\n  ${X}\n", "}")
	f.Fuzz(func(t *testing.T, text, value string) {
		secret := "canary" + value + "yranac"
		o := options(nil)
		o.Getenv = func(string) string { return secret }
		cfg, problems := config.Load("f", []byte(text), o)
		if (cfg == nil) != config.HasErrors(problems) {
			t.Fatalf("configuration %v, problems %s", cfg != nil, lines(problems))
		}
		if !strings.Contains(text, "canary") && strings.Contains(fmt.Sprintf("%+v", problems), "canary") {
			t.Fatal("a value shows in a problem")
		}
		if cfg != nil {
			if first, again := cfg.Digest(), cfg.Digest(); first != again {
				t.Fatal("the digest is not stable")
			}
		}
	})
}

// FuzzSubstitution: whatever a variable holds becomes the scalar's text, once, and adds no YAML.
func FuzzSubstitution(f *testing.F) {
	for _, v := range []string{"plain", "a: b", "\n- x", "${X}", "$${X}", "'\"", "}", "# c", "\x00", "\xff", "\u2028", "null", "*a", "!!str"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" {
			return
		}
		getenv := func(name string) string { return map[string]string{"X": value}[name] }
		text := "operator: {name: \"<${X}|$${X}|${X}>\"}\napps: [{id: a}]\n"
		cfg, problems := config.Load("f", []byte(text), config.Options{Getenv: getenv})
		if cfg == nil || len(problems) != 0 {
			t.Fatalf("%d problems", len(problems))
		}
		if cfg.Operator.Name != "<"+value+"|${X}|"+value+">" || len(cfg.Operator.Facts) != 0 || len(cfg.Apps) != 1 {
			t.Fatal("the value is not exactly the text, or added something")
		}
	})
}
