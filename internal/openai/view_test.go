package openai_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	"slices"
	"strings"
	"testing"

	"homeport/internal/openai"
)

const full = ` { "model" : "gpt-4o" , "stream":true,"stream_options":{"include_usage":true},
 "messages":[
  {"role":"system","content":"你好"},
  {"role":"user","content":[{"type":"text","text":"one "},{"type":"text","text":"tw\u006f"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://pics.example/a.png"}}],"name":"anna"},
  {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"杭州\"}"}}],"reasoning_content":"think"},
  {"role":"tool","tool_call_id":"c1","content":"sunny"}
 ],
 "seed": 9007199254740993, "user":"u-1", "tools":[{"type":"function","function":{"name":"weather","description":"about weather","parameters":{"properties":{"longproperty":{}}}}}],
 "suffix":"end"
} `

func parse(t testing.TB, op openai.Endpoint, body string) *openai.Request {
	t.Helper()
	r, err := openai.Parse(op, []byte(body))
	if err != nil {
		t.Fatalf("%v: %s", err, err.Message)
	}
	return r
}

func TestRequestView(t *testing.T) {
	r := parse(t, openai.Chat, full)
	if r.Model != "gpt-4o" || !r.Stream || !r.IncludeUsage || len(r.Messages) != 4 {
		t.Fatalf("model %q stream %v usage %v messages %d", r.Model, r.Stream, r.IncludeUsage, len(r.Messages))
	}
	if got := string(r.ModelSpan.Of(r.Raw)); got != `"gpt-4o"` {
		t.Errorf("model span %s", got)
	}
	if got := string(r.Value("seed")); got != "9007199254740993" {
		t.Errorf("seed %s", got)
	}
	if string(r.Object.Of(r.Raw)) != strings.TrimSpace(full) {
		t.Errorf("object span %v", r.Object)
	}
	var roles []string
	for _, m := range r.Messages {
		roles = append(roles, m.Role)
		if !json.Valid(m.Of(r.Raw)) {
			t.Errorf("message span %s", m.Of(r.Raw))
		}
	}
	if !slices.Equal(roles, []string{"system", "user", "assistant", "tool"}) {
		t.Errorf("roles %v", roles)
	}
	if r.Uninspected != 2 {
		t.Errorf("uninspected %d, want the two images", r.Uninspected)
	}
	checkSpans(t, r)
	var texts []string
	for _, x := range r.Texts {
		texts = append(texts, string(x.Of(r.Raw)))
	}
	for _, want := range []string{"gpt-4o", "你好", "one ", `tw\u006f`, "https://pics.example/a.png", "anna", "weather", `{\"city\":\"杭州\"}`, "think",
		"sunny", "9007199254740993", "u-1", "about weather", "longproperty", "end"} {
		if !slices.Contains(texts, want) {
			t.Errorf("text %q is not seen (attack case E3)", want)
		}
	}
	for _, x := range texts {
		if strings.HasPrefix(x, "data:") {
			t.Error("a data URL counts as text")
		}
	}
}

// checkSpans re-slices every span of a view: what is judged is what is in the bytes (invariant 2).
func checkSpans(t testing.TB, r *openai.Request) {
	t.Helper()
	var whole map[string]jsontext.Value
	if err := json.Unmarshal(r.Raw, &whole); err != nil {
		t.Fatal(err)
	}
	if len(whole) != len(r.Fields) {
		t.Errorf("%d fields, want %d", len(r.Fields), len(whole))
	}
	field := func(f openai.Field, values map[string]jsontext.Value) {
		var name string
		if err := json.Unmarshal(f.NameSpan.Of(r.Raw), &name); err != nil || name != f.Name {
			t.Errorf("name span of %q is %q", f.Name, f.NameSpan.Of(r.Raw))
		}
		if string(f.Value.Of(r.Raw)) != string(values[f.Name]) {
			t.Errorf("value of %q is %q, want %q", f.Name, f.Value.Of(r.Raw), values[f.Name])
		}
	}
	for _, f := range r.Fields {
		field(f, whole)
	}
	for i := range r.Messages {
		var m map[string]jsontext.Value
		if err := json.Unmarshal(r.Messages[i].Of(r.Raw), &m); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		for _, f := range r.Messages[i].Fields {
			field(f, m)
		}
	}
	last := 0
	for _, x := range r.Texts {
		if x.Start < last && x.Start < r.Object.Start || x.End > len(r.Raw) || x.Start > x.End {
			t.Fatalf("text span %v out of place", x.Span)
		}
		last = x.Start
		raw := x.Of(r.Raw)
		if x.Number {
			if _, err := jsontext.NewDecoder(strings.NewReader(string(raw))).ReadToken(); err != nil || len(raw) < 7 {
				t.Errorf("number text %q", raw)
			}
			continue
		}
		quoted := r.Raw[x.Start-1 : x.End+1]
		var s string
		if err := json.Unmarshal(quoted, &s); err != nil {
			t.Errorf("text span %q is no string", quoted)
		}
		if x.Escaped != strings.Contains(string(raw), `\`) || !x.Escaped && s != string(raw) {
			t.Errorf("text %q: escaped %v", raw, x.Escaped)
		}
	}
}

// Parts of one content are neighbours; messages, inputs and fields are apart.
func TestGroups(t *testing.T) {
	r := parse(t, openai.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"aa"},{"type":"text","text":"bb"},"cc"]},{"role":"user","content":"dd"}]}`)
	group := map[string]int32{}
	for _, x := range r.Texts {
		if x.Content {
			group[string(x.Of(r.Raw))] = x.Group
		}
	}
	if len(group) != 4 || group["aa"] != group["bb"] || group["bb"] != group["cc"] || group["cc"] == group["dd"] {
		t.Errorf("groups %v", group)
	}
	r = parse(t, openai.Embeddings, `{"model":"m","input":["aa","bb"]}`)
	if r.Texts[1].Group == r.Texts[2].Group {
		t.Error("inputs are not apart")
	}
}

func TestUninspected(t *testing.T) {
	for _, test := range []struct {
		op   openai.Endpoint
		body string
		want int
	}{
		{openai.Embeddings, `{"model":"m","input":"text"}`, 0},
		{openai.Embeddings, `{"model":"m","input":["a","b"]}`, 0},
		{openai.Embeddings, `{"model":"m","input":[1,2,3]}`, 1},
		{openai.Embeddings, `{"model":"m","input":[[1,2],[3]]}`, 2},
		{openai.Embeddings, `{"model":"m","input":7}`, 1},
		{openai.Completions, `{"model":"m","prompt":[[1,2],"x"]}`, 1},
		{openai.Chat, chat(""), 0},
		{openai.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`, 1},
		{openai.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"AAAA","filename":"a.pdf"}}]}]}`, 1},
		{openai.Chat, `{"model":"m","messages":[{"role":"assistant","audio":{"id":"x"}}]}`, 1},
	} {
		if r := parse(t, test.op, test.body); r.Uninspected != test.want {
			t.Errorf("%s: %d uninspected, want %d", test.body, r.Uninspected, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(chat(""))
	f.Add(`{"model":"m","input":[1,2,"x",[3]]}`)
	f.Add(`{"model":"m","prompt":"x","metadata":{"a":1}}`)
	f.Add(`{"model":"a","mod\u0065l":"b"}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, op := range []openai.Endpoint{openai.Chat, openai.Completions, openai.Embeddings} {
			r, err := openai.Parse(op, []byte(body))
			if err != nil {
				if err.Status != 400 || err.Message == "" {
					t.Fatalf("error %+v", err)
				}
				continue
			}
			checkSpans(t, r)
			for _, field := range r.Fields {
				walk(t, r.Raw, field.Value)
			}
		}
	})
}

// walk compares Members and Elements with a decoder at every depth.
func walk(t testing.TB, raw []byte, at openai.Span) {
	switch raw[at.Start] {
	case '{':
		var want map[string]jsontext.Value
		if err := json.Unmarshal(at.Of(raw), &want); err != nil {
			t.Fatal(err)
		}
		got := openai.Members(raw, at)
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d", len(got), len(want))
		}
		for _, f := range got {
			if string(f.Value.Of(raw)) != string(want[f.Name]) {
				t.Fatalf("member %q is %q, want %q", f.Name, f.Value.Of(raw), want[f.Name])
			}
			if v, ok := openai.Member(raw, at, f.Name); !ok || v != f.Value {
				t.Fatalf("member %q not found", f.Name)
			}
			walk(t, raw, f.Value)
		}
		if openai.Elements(raw, at) != nil {
			t.Fatal("an object has elements")
		}
	case '[':
		var want []jsontext.Value
		if err := json.Unmarshal(at.Of(raw), &want); err != nil {
			t.Fatal(err)
		}
		got := openai.Elements(raw, at)
		if len(got) != len(want) {
			t.Fatalf("%d elements, want %d", len(got), len(want))
		}
		for i, e := range got {
			if string(e.Of(raw)) != string(want[i]) {
				t.Fatalf("element %d is %q, want %q", i, e.Of(raw), want[i])
			}
			walk(t, raw, e)
		}
		if openai.Members(raw, at) != nil {
			t.Fatal("an array has members")
		}
	case '"':
		var want string
		if err := json.Unmarshal(at.Of(raw), &want); err != nil {
			t.Fatal(err)
		}
		if got := openai.Str(raw, at); got != want {
			t.Fatalf("string %q, want %q", got, want)
		}
	}
}
