package provider_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/rogpeppe/go-internal/txtar"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// said joins what a client reads from a stream's data.
func said(t *testing.T, out []byte) (mind, text string) {
	t.Helper()
	for line := range bytes.Lines(out) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		var c struct {
			Choices []struct {
				Delta struct {
					Content          string `json:"content"`
					ReasoningContent string `json:"reasoning_content"`
				} `json:"delta"`
			} `json:"choices"`
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		for _, ch := range c.Choices {
			mind += ch.Delta.ReasoningContent
			text += ch.Delta.Content
		}
	}
	return mind, text
}

func contentEvents(pieces ...string) string {
	var b strings.Builder
	for _, p := range pieces {
		q, _ := json.Marshal(p)
		fmt.Fprintf(&b, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}]}\n\n", q)
	}
	b.WriteString("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	return b.String()
}

// However the text is cut into events, thought and answer come out the same.
func TestThinkCuts(t *testing.T) {
	rules := &provider.AnswerRules{ThinkTags: true}
	for _, c := range []struct{ in, mind, text string }{
		{"<think>\n先想\n一想\n</think>\n\n答案 <think>x</think>", "先想\n一想", "答案 <think>x</think>"},
		{"<think></think>a", "", "a"},
		{" \n<think>a</think>", "a", ""},
		{"<think>never closed </thin", "never closed </thin", ""},
		{"  plain <think>no</think>", "", "  plain <think>no</think>"},
		{"<thin air", "", "<thin air"},
		{"", "", ""},
	} {
		for i := range len(c.in) + 1 {
			for j := i; j <= len(c.in); j++ {
				if !utf8Cut(c.in, i) || !utf8Cut(c.in, j) {
					continue
				}
				a := provider.NewAnswer(rules, nil, provider.AnswerOptions{Stream: true})
				var out bytes.Buffer
				proper, err := follow(a, strings.NewReader(contentEvents(c.in[:i], c.in[i:j], c.in[j:])), &out)
				if !proper || err != nil {
					t.Fatalf("%q: %v %v", c.in, proper, err)
				}
				if mind, text := said(t, out.Bytes()); mind != c.mind || text != c.text {
					t.Fatalf("%q cut at %d, %d: thought %q, said %q", c.in, i, j, mind, text)
				}
			}
		}
	}
}

func utf8Cut(s string, i int) bool { return i == len(s) || s[i]&0xc0 != 0x80 }

// A choice that appears later gets its own state, however alike its events are.
func TestLateChoice(t *testing.T) {
	a := provider.NewAnswer(&provider.AnswerRules{ThinkTags: true}, nil, provider.AnswerOptions{Stream: true})
	event := func(index int, content string) string {
		out, _, _, err := a.Event("", fmt.Appendf(nil, `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%d,"delta":{"content":"%s"}}]}`, index, content))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	event(0, "a")
	event(1, "b")
	event(0, "c")
	if out := event(2, "<think>x"); !strings.Contains(out, `"reasoning_content":"x"`) {
		t.Error(out)
	}
	if out := event(12, "<think>y"); !strings.Contains(out, `"reasoning_content":"y"`) {
		t.Error(out)
	}
	if _, proper := a.Finish(); proper {
		t.Error("no choice has finished")
	}
}

// White space without end is not held without end.
func TestThinkHeldBounded(t *testing.T) {
	a := provider.NewAnswer(&provider.AnswerRules{ThinkTags: true}, nil, provider.AnswerOptions{Stream: true})
	var out bytes.Buffer
	pieces := make([]string, 100)
	for i := range pieces {
		pieces[i] = strings.Repeat("\n", 10)
	}
	follow(a, strings.NewReader(contentEvents(pieces[:60]...)), &out)
	if _, text := said(t, out.Bytes()); len(text) != 600 {
		t.Errorf("%d of 600 bytes came", len(text))
	}
}

// The official Go client takes every stream we hand on, whatever the provider sent.
func TestOfficialClientAccepts(t *testing.T) {
	paths, err := filepath.Glob("testdata/answers/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		tr := load(t, path)
		if !tr.stream || tr.opts["endpoint"] != "" {
			continue
		}
		client, _ := tr.replay(4096)
		acc := sdk.ChatCompletionAccumulator{}
		chunks := 0
		for line := range strings.Lines(client) {
			data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
			if !ok || data == "[DONE]" {
				continue
			}
			var c sdk.ChatCompletionChunk
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if !acc.AddChunk(c) {
				t.Errorf("%s: the client refuses %s", path, data)
			}
			chunks++
		}
		if !strings.Contains(client, "[DONE]") || chunks == 0 {
			continue
		}
		for _, choice := range acc.Choices {
			for _, call := range choice.Message.ToolCalls {
				if call.ID == "" || call.Function.Name == "" || !json.Valid([]byte(call.Function.Arguments)) {
					t.Errorf("%s: a tool call the client cannot run: %+v", path, call)
				}
			}
		}
	}
}

func TestSingleBodyForStream(t *testing.T) {
	w, err := provider.Load("minimax-cn")
	if err != nil {
		t.Fatal(err)
	}
	opt := provider.AnswerOptions{Stream: true, WantUsage: true, ID: "f"}
	a := provider.NewAnswer(&w.Answer, w.Errors, opt)
	body := "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\n \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\n\"content\":\"<think>h</think>hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n"
	event, apiErr := a.Single([]byte(body))
	if apiErr != nil || bytes.ContainsAny(event, "\n") {
		t.Fatalf("%s %v", event, apiErr)
	}
	if mind, text := said(t, append([]byte("data: "), event...)); mind != "h" || text != "hi" {
		t.Errorf("thought %q, said %q", mind, text)
	}
	tail, proper := a.Finish()
	if !proper || len(tail) != 1 || !bytes.Contains(tail[0], []byte(`"total_tokens":5`)) {
		t.Errorf("%s %v", tail, proper)
	}
	a = provider.NewAnswer(&w.Answer, w.Errors, opt)
	if _, apiErr := a.Single([]byte(base(1002))); apiErr == nil || apiErr.Status != 429 {
		t.Errorf("%v", apiErr)
	}
	a = provider.NewAnswer(&w.Answer, w.Errors, opt)
	if _, apiErr := a.Single([]byte("<html>")); apiErr == nil || apiErr.Status != 502 {
		t.Errorf("%v", apiErr)
	}
}

func TestPeekAndTail(t *testing.T) {
	w, err := provider.Load("openai")
	if err != nil {
		t.Fatal(err)
	}
	a := provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{})
	if a.NeedsWhole() {
		t.Error("OpenAI's bodies need not be held")
	}
	body := `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", 9000) + ` \"usage\":{\"prompt_tokens\":1}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":3}},"service_tier":"default"}`
	if e := a.Peek([]byte(body)[:4096]); e != nil {
		t.Errorf("an answer was taken for a failure: %v", e)
	}
	a.Tail([]byte(body)[len(body)-2048:])
	if u := a.Usage(); u.Prompt != 7 || u.Cached != 3 || u.Source != provider.UsageProvider {
		t.Errorf("%+v", u)
	}
	for _, head := range []string{`{"error":{"message":"` + strings.Repeat("x", 5000), ` { "error" : "x`, `<html>`} {
		b := provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{})
		if e := b.Peek([]byte(head)); e == nil {
			t.Errorf("%.20s: not seen", head)
		}
	}
	for _, id := range []string{"minimax-cn", "ollama", "azure-openai", "llama-cpp"} {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		if !provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{}).NeedsWhole() {
			t.Errorf("%s: bodies are rewritten", id)
		}
	}
	if !provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{ReencodeBase64: true}).NeedsWhole() {
		t.Error("base64")
	}
}

func TestEmbeddingsBase64(t *testing.T) {
	a := provider.NewAnswer(nil, nil, provider.AnswerOptions{Endpoint: openai.Embeddings, ReencodeBase64: true})
	out, apiErr := a.Body([]byte(`{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,-2,1e-3]},{"object":"embedding","index":1,"embedding":"AAAA"}],"usage":{"prompt_tokens":2,"total_tokens":2}}`))
	if apiErr != nil {
		t.Fatal(apiErr)
	}
	var doc struct{ Data []struct{ Embedding string } }
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(doc.Data[0].Embedding)
	if err != nil || len(b) != 12 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for i, want := range []float32{0.5, -2, 1e-3} {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])); got != want {
			t.Errorf("element %d is %v", i, got)
		}
	}
	if doc.Data[1].Embedding != "AAAA" {
		t.Error("base64 was encoded again")
	}
}

func TestUsageEstimated(t *testing.T) {
	rules := &provider.AnswerRules{Tokens: provider.TokenFactors{CJK: 0.5, Latin: 0.25}}
	a := provider.NewAnswer(rules, nil, provider.AnswerOptions{Stream: true, PromptTokens: 40})
	if u := a.Usage(); u != (provider.Usage{Source: provider.UsageNone}) {
		t.Errorf("nothing came, yet %+v", u)
	}
	a.Event("", []byte(`{"id":"c","choices":[{"index":0,"delta":{"content":"\u4f60好 ab\n\u0041"}}]}`))
	if u := a.Usage(); u.Prompt != 40 || u.Completion != 3 || u.Total != 43 || u.Source != provider.UsageEstimated {
		t.Errorf("%+v", u) // 2 wide and 5 narrow characters: 1 + 1.25
	}
	if n := rules.EstimateTokens([]byte("你好")); n != 1 {
		t.Errorf("%d", n)
	}
	// The words of an error are no output.
	a.Event("", []byte(`{"error":{"message":"a very long explanation","code":"internal_error"}}`))
	if a.Relayed() != 7 {
		t.Errorf("relayed %d", a.Relayed())
	}
}

// A schema may not make the gateway open anything.
func TestSchemaStaysInside(t *testing.T) {
	for _, ref := range []string{"file:///etc/hostname", "http://127.0.0.1:1/s.json"} {
		a := provider.NewAnswer(nil, nil, provider.AnswerOptions{SchemaEmulated: []byte(`{"$ref":"` + ref + `"}`)})
		if _, e := a.Body([]byte(`{"id":"c","choices":[{"index":0,"message":{"content":"{}"},"finish_reason":"stop"}]}`)); e == nil {
			t.Errorf("%s was followed or ignored", ref)
		}
	}
}

// jsonOnly reports whether every event of the stream is JSON.
func jsonOnly(stream []byte) bool {
	er := openai.NewEventReader(bytes.NewReader(stream), nil, 1<<20)
	for {
		ev, err := er.Next()
		if err != nil {
			return true
		}
		if ev.Data != nil && string(bytes.TrimSpace(ev.Data)) != "[DONE]" && !json.Valid(ev.Data) {
			return false
		}
	}
}

// The catalog's answer sections hold only words that mean something, and a class that does not exist is refused.
func TestAnswerSections(t *testing.T) {
	for _, id := range provider.IDs() {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		r := w.Answer
		if r.Done != "" && r.Done != "required" && r.Done != "optional" || r.Model != "" && r.Model != "client" && r.Model != "fill" {
			t.Errorf("%s: done %q, model %q", id, r.Done, r.Model)
		}
		for from, to := range r.Finish {
			switch to {
			case "stop", "length", "tool_calls", "content_filter", "function_call":
			default:
				t.Errorf("%s: finish %s: %s", id, from, to)
			}
		}
		for _, classes := range []map[string]provider.Class{r.FinishError, r.Flags} {
			for word, c := range classes {
				if !c.Valid() {
					t.Errorf("%s: %s: class %q", id, word, c)
				}
			}
		}
	}
	raw, err := os.ReadFile("catalog/practice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Replace(string(raw), "errors: []", "errors: [{http: 402, class: balance}]", 1)
	if _, err := provider.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{strings.Replace(good, "class: balance", "class: money", 1), strings.Replace(good, "http: 402", "htpt: 402", 1)} {
		if _, err := provider.Parse([]byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

// Whatever an upstream sends, nothing panics, what goes out is JSON on one line, and the cut of bytes does not matter.
func FuzzEvent(f *testing.F) {
	paths, _ := filepath.Glob("testdata/answers/*.txtar")
	for _, p := range paths {
		if arc, err := txtar.ParseFile(p); err == nil {
			for _, file := range arc.Files {
				if file.Name == "upstream" {
					f.Add(file.Data, uint8(3))
				}
			}
		}
	}
	f.Add([]byte("data: {\"choices\":[1,{\"delta\":3,\"usage\":[]},{\"message\":{\"tool_calls\":[{}, 4]}}]}\n\n"), uint8(0))
	f.Add([]byte("data: {\"choices\":[{\"finish_reason\":7,\"delta\":{\"tool_calls\":{\"function\":3}}}],\"usage\":3}\n\n"), uint8(1))
	rules := &provider.AnswerRules{ThinkTags: true, Model: "client", Drop: []string{"timings"}, Finish: map[string]string{"eos": "stop"},
		Flags: map[string]provider.Class{"output_sensitive": provider.ClassSafety}, Cumulative: []string{"mt*"}}
	f.Fuzz(func(t *testing.T, stream []byte, how uint8) {
		run := func(size int) (string, string) {
			opt := provider.AnswerOptions{Stream: true, WantUsage: how&1 != 0, Azure: how&2 != 0, ID: "fallback", Model: "asked"}
			if how&4 != 0 {
				opt.UpstreamModel = "mt1"
			}
			if how&8 != 0 {
				opt.Endpoint = openai.Completions
			}
			a := provider.NewAnswer(rules, nil, opt)
			var out bytes.Buffer
			proper, err := follow(a, &slowReader{stream, size}, &out)
			return out.String(), fmt.Sprint(proper, err, a.Usage(), a.Adapted(), a.Relayed())
		}
		out, end := run(4096)
		if jsonOnly(stream) {
			for line := range strings.Lines(out) {
				if data := strings.TrimPrefix(strings.TrimSpace(line), "data: "); data != "" && data != "[DONE]" && !json.Valid([]byte(data)) {
					t.Errorf("not JSON on one line: %q", data)
				}
			}
		}
		if out1, end1 := run(1); out1 != out || end1 != end {
			t.Errorf("reads of 1 byte:\n%s\n%s\nof 4096:\n%s\n%s", out1, end1, out, end)
		}
		a := provider.NewAnswer(rules, nil, provider.AnswerOptions{ReencodeBase64: how&1 != 0})
		if body, err := a.Body(stream); err == nil && json.Valid(stream) && !json.Valid(body) {
			t.Errorf("body is not JSON: %s", body)
		}
		a.Peek(stream)
		a.Tail(stream)
		provider.ClassifyError(nil, 400+int(how), nil, stream)
	})
}
