package practice_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"homeport/internal/practice"
)

// FuzzAnswer: any body gets an answer: JSON, or a stream of JSON events, and an error in the OpenAI shape unless it is 200.
func FuzzAnswer(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		line, body, _ := strings.Cut(string(txtar.Parse(data).Files[0].Data), "\n")
		if path, ok := strings.CutPrefix(line, "POST "); ok {
			f.Add(path, body)
		}
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		switch path {
		case chatPath, "/v1/completions", "/v1/embeddings":
		default:
			return
		}
		rec, aborted, _ := do(t, "POST", path, body)
		switch got := rec.Body.Bytes(); {
		case aborted:
		case rec.Header().Get("Content-Type") == "text/event-stream":
			for line := range bytes.Lines(got) {
				if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok && string(data) != "[DONE]" && !json.Valid(data) {
					t.Fatalf("an event is not JSON: %s", data)
				}
			}
		case rec.Code == 200:
			if !json.Valid(got) {
				t.Fatalf("the answer is not JSON: %s", got)
			}
		default:
			var e struct {
				Error *struct{ Message, Type string }
			}
			if json.Unmarshal(got, &e) != nil || e.Error == nil || e.Error.Message == "" || e.Error.Type == "" {
				t.Fatalf("status %d without an error: %s", rec.Code, got)
			}
		}
	})
}

// FuzzInstance: any schema gets an instance or an error, quickly; instance itself validates what it gives.
func FuzzInstance(f *testing.F) {
	for _, s := range []string{`{}`, `true`, `{"type":"string","pattern":"^a{2}[b-d]+$"}`, `{"type":"integer","multipleOf":3,"exclusiveMaximum":-1}`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#"},{"type":"array","minItems":3,"items":{"$ref":"#/$defs/a"}}]}}}`,
		`{"type":["object","null"],"required":["a"],"properties":{"a":{"oneOf":[{"const":1e400},{"enum":[null]}]}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, schema string) {
		got, err := practice.Instance(json.RawMessage(schema), "w", true)
		if err == nil && !json.Valid(got) {
			t.Fatalf("not JSON: %s", got)
		}
	})
}
