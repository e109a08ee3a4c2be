package provider_test

import (
	"strings"
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// must is what has to hold for one request at one target: the body that leaves and what is reported, or the refusal.
type must struct {
	name     string
	provider string
	target   provider.Target
	endpoint openai.Endpoint // chat when zero
	in       string
	out      string // the whole body, or "" when refused
	adapted  string
	refused  string // code and param
	thinking string
}

func run(t *testing.T, cases []must) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w, err := provider.Load(c.provider)
			if err != nil {
				t.Fatal(err)
			}
			e := c.endpoint
			if e == 0 {
				e = openai.Chat
			}
			req := parse(t, e, c.in)
			plan, refused := w.Adapt(req, c.target)
			if refused != nil {
				if got := refused.Code + " " + refused.Param; got != c.refused {
					t.Errorf("refused with %q, want %q", got, c.refused)
				}
				return
			}
			if c.refused != "" {
				t.Fatalf("taken, want a refusal: %s", c.refused)
			}
			if got := string(openai.Apply(nil, req.Raw, plan.Edits)); got != c.out {
				t.Errorf("body\n got %s\nwant %s", got, c.out)
			}
			if got := string(provider.AppendAdapted(nil, plan.Adapted)); got != c.adapted {
				t.Errorf("adapted %q, want %q", got, c.adapted)
			}
			if c.thinking != "" && plan.Thinking != c.thinking {
				t.Errorf("thinking %q, want %q", plan.Thinking, c.thinking)
			}
		})
	}
}

func to(model string) provider.Target { return provider.Target{Model: model} }

const (
	hi    = `{"role":"user","content":"hi"}`
	toolA = `"tools":[{"type":"function","function":{"name":"a"}}]`
	toolB = `"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}]`
)

func TestReasoningOfEarlierTurns(t *testing.T) {
	turn := `{"role":"assistant","content":"","reasoning_content":"r","tool_calls":[{"id":"c","type":"function","function":{"name":"a","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}`
	body := func(model string) string { return `{"model":"` + model + `","messages":[` + hi + `,` + turn + `]}` }
	var cases []must
	for id, model := range map[string]string{"deepseek": "deepseek-flash", "moonshot-cn": "kimi-k2.6", "xiaomi-mimo": "mimo-v2.5", "meituan-longcat": "LongCat-2.0"} {
		cases = append(cases, must{name: "kept for " + id, provider: id, target: to(model), in: body("gpt-4o"), out: body(model)})
	}
	run(t, append(cases,
		must{name: "kept for minimax-cn", provider: "minimax-cn", target: to("MiniMax-M3"), in: body("gpt-4o"),
			out: strings.TrimSuffix(body("MiniMax-M3"), "}") + `,"reasoning_split":true}`, adapted: "reasoning_split:set"},
		must{name: "stripped for openai", provider: "openai", target: to("gpt-4o"), in: body("gpt-4o"),
			out: strings.Replace(body("gpt-4o"), `,"reasoning_content":"r"`, "", 1), adapted: "messages.reasoning_content:dropped"},
		must{name: "kept by switch for zhipu", provider: "zhipu", target: to("glm-4.7"), in: body("gpt-4o"),
			out: strings.TrimSuffix(body("glm-4.7"), "}") + `,"thinking":{"clear_thinking":false}}`, adapted: "thinking.clear_thinking:set"},
		must{name: "zhipu, beside the client's own switch", provider: "zhipu", target: to("glm-4.7"),
			in:      `{"model":"m","thinking":{"type":"enabled"},"messages":[` + hi + `,` + turn + `]}`,
			out:     `{"model":"glm-4.7","thinking":{"type":"enabled","clear_thinking":false},"messages":[` + hi + `,` + turn + `]}`,
			adapted: "thinking.clear_thinking:set"},
		must{name: "zhipu, with effort none", provider: "zhipu", target: to("glm-4.7"),
			in:      `{"model":"m","reasoning_effort":"none","messages":[` + hi + `,` + turn + `]}`,
			out:     `{"model":"glm-4.7","messages":[` + hi + `,` + turn + `],"thinking":{"type":"disabled","clear_thinking":false}}`,
			adapted: "reasoning_effort>thinking.type,thinking.clear_thinking:set", thinking: "off"},
	))
}

func TestThinkingSwitches(t *testing.T) {
	b := func(model, more string) string {
		return `{"model":"` + model + `","messages":[` + hi + `]` + more + `}`
	}
	run(t, []must{
		{name: "effort none to thinking.type", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"reasoning_effort":"none"`),
			out: b("deepseek-flash", `,"thinking":{"type":"disabled"}`), adapted: "reasoning_effort>thinking.type", thinking: "off"},
		{name: "a level passes where thinking is on", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"reasoning_effort":"high"`),
			out: b("deepseek-flash", `,"reasoning_effort":"high"`), thinking: "on"},
		{name: "minimal to low", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"reasoning_effort":"minimal"`),
			out: b("deepseek-flash", `,"reasoning_effort":"low"`), adapted: "reasoning_effort:mapped", thinking: "on"},
		{name: "effort to enable_thinking", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,"reasoning_effort":"high","stream":true,"stream_options":{"include_usage":true}`),
			out:     b("qwen-plus", `,"stream":true,"stream_options":{"include_usage":true},"enable_thinking":true`),
			adapted: "reasoning_effort>enable_thinking", thinking: "on"},
		{name: "foreign switch is mapped", provider: "dashscope", target: to("qwen3.7-plus"), in: b("x", `,"thinking":{"type":"disabled"}`),
			out: b("qwen3.7-plus", `,"enable_thinking":false`), adapted: "thinking>enable_thinking", thinking: "off"},
		{name: "own switch passes", provider: "dashscope", target: to("qwen3.7-plus"), in: b("x", `,"enable_thinking":false`),
			out: b("qwen3.7-plus", `,"enable_thinking":false`), thinking: "off"},
		{name: "own switch wins over effort", provider: "dashscope", target: to("qwen3.7-plus"), in: b("x", `,"enable_thinking":false,"reasoning_effort":"high"`),
			out: b("qwen3.7-plus", `,"enable_thinking":false`), adapted: "reasoning_effort:dropped", thinking: "off"},
		{name: "adaptive", provider: "minimax-cn", target: to("MiniMax-M3"), in: b("x", `,"enable_thinking":true,"reasoning_split":true`),
			out: b("MiniMax-M3", `,"reasoning_split":true,"thinking":{"type":"adaptive"}`), adapted: "enable_thinking>thinking.type"},
		{name: "a neighbour's word for on", provider: "minimax-cn", target: to("MiniMax-M3"), in: b("x", `,"thinking":{"type":"enabled","x":1},"reasoning_split":true`),
			out: b("MiniMax-M3", `,"thinking":{"type":"adaptive","x":1},"reasoning_split":true`), adapted: "thinking.type:mapped", thinking: "on"},
		{name: "ark's own auto", provider: "volcengine-ark", target: to("ep-1"), in: b("x", `,"thinking":{"type":"auto"}`), out: b("ep-1", `,"thinking":{"type":"auto"}`)},
		{name: "template switch", provider: "vllm", target: to("Qwen/Qwen3-8B"), in: b("x", `,"reasoning_effort":"none","chat_template_kwargs":{"a":1}`),
			out:     b("Qwen/Qwen3-8B", `,"chat_template_kwargs":{"a":1,"enable_thinking":false}`),
			adapted: "reasoning_effort>chat_template_kwargs.enable_thinking", thinking: "off"},
		{name: "switch to effort", provider: "openai", target: to("gpt-5.2"), in: b("x", `,"enable_thinking":false`),
			out: b("gpt-5.2", `,"reasoning_effort":"none"`), adapted: "enable_thinking>reasoning_effort", thinking: "off"},
		{name: "always on refuses none: glm-5.3", provider: "zai", target: to("glm-5.3"), in: b("x", `,"reasoning_effort":"none"`), refused: "unsupported_value reasoning_effort"},
		{name: "always on refuses minimal: kimi-k3", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,"reasoning_effort":"minimal"`), refused: "unsupported_value reasoning_effort"},
		{name: "always on refuses disabled: kimi-k2.7-code", provider: "moonshot-cn", target: to("kimi-k2.7-code"), in: b("x", `,"thinking":{"type":"disabled"}`), refused: "unsupported_value thinking"},
		{name: "always on refuses a foreign off: M2", provider: "minimax-intl", target: to("MiniMax-M2.7"), in: b("x", `,"enable_thinking":false`), refused: "unsupported_value enable_thinking"},
		{name: "kimi-k3 medium runs as high", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,"reasoning_effort":"medium"`),
			out: b("kimi-k3", `,"reasoning_effort":"high"`), adapted: "reasoning_effort:mapped", thinking: "on"},
		{name: "gpt-6.2 refuses max", provider: "openai", target: to("gpt-6.2-sol"), in: b("x", `,"reasoning_effort":"max"`), refused: "unsupported_value reasoning_effort"},
		{name: "silence keeps the default", provider: "zhipu", target: to("glm-4.7"), in: b("gpt-4o", ``), out: b("glm-4.7", ``), thinking: "on"},
		{name: "open weights, no stream: off", provider: "dashscope", target: to("qwen3-235b-a22b"), in: b("gpt-4o", ``),
			out: b("qwen3-235b-a22b", `,"enable_thinking":false`), adapted: "enable_thinking:off", thinking: "off"},
		{name: "open weights, no stream, thinking asked", provider: "dashscope", target: to("qwen3-8b"), in: b("x", `,"reasoning_effort":"high"`),
			refused: "unsupported_value reasoning_effort"},
		{name: "thinking only, no stream", provider: "dashscope", target: to("qwq-plus"), in: b("x", ``), refused: "unsupported_value stream"},
		{name: "forced tool: off", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"reasoning_effort":"high",`+toolA+`,"tool_choice":"required"`),
			out:     b("deepseek-flash", `,`+toolA+`,"tool_choice":"required","thinking":{"type":"disabled"}`),
			adapted: "reasoning_effort:dropped,thinking.type:off", thinking: "off"},
		{name: "forced tool without thinking", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,`+toolA+`,"tool_choice":{"type":"function","function":{"name":"a"}}`),
			out: b("qwen-plus", `,`+toolA+`,"tool_choice":{"type":"function","function":{"name":"a"}}`), thinking: "off"},
	})
}

func TestTools(t *testing.T) {
	b := func(model, more string) string {
		return `{"model":"` + model + `","messages":[` + hi + `]` + more + `}`
	}
	named := `"tool_choice":{"type":"function","function":{"name":"a"}}`
	auto := provider.Target{Model: "glm-4.7", ToolChoice: "auto"}
	run(t, []must{
		{name: "zhipu refuses required", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,`+toolA+`,"tool_choice":"required"`), refused: "unsupported_value tool_choice"},
		{name: "zhipu, auto declared", provider: "zhipu", target: auto, in: b("x", `,`+toolA+`,`+named),
			out: b("glm-4.7", `,`+toolA+`,"tool_choice":"auto"`), adapted: "tool_choice:auto"},
		{name: "zhipu none sends no tools", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,`+toolA+`,"tool_choice":"none"`),
			out: b("glm-4.7", ``), adapted: "tool_choice:dropped,tools:dropped"},
		{name: "zhipu streams arguments", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"stream":true,`+toolA),
			out: b("glm-4.7", `,"stream":true,`+toolA+`,"stream_options":{"include_usage":true},"tool_stream":true`), adapted: "tool_stream:set"},
		{name: "qwen required of one tool", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,`+toolA+`,"tool_choice":"required"`),
			out: b("qwen-plus", `,`+toolA+`,`+named), adapted: "tool_choice:named"},
		{name: "qwen required of two tools", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,`+toolB+`,"tool_choice":"required"`), refused: "unsupported_value tool_choice"},
		{name: "kimi refuses required", provider: "moonshot-cn", target: to("kimi-k2.6"), in: b("x", `,`+toolA+`,"tool_choice":"required"`), refused: "unsupported_value tool_choice"},
		{name: "kimi k3 takes required", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,`+toolA+`,"tool_choice":"required"`), out: b("kimi-k3", `,`+toolA+`,"tool_choice":"required"`)},
		{name: "ollama auto is its default", provider: "ollama", target: to("qwen3"), in: b("x", `,`+toolA+`,"tool_choice":"auto"`),
			out: b("qwen3", `,`+toolA), adapted: "tool_choice:dropped"},
		{name: "ollama refuses named", provider: "ollama", target: to("qwen3"), in: b("x", `,`+toolA+`,`+named), refused: "unsupported_value tool_choice"},
		{name: "ark before seed 1.6", provider: "volcengine-ark", target: provider.Target{Model: "ep-1", BaseModel: "doubao-1-5-pro-32k"}, in: b("x", `,`+toolA+`,"tool_choice":"required"`), refused: "unsupported_value tool_choice"},
		{name: "spark switch", provider: "iflytek-spark", target: to("4.0Ultra"), in: b("x", `,`+toolA+`,"parallel_tool_calls":true`),
			out:     b("4.0Ultra", `,`+toolA+`,"frequency_penalty":0,"presence_penalty":0,"tool_calls_switch":true`),
			adapted: "parallel_tool_calls:dropped,frequency_penalty:set,presence_penalty:set,tool_calls_switch:set"},
		{name: "spark lite has no tools", provider: "iflytek-spark", target: to("lite"), in: b("x", `,`+toolA), refused: "unsupported_parameter tools"},
		{name: "functions become tools", provider: "deepseek", target: to("deepseek-flash"),
			in:      b("x", `,"functions":[{"name":"a"}],"function_call":{"name":"a"}`),
			out:     b("deepseek-flash", `,`+toolA+`,`+named+`,"thinking":{"type":"disabled"}`),
			adapted: "functions>tools,function_call>tool_choice,thinking.type:off"},
		{name: "functions pass where known", provider: "openai", target: to("gpt-4o"), in: b("x", `,"functions":[{"name":"a"}]`), out: b("gpt-4o", `,"functions":[{"name":"a"}]`)},
		{name: "functions beside tools", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"functions":[{"name":"a"}],`+toolA), refused: "invalid_value functions"},
		{name: "128 tools at most", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,"tools":[`+strings.Repeat(`{},`, 128)+`{}]`), refused: "unsupported_value tools"},
		{name: "luna: tools with effort", provider: "openai", target: to("gpt-5.6-luna"), in: b("x", `,`+toolA+`,"reasoning_effort":"high"`), refused: "unsupported_value reasoning_effort"},
	})
}

func TestStructuredOutput(t *testing.T) {
	b := func(model, content, more string) string {
		return `{"model":"` + model + `","messages":[{"role":"system","content":"` + content + `"},` + hi + `]` + more + `}`
	}
	object := `,"response_format":{"type":"json_object"}`
	schema := `,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}}`
	told := `Answer with one JSON object that conforms to this JSON Schema, and with nothing else. JSON Schema: {\"type\":\"object\"}`
	run(t, []must{
		{name: "emulated", provider: "deepseek", target: to("deepseek-flash"), in: b("x", "Be brief.", schema),
			out: b("deepseek-flash", `Be brief.\n\n`+told, object), adapted: "response_format:emulated"},
		{name: "refused by declared choice", provider: "deepseek", target: provider.Target{Model: "deepseek-flash", JSONSchema: "refuse"},
			in: b("x", "Be brief.", schema), refused: "unsupported_value response_format"},
		{name: "native", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", "s", schema), out: b("kimi-k3", "s", schema)},
		{name: "strict not known", provider: "minimax-cn", target: to("MiniMax-M3"), in: b("x", "s", schema+`,"reasoning_split":true`),
			out: b("MiniMax-M3", "s", strings.Replace(schema, `"strict":true,`, "", 1)+`,"reasoning_split":true`), adapted: "response_format.strict:dropped,response_format:checked"},
		{name: "the word JSON is asked for", provider: "dashscope", target: to("qwen-plus"), in: b("x", "s", object),
			out: b("qwen-plus", `s\n\nAnswer in JSON.`, object), adapted: "messages:json_hint"},
		{name: "the word JSON is there", provider: "dashscope", target: to("qwen-plus"), in: b("x", "as Json", object), out: b("qwen-plus", "as Json", object)},
		{name: "object as schema", provider: "lm-studio", target: to("m"), in: b("x", "s", object),
			out:     b("m", "s", `,"response_format":{"type":"json_schema","json_schema":{"name":"json_object","schema":{"type":"object"}}}`),
			adapted: "response_format:mapped"},
		{name: "into the first turn where there is no system role", provider: "iflytek-spark", target: to("lite"),
			in:      `{"model":"x","messages":[` + hi + `],"presence_penalty":0,"frequency_penalty":0` + schema + `}`,
			out:     `{"model":"lite","messages":[{"role":"user","content":"` + told + `\n\nhi"}],"presence_penalty":0,"frequency_penalty":0}`,
			adapted: "response_format:emulated,messages.role.system:folded"},
		{name: "flattened and emulated", provider: "baichuan", target: to("Baichuan4-Turbo"),
			in:      `{"model":"x","messages":[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},` + hi + `]` + schema + `}`,
			out:     `{"model":"Baichuan4-Turbo","messages":[{"role":"system","content":"a\nb\n\n` + told + `"},` + hi + `]}`,
			adapted: "response_format:emulated,messages.content:flattened"},
	})
}

func TestParameters(t *testing.T) {
	b := func(model, more string) string {
		return `{"model":"` + model + `","messages":[` + hi + `]` + more + `}`
	}
	run(t, []must{
		{name: "integers are never rounded", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"seed":9007199254740993,"temperature":1.5`),
			out: b("glm-4.7", `,"seed":9007199254740993,"temperature":1`), adapted: "temperature:clamped"},
		{name: "ernie zero", provider: "qianfan", target: to("ernie-5.1"), in: b("x", `,"temperature":0`), out: b("ernie-5.1", `,"temperature":0.01`), adapted: "temperature:clamped"},
		{name: "minimax zero", provider: "minimax-cn", target: to("MiniMax-M2.7"), in: b("x", `,"temperature":0.0,"reasoning_split":true`),
			out: b("MiniMax-M2.7", `,"temperature":0.01,"reasoning_split":true`), adapted: "temperature:clamped"},
		{name: "zhipu zero", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"temperature":0`), out: b("glm-4.7", `,"do_sample":false`), adapted: "temperature>do_sample"},
		{name: "kimi sampling is fixed", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,"temperature":0.2,"top_p":0.5,"n":1,"presence_penalty":0`),
			out: b("kimi-k3", `,"presence_penalty":0`), adapted: "temperature:dropped,top_p:dropped,n:dropped"},
		{name: "kimi takes its own value", provider: "moonshot-cn", target: to("kimi-k3"), in: b("x", `,"temperature":1.0`), out: b("kimi-k3", `,"temperature":1.0`)},
		{name: "gpt-5 sampling and limit", provider: "openai", target: to("gpt-5-mini"), in: b("x", `,"temperature":0.2,"max_tokens":9`),
			out: b("gpt-5-mini", `,"max_completion_tokens":9`), adapted: "temperature:dropped,max_tokens>max_completion_tokens"},
		{name: "gpt-4o as it is", provider: "openai", target: to("gpt-4o"), in: b("x", `,"temperature":0.2,"max_tokens":9`), out: b("gpt-4o", `,"temperature":0.2,"max_tokens":9`)},
		{name: "both limits", provider: "volcengine-ark", target: to("ep-1"), in: b("x", `,"max_tokens":9,"max_completion_tokens":99`),
			out: b("ep-1", `,"max_completion_tokens":99`), adapted: "max_tokens:dropped"},
		{name: "stop: one", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"stop":["a"]`), out: b("glm-4.7", `,"stop":["a"]`)},
		{name: "stop: two", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"stop":["a","b"]`), refused: "unsupported_value stop"},
		{name: "n beyond", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,"n":5`), refused: "unsupported_value n"},
		{name: "n with tools", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,"n":2,`+toolA), refused: "unsupported_value n"},
		{name: "n within", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,"n":4`), out: b("qwen-plus", `,"n":4`)},
		{name: "logprobs false is no wish", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"logprobs":false`), out: b("glm-4.7", ``), adapted: "logprobs:dropped"},
		{name: "null is no value", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"logprobs":null,"n":null,"tool_choice":null`), out: b("glm-4.7", `,"logprobs":null,"n":null,"tool_choice":null`)},
		{name: "user renamed", provider: "zhipu", target: to("glm-4.7"), in: b("x", `,"user":"u-1"`), out: b("glm-4.7", `,"user_id":"u-1"`), adapted: "user>user_id"},
		{name: "short user", provider: "stepfun-cn", target: to("step-3.7-flash"), in: b("x", `,"user":"u-1"`), out: b("step-3.7-flash", `,"user":"u-1"`)},
		{name: "spark neutral penalties", provider: "iflytek-spark", target: to("4.0Ultra"), in: b("x", `,"presence_penalty":-1`),
			out: b("4.0Ultra", `,"presence_penalty":0,"frequency_penalty":0`), adapted: "presence_penalty:clamped,frequency_penalty:set"},
		{name: "no effect is said", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"temperature":0.3`), out: b("deepseek-flash", `,"temperature":0.3`), adapted: "temperature:inert"},
		{name: "effect without thinking", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"temperature":0.3,"thinking":{"type":"disabled"}`), out: b("deepseek-flash", `,"temperature":0.3,"thinking":{"type":"disabled"}`)},
		{name: "zero is not a value", provider: "sensenova", target: to("m"), in: b("x", `,"frequency_penalty":0`), out: b("m", ``), adapted: "frequency_penalty:dropped"},
		{name: "a value in range", provider: "sensenova", target: to("m"), in: b("x", `,"frequency_penalty":0.5`), out: b("m", `,"frequency_penalty":0.5`)},
		{name: "a closed list of fields", provider: "lm-studio", target: to("m"), in: b("x", `,"store":true,"seed":1,"x\n-evil":1,"stream":true`),
			out: b("m", `,"seed":1,"stream":true,"stream_options":{"include_usage":true}`), adapted: "store:dropped,unknown_field:dropped"},
		{name: "unknown fields pass", provider: "dashscope", target: to("qwen-plus"), in: b("x", `,"enable_search":true,"made_up":{"a":[1]}`), out: b("qwen-plus", `,"enable_search":true,"made_up":{"a":[1]}`)},
	})
}

// A long user name is replaced by a digest of the allowed length: same to same, distinct to distinct.
func TestUserIsHashedNotCut(t *testing.T) {
	w, _ := provider.Load("stepfun-cn")
	sent := func(user string) string {
		req := parse(t, openai.Chat, `{"model":"x","messages":[`+hi+`],"user":"`+user+`"}`)
		plan, err := w.Adapt(req, to("step-3.7-flash"))
		if err != nil {
			t.Fatal(err)
		}
		out := parse(t, openai.Chat, string(openai.Apply(nil, req.Raw, plan.Edits)))
		f, _ := out.Field("user")
		return openai.Str(out.Raw, f.Value)
	}
	long := strings.Repeat("a", 40)
	if a, b := sent(long+"1"), sent(long+"2"); len(a) != 32 || a == b || a != sent(long+"1") {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestMessages(t *testing.T) {
	m := func(model, messages string) string { return `{"model":"` + model + `","messages":[` + messages + `]}` }
	img := func(url string) string {
		return `{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}`
	}
	run(t, []must{
		{name: "developer becomes system", provider: "deepseek", target: to("deepseek-flash"), in: m("x", `{"role":"developer","content":"d"},`+hi),
			out: m("deepseek-flash", `{"role":"system","content":"d"},`+hi), adapted: "messages.role.developer:system"},
		{name: "developer stays", provider: "openai", target: to("gpt-4o"), in: m("x", `{"role":"developer","content":"d"},`+hi), out: m("gpt-4o", `{"role":"developer","content":"d"},`+hi)},
		{name: "system only, for qwen", provider: "dashscope", target: to("qwen-plus"), in: m("x", `{"role":"system","content":"write a poem"}`),
			out: m("qwen-plus", `{"role":"user","content":"write a poem"}`), adapted: "messages.role.system:folded"},
		{name: "named turns stay apart", provider: "dashscope", target: to("qwen-plus"), in: m("x", `{"role":"user","name":"li","content":"1"},`+hi),
			out: m("qwen-plus", `{"role":"user","name":"li","content":"1"},`+hi)},
		{name: "the assistant speaks last", provider: "dashscope", target: to("qwen-plus"), in: m("x", hi+`,{"role":"assistant","content":"a"}`), refused: "unsupported_value messages"},
		{name: "the assistant is to go on", provider: "dashscope", target: to("qwen-plus"), in: m("x", hi+`,{"role":"assistant","content":"a","partial":true}`),
			out: m("qwen-plus", hi+`,{"role":"assistant","content":"a","partial":true}`)},
		{name: "tool turns are in order", provider: "dashscope", target: to("qwen-plus"), in: m("x", hi+`,{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","tool_call_id":"c","content":"1"}`),
			out: m("qwen-plus", hi+`,{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","tool_call_id":"c","content":"1"}`)},
		{name: "image at a text model", provider: "dashscope", target: to("qwen3-max"), in: m("x", img("data:image/png;base64,AA==")), refused: "unsupported_value messages[0].content[0]"},
		{name: "image at a model not known", provider: "dashscope", target: to("qwen9-omni"), in: m("x", img("https://example.com/i.png")), out: m("qwen9-omni", img("https://example.com/i.png"))},
		{name: "image by URL", provider: "moonshot-cn", target: to("kimi-k3"), in: m("x", img("https://example.com/i.png")), refused: "unsupported_value messages[0].content[0]"},
		{name: "image by file id", provider: "moonshot-cn", target: to("kimi-k3"), in: m("x", img("ms://f1")), out: m("kimi-k3", img("ms://f1"))},
		{name: "image in ollama by URL", provider: "ollama", target: to("llava"), in: m("x", img("HTTP://example.com/i.png")), refused: "unsupported_value messages[0].content[0]"},
		{name: "image where only strings go", provider: "baichuan", target: to("Baichuan4-Turbo"), in: m("x", img("data:image/png;base64,AA==")), refused: "unsupported_value messages[0].content[0]"},
		{name: "white space survives", provider: "deepseek", target: to("deepseek-flash"), in: "{ \"model\" : \"x\" ,\n \"messages\" : [ " + hi + " ] }",
			out: "{ \"model\" : \"deepseek-flash\" ,\n \"messages\" : [ " + hi + " ] }"},
	})
}

func TestFoldedSystem(t *testing.T) {
	w, _ := provider.Load("iflytek-spark")
	for _, c := range []struct{ in, out string }{
		{`{"role":"system","content":"S"},` + hi, `{"role":"user","content":"S\n\nhi"}`},
		{`{"role":"developer","content":"D"},{"role":"system","content":"S"},` + hi, `{"role":"user","content":"D\n\nS\n\nhi"}`},
		{`{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"hi"}]}`, `{"role":"user","content":[{"type":"text","text":"S"},{"type":"text","text":"hi"}]}`},
		{`{"role":"system","content":"S"},{"role":"assistant","content":"a"}`, `{"role":"user","content":"S"},{"role":"assistant","content":"a"}`},
	} {
		req := parse(t, openai.Chat, `{"model":"lite","messages":[`+c.in+`]}`)
		plan, err := w.Adapt(req, to("lite"))
		if err != nil {
			t.Fatal(err)
		}
		got := string(openai.Apply(nil, req.Raw, plan.Edits))
		if want := `"messages":[` + c.out + `]`; !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
		if !strings.Contains(string(provider.AppendAdapted(nil, plan.Adapted)), "messages.role.system:folded") {
			t.Errorf("not reported: %v", plan.Adapted)
		}
	}
}

func TestStreamUsage(t *testing.T) {
	b := func(model, more string) string {
		return `{"model":"` + model + `","messages":[` + hi + `],"stream":true` + more + `}`
	}
	run(t, []must{
		{name: "asked", provider: "deepseek", target: to("deepseek-flash"), in: b("x", ``), out: b("deepseek-flash", `,"stream_options":{"include_usage":true}`)},
		{name: "asked beside others", provider: "volcengine-ark", target: to("ep-1"), in: b("x", `,"stream_options":{"chunk_include_usage":false}`),
			out: b("ep-1", `,"stream_options":{"chunk_include_usage":false,"include_usage":true}`)},
		{name: "asked although declined", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"stream_options":{"include_usage":false}`), out: b("deepseek-flash", `,"stream_options":{"include_usage":true}`)},
		{name: "null", provider: "deepseek", target: to("deepseek-flash"), in: b("x", `,"stream_options":null`), out: b("deepseek-flash", `,"stream_options":{"include_usage":true}`)},
		{name: "completions too", provider: "vllm", target: to("m"), endpoint: openai.Completions, in: `{"model":"x","prompt":"p","stream":true}`, out: `{"model":"m","prompt":"p","stream":true,"stream_options":{"include_usage":true}}`},
	})
	w, err := provider.Parse([]byte(strings.Replace(customFile, "endpoints:", "request: {stream_usage: never}\nendpoints:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	req := parse(t, openai.Chat, b("m", ``))
	if plan, _ := w.Adapt(req, to("m")); len(plan.Edits) > 0 || plan.AskedUsage {
		t.Errorf("usage asked where it is refused: %v", plan.Edits)
	}
	req = parse(t, openai.Chat, b("m", `,"stream_options":{"include_usage":true}`))
	plan, _ := w.Adapt(req, to("m"))
	if !plan.WantUsage || string(provider.AppendAdapted(nil, plan.Adapted)) != "stream_options:dropped" {
		t.Errorf("want usage %v, adapted %v", plan.WantUsage, plan.Adapted)
	}
}

const customFile = `id: custom
dialect: openai
auth: {scheme: bearer, header: Authorization}
endpoints:
  {chat: 'yes', stream: 'yes', tools: unknown, parallel_tools: unknown, vision: unknown, json_object: unknown, json_schema: unknown,
   embeddings: unknown, completions: unknown, models_listing: unknown}
`

func TestEmbeddings(t *testing.T) {
	e := openai.Embeddings
	b := func(model, more string) string { return `{"model":"` + model + `","input":["a","b"]` + more + `}` }
	run(t, []must{
		{name: "base64 where floats only", provider: "dashscope", target: to("text-embedding-v4"), endpoint: e, in: b("x", `,"encoding_format":"base64"`),
			out: b("text-embedding-v4", ``), adapted: "encoding_format:emulated"},
		{name: "base64 where known", provider: "openai", target: to("text-embedding-3-small"), endpoint: e, in: b("x", `,"encoding_format":"base64"`), out: b("text-embedding-3-small", `,"encoding_format":"base64"`)},
		{name: "dimensions the model has", provider: "zhipu", target: to("embedding-3"), endpoint: e, in: b("x", `,"dimensions":512`), out: b("embedding-3", `,"dimensions":512`)},
		{name: "dimensions the model lacks", provider: "zhipu", target: to("embedding-3"), endpoint: e, in: b("x", `,"dimensions":1536`), refused: "unsupported_value dimensions"},
		{name: "dimensions within a range", provider: "siliconflow-cn", target: to("Qwen/Qwen3-Embedding-8B"), endpoint: e, in: b("x", `,"dimensions":1536`), out: b("Qwen/Qwen3-Embedding-8B", `,"dimensions":1536`)},
		{name: "the one dimension there is", provider: "siliconflow-cn", target: to("Pro/BAAI/bge-m3"), endpoint: e, in: b("x", `,"dimensions":1024`), out: b("Pro/BAAI/bge-m3", ``), adapted: "dimensions:dropped"},
		{name: "too many inputs", provider: "dashscope", target: to("text-embedding-v4"), endpoint: e, in: `{"model":"x","input":[` + strings.Repeat(`"a",`, 10) + `"a"]}`, refused: "unsupported_value input"},
		{name: "as many as there may be", provider: "dashscope", target: to("text-embedding-v4"), endpoint: e, in: `{"model":"text-embedding-v4","input":[` + strings.Repeat(`"a",`, 9) + `"a"]}`,
			out: `{"model":"text-embedding-v4","input":[` + strings.Repeat(`"a",`, 9) + `"a"]}`},
		{name: "token arrays", provider: "ollama", target: to("bge"), endpoint: e, in: `{"model":"x","input":[1,2,3]}`, refused: "unsupported_value input"},
		{name: "token arrays where known", provider: "openai", target: to("m"), endpoint: e, in: `{"model":"x","input":[[1,2],[3]]}`, out: `{"model":"m","input":[[1,2],[3]]}`},
		{name: "no embeddings", provider: "deepseek", target: to("m"), endpoint: e, in: b("x", ``), refused: "unsupported_endpoint model"},
	})
}

func TestAzurePaths(t *testing.T) {
	w, err := provider.Load("azure-openai")
	if err != nil {
		t.Fatal(err)
	}
	req := parse(t, openai.Chat, `{"messages":[`+hi+`],"max_tokens":5}`)
	plan, refused := w.Adapt(req, provider.Target{Model: "生产/4o prod", BaseModel: "gpt-5", AzureStyle: "deployments", APIVersion: "2024-10-21&x=1"})
	if refused != nil {
		t.Fatal(refused)
	}
	if want := "/openai/deployments/%E7%94%9F%E4%BA%A7%2F4o%20prod/chat/completions"; plan.Path != want {
		t.Errorf("path %s, want %s", plan.Path, want)
	}
	if want := "api-version=2024-10-21%26x%3D1"; plan.Query != want {
		t.Errorf("query %s, want %s", plan.Query, want)
	}
	if got, want := string(openai.Apply(nil, req.Raw, plan.Edits)), `{"messages":[`+hi+`],"max_completion_tokens":5}`; got != want {
		t.Errorf("body %s, want %s: the rules are the base model's, the body needs no model", got, want)
	}
	plan, refused = w.Adapt(req, provider.Target{Model: "prod-4o", BaseModel: "gpt-4o"})
	if refused != nil {
		t.Fatal(refused)
	}
	if got, want := string(openai.Apply(nil, req.Raw, plan.Edits)), `{"messages":[`+hi+`],"max_tokens":5,"model":"prod-4o"}`; got != want || plan.Path != "/openai/v1/chat/completions" || plan.Query != "" {
		t.Errorf("v1: %s?%s %s, want %s", plan.Path, plan.Query, got, want)
	}
	emb := parse(t, openai.Embeddings, `{"model":"m","input":"a"}`)
	if plan, _ := w.Adapt(emb, provider.Target{Model: "e", AzureStyle: "deployments", APIVersion: "v"}); plan.Path != "/openai/deployments/e/embeddings" {
		t.Errorf("embeddings path %s", plan.Path)
	}
}

func TestNoSurface(t *testing.T) {
	run(t, []must{
		{name: "anthropic", provider: "anthropic", target: to("claude"), in: `{"model":"x","messages":[` + hi + `]}`, refused: "unsupported_endpoint model"},
		{name: "hunyuan", provider: "tencent-hunyuan-legacy", target: to("hunyuan-pro"), in: `{"model":"x","messages":[` + hi + `]}`, refused: "unsupported_endpoint model"},
	})
}

func TestModelsPath(t *testing.T) {
	for id, want := range map[string]string{"meituan-longcat": "/v1/models root", "deepseek": "/models"} {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		p, root := w.ModelsPath()
		if root {
			p += " root"
		}
		if p != want {
			t.Errorf("%s: %s, want %s", id, p, want)
		}
	}
}

// Whatever a body holds, what leaves is strict JSON with unique names, and no field is lost unsaid (invariant 6).
func TestPairsOfFields(t *testing.T) {
	fields := []string{`"temperature":0`, `"top_p":0`, `"n":1`, `"stop":["a"]`, `"user":"u"`, `"logprobs":false`, `"presence_penalty":-1`,
		`"frequency_penalty":0`, `"max_tokens":5`, `"max_completion_tokens":7`, toolA, toolB, `"tool_choice":"none"`, `"tool_choice":"required"`,
		`"tool_choice":{"type":"function","function":{"name":"a"}}`, `"functions":[{"name":"a"}]`, `"function_call":"auto"`,
		`"reasoning_effort":"none"`, `"reasoning_effort":"high"`, `"thinking":{"type":"disabled"}`, `"thinking":{"type":"enabled"}`,
		`"enable_thinking":true`, `"enable_thinking":false`, `"chat_template_kwargs":{"a":1}`, `"response_format":{"type":"json_object"}`,
		`"response_format":` + schemaBody, `"stream":true`, `"stream_options":{"x":1}`, `"parallel_tool_calls":false`, `"seed":9007199254740993`, `"zz":{}`}
	messages := []string{hi, `{"role":"developer","content":"d"},` + hi + `,` + hi,
		`{"role":"system","content":[{"type":"text","text":"s"}]},` + hi + `,{"role":"assistant","content":"","reasoning_content":"r","function_call":{"name":"a","arguments":"{}"}},{"role":"function","name":"a","content":"1"}`}
	name := func(f string) string { return f[:strings.Index(f, ":")] }
	for _, id := range provider.IDs() {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		names := models[id]
		if names == nil {
			names = []string{"some-model"}
		}
		for k, model := range names {
			target := provider.Target{Model: model, Rules: w.For(model)}
			for i, f := range fields {
				for j, g := range fields[i:] {
					if j > 0 && name(f) == name(g) || (i+j+k)%2 > 0 {
						continue // each model gets every other pair: the next one gets the rest
					}
					body := `{"messages":[` + messages[(i+j)%len(messages)] + `],` + f
					if j > 0 {
						body += "," + g
					}
					x := exchange{name: model + " " + name(f) + " " + name(g), endpoint: openai.Chat, body: body + `,"model":"x"}`}
					req := parse(t, x.endpoint, x.body)
					plan, refused := w.Adapt(req, target)
					if refused == nil {
						sound(t, w, x, openai.Apply(nil, req.Raw, plan.Edits), plan)
					}
				}
			}
		}
	}
}

func BenchmarkAdapt(b *testing.B) {
	for _, c := range []struct{ name, id, model, more string }{
		{"plain", "deepseek", "deepseek-flash", ``},
		{"stream", "deepseek", "deepseek-flash", `,"stream":true`},
		{"sampling", "zhipu", "glm-4.7", `,"temperature":1.5,"top_p":0.5,"user":"u"`},
		{"qwen", "dashscope", "qwen-plus", `,"stream":true,"max_tokens":100`},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, err := provider.Load(c.id)
			if err != nil {
				b.Fatal(err)
			}
			req := parse(b, openai.Chat, `{"model":"gpt-4o","messages":[{"role":"system","content":"s"},`+hi+`]`+c.more+`}`)
			t := provider.Target{Model: c.model, Rules: w.For(c.model)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Adapt(req, t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
