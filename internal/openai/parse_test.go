package openai_test

import (
	"strings"
	"testing"

	"homeport/internal/openai"
)

func chat(members string) string {
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + members + `}`
}

// Attack case E1 and DESIGN 3 stage 1: what two readers could read differently is refused, naming field and reason, before
// anything is judged (invariant 2).
func TestHostileBodies(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, body  string
		code, param string
	}{
		{"empty", ``, "invalid_json", ""},
		{"blank", " \n\t ", "invalid_json", ""},
		{"byte order mark", "\xef\xbb\xbf" + chat(""), "invalid_json", ""},
		{"array", `[]`, "invalid_type", ""},
		{"string", `"x"`, "invalid_type", ""},
		{"null", `null`, "invalid_type", ""},
		{"cut off", `{"model":"m"`, "invalid_json", ""},
		{"cut off in a string", `{"model":"m`, "invalid_json", "model"},
		{"trailing object", chat("") + `{}`, "trailing_data", ""},
		{"trailing word", chat("") + ` x`, "trailing_data", ""},
		{"trailing comma", `{"model":"m",}`, "invalid_json", ""},
		{"comment", `{"model":"m"/*x*/}`, "invalid_json", ""},
		{"single quotes", `{'model':'m'}`, "invalid_json", ""},
		{"NaN", chat(`,"temperature":NaN`), "invalid_json", "temperature"},
		{"leading zero", chat(`,"seed":01`), "invalid_json", ""},
		{"duplicate model", `{"model":"a","model":"b"}`, "duplicate_field", "model"},
		{"duplicate model, escaped", `{"model":"a","mod\u0065l":"b"}`, "duplicate_field", "model"},
		{"duplicate unknown", chat(`,"x":1,"x":1`), "duplicate_field", "x"},
		{"duplicate in a message", `{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}`, "duplicate_field", "messages"},
		{"duplicate in a part", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]}`, "duplicate_field", "messages"},
		{"duplicate in a schema", chat(`,"tools":[{"function":{"parameters":{"a":1,"\u0061":2}}}]`), "duplicate_field", "tools"},
		{"duplicate stream_options", chat(`,"stream_options":{"include_usage":true,"include_usage":false}`), "duplicate_field", "stream_options"},
		{"invalid UTF-8", "{\"model\":\"\xff\"}", "invalid_json", "model"},
		{"overlong UTF-8", "{\"model\":\"\xc0\xaf\"}", "invalid_json", "model"},
		{"surrogate in UTF-8", "{\"model\":\"\xed\xa0\x80\"}", "invalid_json", "model"},
		{"invalid UTF-8 in a name", "{\"\xff\":1}", "invalid_json", ""},
		{"lone high surrogate", `{"model":"\ud800"}`, "invalid_json", "model"},
		{"lone low surrogate", `{"model":"\udc00x"}`, "invalid_json", "model"},
		{"control character", "{\"model\":\"a\x00b\"}", "invalid_json", "model"},
		{"NUL after the body", chat("") + "\x00", "trailing_data", ""},
		{"depth 201", chat(`,"x":` + deep(200)), "too_deep", "x"},
		{"depth 20000", chat(`,"x":` + deep(20000)), "too_deep", "x"},
		{"model is a number", `{"model":1}`, "invalid_type", "model"},
		{"model is null", `{"model":null}`, "invalid_type", "model"},
		{"model is an object", `{"model":{"m":1}}`, "invalid_type", "model"},
		{"stream is a string", chat(`,"stream":"true"`), "invalid_type", "stream"},
		{"stream is a number", chat(`,"stream":1`), "invalid_type", "stream"},
		{"stream_options is an array", chat(`,"stream_options":[]`), "invalid_type", "stream_options"},
		{"messages is an object", `{"model":"m","messages":{}}`, "invalid_type", "messages"},
		{"messages is a string", `{"model":"m","messages":"hi"}`, "invalid_type", "messages"},
		{"a message is a string", `{"model":"m","messages":["hi"]}`, "invalid_type", "messages"},
		{"role is a number", `{"model":"m","messages":[{"role":1}]}`, "invalid_type", "messages"},
		{"no messages", `{"model":"m"}`, "missing_required_parameter", "messages"},
		{"empty messages", `{"model":"m","messages":[]}`, "missing_required_parameter", "messages"},
		{"no role", `{"model":"m","messages":[{"role":"user"},{"content":"x"}]}`, "missing_required_parameter", "messages[1].role"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := openai.Parse(openai.Chat, []byte(test.body))
			if err == nil {
				t.Fatalf("taken: %+v", r)
			}
			if err.Status != 400 || err.Type != "invalid_request_error" || err.Code != test.code || err.Param != test.param {
				t.Errorf("got %d %s code %q param %q, want code %q param %q (%s)", err.Status, err.Type, err.Code, err.Param, test.code, test.param, err.Message)
			}
		})
	}
}

func TestMissingInputs(t *testing.T) {
	for _, test := range []struct {
		op    openai.Endpoint
		body  string
		param string
	}{
		{openai.Completions, `{"model":"m"}`, "prompt"},
		{openai.Completions, `{"model":"m","prompt":null}`, "prompt"},
		{openai.Embeddings, `{"model":"m"}`, "input"},
		{openai.Embeddings, `{"model":"m","input":null}`, "input"},
	} {
		_, err := openai.Parse(test.op, []byte(test.body))
		if err == nil || err.Param != test.param || err.Code != "missing_required_parameter" {
			t.Errorf("%s %s: %v", test.op, test.body, err)
		}
	}
}

// Attack case E1: a name that a lax reader would take for a known one is refused, at the top level and in messages.
func TestCaseVariants(t *testing.T) {
	for _, test := range []struct{ body, param string }{
		{`{"Model":"a","messages":[]}`, "model"},
		{`{"MODEL":"a"}`, "model"},
		{`{"model":"a","modeL":"b"}`, "model"},
		{chat(`,"Messages":[]`), "messages"},
		{chat(`,"Tools":[]`), "tools"},
		{chat(`,"STREAM":true`), "stream"},
		{chat(`,"User":"x"`), "user"},
		{chat(`,"\u0055ser":"x"`), "user"},
		{chat(`,"Max_Tokens":1`), "max_tokens"},
		{chat(`,"\u017ftream":true`), "stream"}, // long s folds to s
		{chat(`,"Extra_Body":{}`), "extra_body"},
		{`{"model":"m","messages":[{"role":"user","Content":"x"}]}`, "content"},
		{`{"model":"m","messages":[{"Role":"user"}]}`, "role"},
		{`{"model":"m","messages":[{"role":"assistant","Tool_Calls":[]}]}`, "tool_calls"},
	} {
		_, err := openai.Parse(openai.Chat, []byte(test.body))
		if err == nil || err.Code != "ambiguous_field" || err.Param != test.param {
			t.Errorf("%s: %+v", test.body, err)
		}
	}
	for _, body := range []string{
		chat(`,"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"Model":{"type":"string"},"model":{"type":"string"},"Content":{}}}}}]`),
		`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"Model\":1,\"model\":2}"}}]}]}`,
		chat(`,"response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{"Role":{},"role":{}}}}}`),
		chat(`,"metadata":{"Model":"x","User":"y"}`),
		chat(`,"Custom":1,"custom":2`),
	} {
		if _, err := openai.Parse(openai.Chat, []byte(body)); err != nil {
			t.Errorf("%s: %v %s", body, err, err.Message)
		}
	}
}

var routing = []string{"api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "extra_headers", "proxy", "organization"}

// Attack case A1 (invariant 4): a body cannot choose a host or a credential, whatever the field's spelling.
func TestRoutingFieldsAreRefused(t *testing.T) {
	refused := func(body, param string) {
		t.Helper()
		_, err := openai.Parse(openai.Chat, []byte(body))
		if err == nil || err.Status != 400 || err.Code != "unsupported_parameter" || err.Param != param {
			t.Errorf("%s: %+v", body, err)
		}
		if err != nil && strings.Contains(err.Message, "evil") {
			t.Errorf("%s: the value is in the message", body)
		}
	}
	for _, name := range routing {
		refused(chat(`,"`+name+`":"http://evil.example"`), name)
		refused(chat(`,"extra_body":{"a":1,"`+name+`":"evil"}`), "extra_body")
		refused(chat(`,"litellm_params":{"`+name+`":{"x":"evil"}}`), "litellm_params")
	}
	refused(chat(`,"API_BASE":"evil"`), "API_BASE")
	refused(chat(`,"\u0061pi_base":"evil"`), "api_base")
	refused(chat(`,"extra_body":{"Api_Key":"evil"}`), "extra_body")
	for _, name := range []string{"api_base", "base_url", "api_key"} {
		refused(chat(`,"metadata":{"`+name+`":"evil"}`), "metadata")
	}
}

func TestRoutingNamesElsewherePass(t *testing.T) {
	for _, name := range routing {
		for _, body := range []string{
			chat(`,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"` + name + `":{"type":"string"}}}}}]`),
			`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"` + name + `\":1}"}}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":"` + name + `"}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"` + name + `"}]}]}`,
			chat(`,"response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{"` + name + `":{}}}}}`),
			chat(`,"metadata":{"deep":{"` + name + `":"x"}}`),
		} {
			if _, err := openai.Parse(openai.Chat, []byte(body)); err != nil {
				t.Errorf("%s: %v", body, err)
			}
		}
	}
	for _, name := range []string{"organization", "proxy", "extra_headers", "api_version"} { // metadata is the client's own
		if _, err := openai.Parse(openai.Chat, []byte(chat(`,"metadata":{"`+name+`":"x"}`))); err != nil {
			t.Errorf("metadata %s: %v", name, err)
		}
	}
}

func TestDepth200Passes(t *testing.T) {
	body := chat(`,"x":` + strings.Repeat("[", 199) + strings.Repeat("]", 199))
	if _, err := openai.Parse(openai.Chat, []byte(body)); err != nil {
		t.Fatal(err, err.Message)
	}
}

func TestErrorsHoldNoContent(t *testing.T) {
	const canary = "canary-3f9c"
	for _, body := range []string{
		`{"model":"` + canary, `{"model":"m","messages":[{"role":"user","content":"` + canary + `\ud800"}]}`,
		chat(`,"x":"` + canary + `" "`), `{"messages":"` + canary + `"}`, chat(`,"stream":"` + canary + `"`), canary,
		chat(`,"n":1,"n":"` + canary + `"`), chat("") + canary,
	} {
		_, err := openai.Parse(openai.Chat, []byte(body))
		if err == nil {
			t.Fatalf("%s: taken", body)
		}
		if strings.Contains(err.Message, canary) || strings.Contains(err.Param, canary) || strings.Contains(err.Error(), canary) {
			t.Errorf("content in the error: %s", err.Message)
		}
	}
}
