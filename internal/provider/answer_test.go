package provider_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/answers")

// transcript is one file of testdata/answers: the comment holds "key: value" lines (provider, model, upstream_model, azure,
// usage, stream, endpoint, base64, schema, complete), "upstream" what the provider sends; "client" and "result" are checked.
type transcript struct {
	path    string
	arc     *txtar.Archive
	opts    map[string]string
	answer  func() *provider.Answer
	stream  bool
	content []byte
}

func load(t *testing.T, path string) *transcript {
	t.Helper()
	arc, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transcript{path: path, arc: arc, opts: map[string]string{}}
	for line := range strings.Lines(string(arc.Comment)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(key, "#") {
			tr.opts[key] = value
		}
	}
	w, err := provider.Load(tr.opts["provider"])
	if err != nil {
		t.Fatal(err)
	}
	o := tr.opts
	tr.stream = o["stream"] != "false"
	opt := provider.AnswerOptions{Endpoint: openai.Chat, Stream: tr.stream, WantUsage: o["usage"] == "true", Azure: o["azure"] == "true",
		Model: o["model"], UpstreamModel: o["upstream_model"], ID: "chatcmpl-fallback", Created: 1700000000,
		LegacyFunctions: o["legacy"] == "true", ReencodeBase64: o["base64"] == "true", PromptTokens: 11}
	switch o["endpoint"] {
	case "embeddings":
		opt.Endpoint = openai.Embeddings
	case "completions":
		opt.Endpoint = openai.Completions
	}
	if s := o["schema"]; s != "" {
		opt.SchemaEmulated = []byte(s)
	}
	tr.answer = func() *provider.Answer { return provider.NewAnswer(&w.Answer, w.Errors, opt) }
	tr.content = tr.file("upstream")
	return tr
}

func (tr *transcript) file(name string) []byte {
	for _, f := range tr.arc.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// replay runs the transcript with reads of at most size bytes and returns what the client gets and how it ended.
func (tr *transcript) replay(size int) (client, result string) {
	a := tr.answer()
	var out bytes.Buffer
	var apiErr *openai.Error
	proper := true
	if !tr.stream {
		body, err := a.Body(bytes.TrimSuffix(tr.content, []byte("\n")))
		out.Write(body)
		if err == nil {
			out.WriteByte('\n')
		}
		apiErr = err
	} else {
		proper, apiErr = follow(a, &slowReader{tr.content, size}, &out)
	}
	var r strings.Builder
	if apiErr != nil {
		fmt.Fprintf(&r, "error: %d %s %s %s class=%s noretry=%v\n", apiErr.Status, apiErr.Type, apiErr.Code, apiErr.Param, a.Class(), apiErr.NoRetry)
	} else if !proper {
		fmt.Fprintf(&r, "broken: class=%s\n", a.Class())
	}
	u := a.Usage()
	fmt.Fprintf(&r, "usage: %d+%d=%d cached=%d reasoning=%d %s\n", u.Prompt, u.Completion, u.Total, u.Cached, u.Reasoning, u.Source)
	fmt.Fprintf(&r, "relayed: %d\n", a.Relayed())
	fmt.Fprintf(&r, "adapted: %s\n", strings.Join(a.Adapted(), " "))
	return out.String(), r.String()
}

// follow does with a stream what the gateway does.
func follow(a *provider.Answer, r io.Reader, out *bytes.Buffer) (proper bool, apiErr *openai.Error) {
	er := openai.NewEventReader(r, nil, 1<<20)
	for {
		ev, err := er.Next()
		if err != nil {
			break
		}
		if ev.Data == nil {
			continue
		}
		data, emit, done, apiErr := a.Event(ev.Name, ev.Data)
		if apiErr != nil {
			a.Finish()
			return false, apiErr
		}
		if emit {
			fmt.Fprintf(out, "data: %s\n\n", data)
		}
		if done {
			break
		}
	}
	tail, proper := a.Finish()
	if proper {
		for _, data := range tail {
			fmt.Fprintf(out, "data: %s\n\n", data)
		}
		out.WriteString("data: [DONE]\n\n")
	}
	return proper, nil
}

type slowReader struct {
	b    []byte
	size int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/answers/*.txtar")
	if err != nil || len(paths) < 20 {
		t.Fatalf("only %d transcripts (%v)", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			tr := load(t, path)
			for _, size := range []int{1, 7, 4096} {
				client, result := tr.replay(size)
				for line := range strings.Lines(client) {
					data := strings.TrimPrefix(strings.TrimSpace(line), "data: ")
					if data != "" && data != "[DONE]" && !json.Valid([]byte(data)) {
						t.Errorf("reads of %d: not JSON: %s", size, data)
					}
				}
				if *update && size == 1 {
					tr.set("client", client)
					tr.set("result", result)
					if err := os.WriteFile(path, txtar.Format(tr.arc), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want := string(tr.file("client")); client != want {
					t.Errorf("reads of %d: client got\n%s\nwant\n%s", size, client, want)
				}
				if want := string(tr.file("result")); result != want {
					t.Errorf("reads of %d: result\n%s\nwant\n%s", size, result, want)
				}
			}
		})
	}
}

// Every provider that answers chats has a transcript of what is its own.
func TestEveryProviderHasTranscript(t *testing.T) {
	paths, err := filepath.Glob("testdata/answers/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, path := range paths {
		shown[load(t, path).opts["provider"]] = true
	}
	for _, id := range provider.IDs() {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		if w.Endpoints.Chat != provider.No && !shown[id] {
			t.Errorf("%s has no transcript", id)
		}
	}
}

func (tr *transcript) set(name, data string) {
	for i := range tr.arc.Files {
		if tr.arc.Files[i].Name == name {
			tr.arc.Files[i].Data = []byte(data)
			return
		}
	}
	tr.arc.Files = append(tr.arc.Files, txtar.File{Name: name, Data: []byte(data)})
}

const plainDelta = `{"id":"chatcmpl-B1","object":"chat.completion.chunk","created":1767225600,"model":"gpt-6.2-sol","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" 你好 world"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"%s"}`

// A normal delta is relayed as it came and costs no memory.
func TestPlainDelta(t *testing.T) {
	for _, id := range []string{"openai", "dashscope", "deepseek", "vllm", "minimax-cn"} {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		a := provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{Stream: true, Model: "gpt-4o"})
		first := fmt.Appendf(nil, plainDelta, "a")
		if _, emit, done, apiErr := a.Event("", first); !emit || done || apiErr != nil {
			t.Fatalf("%s: the first event: %v %v %v", id, emit, done, apiErr)
		}
		data := fmt.Appendf(nil, plainDelta, "xyz")
		allocs := testing.AllocsPerRun(200, func() {
			out, emit, done, apiErr := a.Event("", data)
			if !emit || done || apiErr != nil || &out[0] != &data[0] || len(out) != len(data) {
				t.Fatal("the delta was changed")
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations per delta", id, allocs)
		}
		if got := a.Relayed(); got != 202*9 {
			t.Errorf("%s: relayed %d characters", id, got)
		}
		if a.Adapted() != nil {
			t.Errorf("%s: adapted %v", id, a.Adapted())
		}
	}
}

// What an event holds decides, not that it begins like the one before.
func TestHeadDoesNotHide(t *testing.T) {
	head := `{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"}`
	begin := func() *provider.Answer {
		a := provider.NewAnswer(nil, nil, provider.AnswerOptions{Stream: true})
		for range 2 {
			if out, emit, _, err := a.Event("", []byte(head+`}]}`)); !emit || err != nil || string(out) != head+`}]}` {
				t.Fatal("the plain event was not relayed")
			}
		}
		return a
	}
	if _, _, _, err := begin().Event("", []byte(head+`}],"error":{"message":"m","code":"rate_limit_exceeded"}}`)); err == nil || err.Status != 429 {
		t.Errorf("error behind choices: %v", err)
	}
	a := begin()
	if out, emit, _, err := a.Event("", []byte(head+`}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`)); err != nil || !emit || bytes.Contains(out, []byte("usage")) || a.Usage().Prompt != 3 {
		t.Errorf("usage behind choices: %s %v", out, err)
	}
	if out, _, _, err := begin().Event("", []byte(head+`,"finish_reason":"eos"}]}`)); err != nil || !bytes.Contains(out, []byte(`"finish_reason":"stop"`)) {
		t.Errorf("finish reason: %s %v", out, err)
	}
	if _, _, _, err := begin().Event("", []byte(head+`}]`)); err == nil || err.Status != 502 {
		t.Errorf("an event that stops short: %v", err)
	}
	text := head[:len(head)-2] + `\"usage\":{} \"error\": 1"}}]}`
	if out, emit, _, err := begin().Event("", []byte(text)); err != nil || !emit || string(out) != text {
		t.Errorf("words within the text were acted upon: %s %v", out, err)
	}
}

// With choices first, what identifies the stream stands behind them and is looked at all the same.
func TestTailDoesNotHide(t *testing.T) {
	a := provider.NewAnswer(nil, nil, provider.AnswerOptions{Stream: true})
	event := func(id string) []byte {
		return []byte(`{"choices":[{"index":0,"delta":{"content":"a"}}],"object":"chat.completion.chunk","created":1,"model":"m","id":"` + id + `"}`)
	}
	for _, id := range []string{"one", "one", "two", "one", "two"} {
		out, emit, _, err := a.Event("", event(id))
		if err != nil || !emit || !bytes.Contains(out, []byte(`"id":"one"`)) {
			t.Errorf("%s %v", out, err)
		}
	}
}

func BenchmarkPlainDelta(b *testing.B) {
	w, err := provider.Load("openai")
	if err != nil {
		b.Fatal(err)
	}
	a := provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{Stream: true})
	data := fmt.Appendf(nil, plainDelta, "xyz")
	a.Event("", data)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		a.Event("", data)
	}
}

// BenchmarkUsageOnEachChunk is the path of an event that must be read in full: StepFun's.
func BenchmarkUsageOnEachChunk(b *testing.B) {
	w, err := provider.Load("stepfun-cn")
	if err != nil {
		b.Fatal(err)
	}
	a := provider.NewAnswer(&w.Answer, w.Errors, provider.AnswerOptions{Stream: true})
	data := []byte(`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" 你好 world"},"finish_reason":""}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		a.Event("", data)
	}
}
