package practice_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"homeport/internal/practice"
)

const chatPath = "/v1/chat/completions"

func user(text string) string {
	b, _ := json.Marshal(text)
	return `{"role":"user","content":` + string(b) + `}`
}

// TestHonest: whatever model is asked for, in whatever form, the answer says practice in model, fingerprint and header, and
// its text says so in the prompt's language.
func TestHonest(t *testing.T) {
	for _, c := range []struct{ name, path, body, says string }{
		{"zh", chatPath, `{"model":"gpt-4o","messages":[` + user("你好") + `]}`, "练习"},
		{"en", chatPath, `{"model":"gpt-4o","messages":[` + user("hello") + `]}`, "practice upstream; no model wrote it"},
		{"echo", chatPath, `{"messages":[` + user("/echo I am GPT") + `]}`, "[practice] I am GPT"},
		{"long", chatPath, `{"messages":[` + user("practice: long 2") + `]}`, "[practice] piece 1."},
		{"json", chatPath, `{"messages":[` + user("x") + `],"response_format":{"type":"json_object"}}`, `\"practice\":true`},
		{"open schema without text", chatPath, `{"messages":[` + user("好") + `],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}}}`,
			`{\"n\":0,\"practice\":\"练习\"}`},
		{"completion", "/v1/completions", `{"prompt":"从前"}`, "【练习】"},
		{"embedding", "/v1/embeddings", `{"input":"x","dimensions":2}`, `"model":"practice"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec, _, _ := do(t, "POST", c.path, c.body)
			var got struct {
				Model       string
				Fingerprint string `json:"system_fingerprint"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
				t.Fatalf("status %d, %v", rec.Code, err)
			}
			if got.Model != "practice" || got.Fingerprint != "practice" && c.name != "embedding" || rec.Header().Get(practice.Header) == "" {
				t.Errorf("model %q, fingerprint %q, header %q", got.Model, got.Fingerprint, rec.Header().Get(practice.Header))
			}
			if !strings.Contains(rec.Body.String(), c.says) {
				t.Errorf("answer does not say %q: %s", c.says, rec.Body)
			}
		})
	}
}

// TestStreamEqualsPlain: the deltas of a stream add up to the plain answer's message, and its ids never change.
func TestStreamEqualsPlain(t *testing.T) {
	rest := `"messages":[` + user("get_weather 北京") + `],"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
	text := `"messages":[` + user("你好 world") + `],"reasoning_effort":"low"`
	for _, body := range []string{rest, text} {
		plain, _, _ := do(t, "POST", chatPath, "{"+body+"}")
		stream, _, _ := do(t, "POST", chatPath, `{"stream":true,`+body+"}")
		type call struct {
			Function struct{ Name, Arguments string }
		}
		type message struct {
			Content   string
			Reasoning string `json:"reasoning_content"`
			Calls     []call `json:"tool_calls"`
		}
		var want struct {
			Choices []struct{ Message message }
		}
		if err := json.Unmarshal(plain.Body.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		var got message
		ids := map[string]bool{}
		for _, e := range events(t, stream.Body.Bytes()) {
			var chunk struct {
				ID      string
				Choices []struct{ Delta message }
			}
			if err := json.Unmarshal(e, &chunk); err != nil {
				t.Fatal(err)
			}
			ids[chunk.ID] = true
			d := chunk.Choices[0].Delta
			got.Content += d.Content
			got.Reasoning += d.Reasoning
			for _, c := range d.Calls {
				if got.Calls == nil {
					got.Calls = make([]call, 1)
				}
				got.Calls[0].Function.Name += c.Function.Name
				got.Calls[0].Function.Arguments += c.Function.Arguments
			}
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want.Choices[0].Message)
		if string(g) != string(w) || len(ids) != 1 {
			t.Errorf("stream gave %s with %d ids, plain %s", g, len(ids), w)
		}
	}
}

// events returns the data of each event but [DONE], which must be the last.
func events(t *testing.T, stream []byte) [][]byte {
	t.Helper()
	var out [][]byte
	sc := bufio.NewScanner(bytes.NewReader(stream))
	for sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			out = append(out, []byte(data))
		}
	}
	if len(out) == 0 || string(out[len(out)-1]) != "[DONE]" {
		t.Fatal("the stream does not end with [DONE]")
	}
	return out[:len(out)-1]
}

// TestInstances: what instance makes is valid, is what a reader expects, and hostile schemas end quickly.
func TestInstances(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"empty", `{}`, `{}`},
		{"optional members are left out", `{"type":"object","properties":{"a":{"type":"string"}}}`, `{}`},
		{"required without a property", `{"type":"object","required":["a"]}`, `{"a":"w"}`},
		{"string", `{"type":"string"}`, `"w"`},
		{"string lengths", `{"type":"string","minLength":3,"maxLength":4}`, `"www"`},
		{"empty string", `{"type":"string","maxLength":0}`, `""`},
		{"long string", `{"type":"string","minLength":200000}`, `"` + strings.Repeat("w", 200000) + `"`},
		{"pattern", `{"type":"string","pattern":"^[A-Z]{2}-\\d{3}(x|y)?$"}`, `"AA-000"`},
		{"uuid", `{"type":"string","format":"uuid"}`, `"00000000-0000-4000-8000-000000000000"`},
		{"date-time", `{"type":"string","format":"date-time"}`, `"2026-01-01T00:00:00Z"`},
		{"integer from 5", `{"type":"integer","minimum":5}`, `5`},
		{"integer above 5", `{"type":"integer","exclusiveMinimum":5}`, `6`},
		{"integer below -2.5", `{"type":"integer","maximum":-2.5}`, `-3`},
		{"large integer stays exact", `{"type":"integer","minimum":9007199254740993}`, `9007199254740993`},
		{"multiple", `{"type":"number","minimum":1,"multipleOf":0.3}`, `1.2`},
		{"open interval", `{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`, `0.5`},
		{"open below", `{"type":"number","exclusiveMaximum":0}`, `-1`},
		{"enum", `{"enum":["b","a"]}`, `"b"`},
		{"const", `{"const":{"k":[1]}}`, `{"k":[1]}`},
		{"null or text", `{"type":["null","string"]}`, `"w"`},
		{"array", `{"type":"array","items":{"type":"boolean"},"minItems":2}`, `[true,true]`},
		{"tuple", `{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":2}`, `[0,"w"]`},
		{"anyOf skips what cannot be", `{"anyOf":[false,{"type":"integer"}]}`, `0`},
		{"allOf", `{"allOf":[{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}},{"required":["b"],"properties":{"b":{"type":"null"}}}]}`, `{"a":0,"b":null}`},
		{"ref", `{"type":"object","properties":{"n":{"$ref":"#/definitions/n~1m"}},"required":["n"],"definitions":{"n/m":{"type":"integer"}}}`, `{"n":0}`},
		{"optional recursion", `{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"type":"null"},{"$ref":"#"}]}},"required":["v","next"]}`, `{"v":0,"next":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := practice.Instance(json.RawMessage(c.schema), "w", false)
			if err != nil || string(got) != c.want {
				t.Fatalf("got %s, %v; want %s", got, err, c.want)
			}
			comp := jsonschema.NewCompiler()
			doc, _ := jsonschema.UnmarshalJSON(strings.NewReader(c.schema))
			if err := comp.AddResource("mem:s", doc); err != nil {
				t.Fatal(err)
			}
			value, _ := jsonschema.UnmarshalJSON(bytes.NewReader(got))
			if err := comp.MustCompile("mem:s").Validate(value); err != nil {
				t.Errorf("not valid: %v", err)
			}
		})
	}
	for name, schema := range map[string]string{
		"required recursion": `{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","minItems":9,"items":{"$ref":"#/$defs/a"}}}}`,
		"huge":               `{"type":"array","minItems":1000000000,"items":{}}`,
		"many long strings":  `{"type":"array","minItems":1000,"items":{"type":"string","minLength":60000}}`,
		"false":              `false`,
		"contradiction":      `{"type":"integer","minimum":2,"maximum":1}`,
		"file reference":     `{"$ref":"file:///etc/hostname"}`,
		"remote reference":   `{"$ref":"http://127.0.0.1:1/x"}`,
		"not a schema":       `{"type":7}`,
		"not JSON":           `{`,
	} {
		if got, err := practice.Instance(json.RawMessage(schema), "w", true); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

// TestVectors: unit length, the same for the same text, near for texts that share words, far for others.
func TestVectors(t *testing.T) {
	rec, _, _ := do(t, "POST", "/v1/embeddings", `{"input":["退货需要多久","退货要多久","今天天气很好","退货需要多久"]}`)
	var got struct {
		Data []struct{ Embedding []float64 }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.Data) != 4 {
		t.Fatalf("%v, %d vectors", err, len(got.Data))
	}
	dot := func(i, j int) (s float64) {
		for k, x := range got.Data[i].Embedding {
			s += x * got.Data[j].Embedding[k]
		}
		return s
	}
	if n := len(got.Data[0].Embedding); n != 1536 {
		t.Errorf("%d dimensions, want 1536", n)
	}
	if math.Abs(dot(0, 0)-1) > 1e-5 || math.Abs(dot(0, 3)-1) > 1e-5 {
		t.Errorf("length %v, same text %v; want 1, 1", dot(0, 0), dot(0, 3))
	}
	if dot(0, 1) < dot(0, 2)+0.2 {
		t.Errorf("like texts %v, unlike %v", dot(0, 1), dot(0, 2))
	}
}

// TestBodyBound: a body over the bound is 413, whether or not its length is announced.
func TestBodyBound(t *testing.T) {
	h := practice.New(practice.Options{MaxBody: 100})
	for _, announced := range []bool{true, false} {
		body := io.Reader(strings.NewReader(`{"messages":[` + user(strings.Repeat("x", 200)) + `]}`))
		if !announced {
			body = io.MultiReader(body)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", chatPath, body))
		if rec.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("announced %v: status %d, want 413", announced, rec.Code)
		}
	}
}

// TestClientGone: a client that leaves during a pause ends the work; nothing more is written.
func TestClientGone(t *testing.T) {
	ctx, leave := context.WithCancel(context.Background())
	pauses := 0
	h := practice.New(practice.Options{Sleep: func(ctx context.Context, _ time.Duration) error {
		if pauses++; pauses == 3 {
			leave()
		}
		return ctx.Err()
	}})
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("POST", chatPath, strings.NewReader(`{"stream":true,"messages":[`+user("practice: long 1000 1s")+`]}`))
	h.ServeHTTP(rec, req.WithContext(ctx))
	if pauses != 3 || strings.Contains(rec.Body.String(), "[DONE]") {
		t.Errorf("%d pauses, want 3 and no [DONE]", pauses)
	}
}

// TestBreakOverTheWire: over a real connection a broken answer is an error to read, never a clean end.
func TestBreakOverTheWire(t *testing.T) {
	srv := httptest.NewServer(practice.New(practice.Options{}))
	defer srv.Close()
	for _, stream := range []string{"true", "false"} {
		res, err := http.Post(srv.URL+chatPath, "application/json",
			strings.NewReader(`{"stream":`+stream+`,"messages":[`+user("practice: break stream\nhello")+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || len(body) == 0 {
			t.Errorf("stream %s: read %d bytes and %v, want some bytes and an error", stream, len(body), err)
		}
	}
}

// TestErrorsHoldNoPrompt: an error about the body never repeats what is in it.
func TestErrorsHoldNoPrompt(t *testing.T) {
	const secret = "110101199003074530" // synthetic
	for _, body := range []string{
		`{"messages":"` + secret + `"}`,
		`{"messages":[{"role":"` + secret + `","content":"x"}]}`,
		`{"messages":[{"role":"user","content":[{"type":"` + secret + `"}]}]}`,
		`{"n":"` + secret + `","messages":[]}`,
		`{"n":` + secret + `000,"messages":[]}`,
		`{"` + secret,
		`{"messages":[` + user("practice: "+secret) + `]}`,
		`{"stop":{"a":"` + secret + `"},"messages":[` + user("x") + `]}`,
	} {
		rec, _, _ := do(t, "POST", chatPath, body)
		if rec.Code < 400 || strings.Contains(rec.Body.String(), secret) {
			t.Errorf("status %d, answer repeats the prompt: %v", rec.Code, strings.Contains(rec.Body.String(), secret))
		}
	}
}
