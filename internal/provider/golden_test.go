package provider_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

var updateRequests = flag.Bool("update-requests", false, "write testdata/requests anew")

// exchange is one request as applications send them.
type exchange struct {
	name     string
	endpoint openai.Endpoint
	body     string
}

const (
	toolDefs   = `"tools":[{"type":"function","function":{"name":"weather","description":"天气","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
	userTurn   = `{"role":"user","content":"北京天气如何？"}`
	schemaBody = `{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object","properties":{"t":{"type":"integer"}},"required":["t"],"additionalProperties":false}}}`
)

// standard is the set of requests that every provider's golden file shows.
var standard = []exchange{
	{"plain", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},` + userTurn + `]}`},
	{"stream", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"stream":true}`},
	{"stream with usage asked", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"stream":true,"stream_options":{"include_usage":true}}`},
	{"developer role", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"developer","content":"Be brief."},` + userTurn + `]}`},
	{"sampling", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"temperature":1.7,"top_p":0.9,"presence_penalty":-0.5,"frequency_penalty":0.5,"seed":9007199254740993,"stop":["\n\n"],"user":"user-0123456789-0123456789-0123456789"}`},
	{"temperature zero", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"temperature":0}`},
	{"four stops", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"stop":["a","b","c","d"]}`},
	{"n two", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"n":2}`},
	{"logprobs", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"logprobs":true,"top_logprobs":2,"logit_bias":{"50256":-100}}`},
	{"max_tokens", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"max_tokens":100}`},
	{"max_completion_tokens", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"max_completion_tokens":100}`},
	{"both token limits", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"max_tokens":50,"max_completion_tokens":100}`},
	{"tools streamed", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],` + toolDefs + `,"parallel_tool_calls":true,"tool_choice":"auto","stream":true}`},
	{"tool choice none", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],` + toolDefs + `,"tool_choice":"none"}`},
	{"tool choice required", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],` + toolDefs + `,"tool_choice":"required"}`},
	{"tool choice named", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],` + toolDefs + `,"tool_choice":{"type":"function","function":{"name":"weather"}}}`},
	{"tool turn replayed with reasoning", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `,{"role":"assistant","content":null,"reasoning_content":"look it up","tool_calls":[{"id":"call_7","type":"function","function":{"name":"weather","arguments":"{\"city\":\"北京\"}"}}]},{"role":"tool","tool_call_id":"call_7","content":"晴"}],` + toolDefs + `}`},
	{"legacy functions", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `,{"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{}"}},{"role":"function","name":"weather","content":"晴"}],"functions":[{"name":"weather","parameters":{"type":"object"}}],"function_call":"auto"}`},
	{"json object", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"response_format":{"type":"json_object"}}`},
	{"json schema", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"response_format":` + schemaBody + `}`},
	{"effort none", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"reasoning_effort":"none"}`},
	{"effort medium", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"reasoning_effort":"medium"}`},
	{"enable_thinking false", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"enable_thinking":false}`},
	{"thinking enabled", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"thinking":{"type":"enabled"},"stream":true}`},
	{"image by URL", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"what is it"},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}`},
	{"image inline", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"what is it"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]}`},
	{"text parts", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}]}`},
	{"turns out of order", openai.Chat, `{"model":"gpt-4o","messages":[{"role":"system","content":"A"},{"role":"user","content":"1"},{"role":"user","content":"2"},{"role":"system","content":"B"},{"role":"user","content":"3"}]}`},
	{"account fields", openai.Chat, `{"model":"gpt-4o","messages":[` + userTurn + `],"store":true,"metadata":{"k":"v"},"service_tier":"auto","prompt_cache_key":"p","safety_identifier":"s","verbosity":"low"}`},
	{"completions", openai.Completions, `{"model":"gpt-3.5-turbo-instruct","prompt":"床前明月光","max_tokens":20}`},
	{"embeddings base64", openai.Embeddings, `{"model":"text-embedding-3-small","input":["甲","乙"],"encoding_format":"base64"}`},
	{"embeddings dimensions", openai.Embeddings, `{"model":"text-embedding-3-small","input":"甲","dimensions":256}`},
	{"embeddings tokens", openai.Embeddings, `{"model":"text-embedding-3-small","input":[[1,2,3]]}`},
}

// models names, by provider, the models its golden file is about: one embedding model and the chat models whose rules differ.
var models = map[string][]string{
	"openai":           {"gpt-4o", "gpt-5.2", "gpt-6.2-sol", "text-embedding-3-small"},
	"azure-openai":     {"gpt-4o", "gpt-5-mini", "text-embedding-3-large"},
	"dashscope":        {"qwen3.7-plus", "qwen-plus", "qwen3-8b", "qwen3.8-max", "text-embedding-v4"},
	"qianfan":          {"ernie-5.1", "deepseek-v4-pro", "bge-large-zh"},
	"zhipu":            {"glm-4.7", "glm-5.3", "glm-4-plus", "glm-4.6v", "embedding-3"},
	"zai":              {"glm-5.2", "glm-5.3-flash"},
	"moonshot-cn":      {"kimi-k2.6", "kimi-k2.7-code", "kimi-k3", "moonshot-v1-128k"},
	"moonshot-intl":    {"kimi-k3.1-pro"},
	"deepseek":         {"deepseek-flash", "deepseek-v4-pro"},
	"minimax-cn":       {"MiniMax-M3", "MiniMax-M2.7"},
	"minimax-intl":     {"MiniMax-M3"},
	"volcengine-ark":   {"doubao-seed-2-1-pro-260628", "doubao-seed-1-6-251015", "ep-20260101-abcde"},
	"iflytek-spark":    {"4.0Ultra", "lite", "x1"},
	"baichuan":         {"Baichuan4-Turbo", "Baichuan-Text-Embedding"},
	"stepfun-cn":       {"step-3.7-flash", "step-3.5-flash-2603"},
	"siliconflow-cn":   {"Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-V4-Flash", "BAAI/bge-m3"},
	"xiaomi-mimo":      {"mimo-v2.5", "mimo-v2.5-pro"},
	"meituan-longcat":  {"LongCat-2.0"},
	"tencent-tokenhub": {"hy3-preview"},
	"vllm":             {"Qwen/Qwen3-8B", "openai/gpt-oss-20b"},
}

// plain are the names that reports show; a client could write anything into others.
var plain = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

func parse(t testing.TB, e openai.Endpoint, body string) *openai.Request {
	t.Helper()
	req, err := openai.Parse(e, []byte(body))
	if err != nil {
		t.Fatalf("the test's own request does not parse: %v", err)
	}
	return req
}

// show is one exchange as the golden files hold it.
func show(t *testing.T, w *provider.Wire, x exchange, target provider.Target) string {
	t.Helper()
	req := parse(t, x.endpoint, x.body)
	plan, refused := w.Adapt(req, target)
	if refused != nil {
		if refused.Status != 400 || refused.Code == "" || refused.Message == "" {
			t.Errorf("%s: a refusal without status 400, code or reason: %+v", x.name, refused)
		}
		return fmt.Sprintf("refused %s %s\n", refused.Code, refused.Param)
	}
	body := openai.Apply(nil, req.Raw, plan.Edits)
	sound(t, w, x, body, plan)
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s", plan.Path)
	if plan.Query != "" {
		fmt.Fprintf(&b, "?%s", plan.Query)
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	if len(plan.Adapted) > 0 {
		fmt.Fprintf(&b, "adapted %s\n", provider.AppendAdapted(nil, plan.Adapted))
	}
	var hints []string
	for name, set := range map[string]bool{"want usage": plan.WantUsage, "asked usage": plan.AskedUsage, "check schema": plan.Schema != nil,
		"re-encode embeddings": plan.ReencodeEmbeddings, "legacy functions": plan.LegacyFunctions, "thinking " + plan.Thinking: plan.Thinking != ""} {
		if set {
			hints = append(hints, name)
		}
	}
	slices.Sort(hints)
	if len(hints) > 0 {
		fmt.Fprintf(&b, "hints %s\n", strings.Join(hints, ", "))
	}
	return b.String()
}

// sound checks what must hold for every adapted body: strict JSON with unique names, and no silent drop (invariant 6): each
// field that came arrives byte for byte or is named by an adaptation.
func sound(t *testing.T, w *provider.Wire, x exchange, body []byte, plan provider.Plan) {
	t.Helper()
	out, err := openai.Parse(x.endpoint, body)
	if err != nil {
		t.Errorf("%s %s: the body sent is not strict JSON: %v\n%s", w.ID, x.name, err, body)
		return
	}
	in := parse(t, x.endpoint, x.body)
	list := string(provider.AppendAdapted(nil, plan.Adapted))
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '>' || r == ':' })
	named := func(field string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == field || strings.HasPrefix(n, field+".") })
	}
	if renamed := !bytes.Equal(in.Value("model"), out.Value("model")); renamed != plan.NamedModel {
		t.Errorf("%s %s: the model's name changed: %v, and the plan says %v", w.ID, x.name, renamed, plan.NamedModel)
	}
	for _, f := range in.Fields {
		if f.Name == "model" || f.Name == "stream_options" || bytes.Equal(out.Value(f.Name), f.Value.Of(in.Raw)) {
			continue
		}
		if !named(f.Name) && !(f.Name == "messages" && plan.Schema != nil) && !(named("unknown_field") && out.Value(f.Name) == nil && (!plain.MatchString(f.Name) || len(plan.Adapted) > 32)) {
			t.Errorf("%s %s: %q changed, and the adaptations do not name it: %s\n%s", w.ID, x.name, f.Name, list, body)
		}
	}
	for _, f := range out.Fields {
		if f.Name != "model" && f.Name != "stream_options" && in.Value(f.Name) == nil && !named(f.Name) {
			t.Errorf("%s %s: %q was added, and the adaptations do not name it: %s", w.ID, x.name, f.Name, list)
		}
	}
}

// Every provider of the catalog shows, on the same requests, what leaves for it. A catalog file without its golden fails.
func TestConformance(t *testing.T) {
	for _, id := range provider.IDs() {
		t.Run(id, func(t *testing.T) {
			w, err := provider.Load(id)
			if err != nil {
				t.Fatal(err)
			}
			names := models[id]
			if names == nil {
				names = []string{"some-model"}
			}
			var got strings.Builder
			for _, model := range names {
				for _, x := range standard {
					if strings.Contains(model, "mbedding") || strings.HasPrefix(model, "bge") || strings.HasPrefix(model, "BAAI") {
						if x.endpoint != openai.Embeddings {
							continue
						}
					} else if x.endpoint == openai.Embeddings && len(names) > 1 && id != "vllm" {
						continue
					}
					target := provider.Target{Model: model}
					if w.Dialect == provider.DialectAzure {
						target = provider.Target{Model: "prod " + model, BaseModel: model, AzureStyle: "deployments", APIVersion: "2024-10-21"}
					}
					fmt.Fprintf(&got, "== %s: %s\n%s", model, x.name, show(t, w, x, target))
				}
			}
			file := filepath.Join("testdata", "requests", id+".golden")
			if *updateRequests {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("no golden file; look at the catalog entry, then run with -update-requests: %v", err)
			}
			if got.String() != string(want) {
				t.Errorf("%s differs:\n%s", file, firstDifference(string(want), got.String()))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	section := ""
	for i := range min(len(w), len(g)) {
		if strings.HasPrefix(g[i], "== ") {
			section = g[i]
		}
		if w[i] != g[i] {
			return fmt.Sprintf("line %d, %s\nwant %s\ngot  %s", i+1, section, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// Adapt neither changes the request nor depends on anything but its input.
func TestAdaptIsPure(t *testing.T) {
	for _, id := range provider.IDs() {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range standard {
			req := parse(t, x.endpoint, x.body)
			target := provider.Target{Model: "m", Rules: w.For("m")}
			p1, e1 := w.Adapt(req, target)
			p2, e2 := w.Adapt(req, target)
			j1, _ := json.Marshal([]any{p1, e1})
			j2, _ := json.Marshal([]any{p2, e2})
			if !bytes.Equal(j1, j2) {
				t.Errorf("%s %s: two runs differ", id, x.name)
			}
			if string(req.Raw) != x.body {
				t.Errorf("%s %s: the request changed", id, x.name)
			}
		}
	}
}
