package gateway_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

// Azure's forms: the key in api-key, the model in the path, which wins over the body's.
func TestAzureForms(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	const path = "/openai/deployments/home-only/chat/completions?api-version=2024-10-21"
	for name, body := range map[string]string{
		"no model in the body": `{"messages":[{"role":"user","content":"hi"}]}`,
		"the same model":       ask("home-only", "hi"),
		"another model":        ask("abroad-only", "hi"),
	} {
		got := g.do(t, "POST", path, body, "Authorization", "", "Api-Key", appKey)
		if got.Status != 200 || got.Header.Get("X-Homeport-Target") != "home/small" {
			t.Errorf("%s: %d to %s: %s", name, got.Status, got.Header.Get("X-Homeport-Target"), got.Body)
		}
		sent := up.last(t)
		if !strings.Contains(sent.Body, `"model":"small"`) || strings.Contains(sent.Body, "abroad-only") || sent.Query != "" || sent.Header.Get("Api-Key") != "" {
			t.Errorf("%s: sent %+v", name, sent)
		}
	}
	if got := g.do(t, "POST", "/openai/deployments/nope/chat/completions", ask("home-only", "hi")); got.Status != 404 || got.code(t) != "model_not_found" {
		t.Errorf("unknown deployment: %d %s", got.Status, got.Body)
	}
}

func TestCompletions(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 0 {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"ok","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"ok","finish_reason":"stop"}]}`+"\n\n"+done)
	})
	g := start(t, setup{home: up, abroad: up})
	got := g.do(t, "POST", "/v1/completions", `{"model":"home-only","prompt":["one","two"],"suffix":"end"}`)
	if got.Status != 200 || !strings.Contains(got.Body, `"text":"ok"`) || up.last(t).Path != "/v1/completions" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if e := g.trail(t, got.id()).decision; e.str("op") != "completions" {
		t.Errorf("op %s", e.str("op"))
	}
	got = g.do(t, "POST", "/v1/completions", `{"model":"home-only","prompt":"one","stream":true}`)
	if got.Status != 200 || !strings.HasSuffix(got.Body, done) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for _, body := range []string{`{"model":"abroad-only","prompt":["x","` + residentID + `"]}`, `{"model":"abroad-only","prompt":"x","suffix":"` + residentID + `"}`} {
		if got := g.do(t, "POST", "/v1/completions", body); got.Status != 403 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	if got := g.do(t, "POST", "/v1/completions", `{"model":"home-only"}`); got.Status != 400 || *got.fault(t).Param != "prompt" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// The Node client asks for base64 by default; what it gets holds the upstream's floats.
func TestEmbeddings(t *testing.T) {
	up := newUpstream(t, nil)
	up.serve = func(w http.ResponseWriter, _ *http.Request, n int) {
		w.Header().Set("Content-Type", "application/json")
		vector := "[0.5,-0.25]"
		if strings.Contains(up.requests()[n].Body, `"base64"`) {
			vector = `"` + pack(0.5, -0.25) + `"`
		}
		io.WriteString(w, `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":`+vector+`}],"usage":{"prompt_tokens":3,"total_tokens":3}}`)
	}
	g := start(t, setup{home: up, abroad: up})
	for _, format := range []string{"", "float", "base64"} {
		body := `{"model":"text-embedding-3-small","input":["你好","hi"]}`
		if format != "" {
			body = `{"model":"text-embedding-3-small","input":["你好","hi"],"encoding_format":"` + format + `"}`
		}
		got := g.do(t, "POST", "/v1/embeddings", body)
		var list struct {
			Data []struct{ Embedding json.RawMessage }
		}
		if err := json.Unmarshal([]byte(got.Body), &list); err != nil || got.Status != 200 || len(list.Data) != 1 {
			t.Fatalf("%q: %d %s %v", format, got.Status, got.Body, err)
		}
		want := "[0.5,-0.25]"
		if format == "base64" {
			want = `"` + pack(0.5, -0.25) + `"`
		}
		if string(list.Data[0].Embedding) != want {
			t.Errorf("%q: %s", format, list.Data[0].Embedding)
		}
		tr := g.trail(t, got.id())
		if tr.decision.str("op") != "embeddings" || tr.conclusion.sub("usage")["prompt"] != float64(3) {
			t.Errorf("%v", tr)
		}
	}
	got := g.do(t, "POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":["clean","`+residentID+`"]}`)
	if got.Header.Get("X-Homeport-Target") != "home/embed" {
		t.Errorf("a resident id in an input goes to %s", got.Header.Get("X-Homeport-Target"))
	}
}

func pack(floats ...float32) string {
	var b []byte
	for _, f := range floats {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Every answer has an event id of its own, and a stream keeps one id throughout.
func TestIDs(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, strings.ReplaceAll(plainStream, `"id":"chatcmpl-1",`, ""))
	})
	g := start(t, setup{home: up})
	seen := map[string]bool{}
	for range 20 {
		got := g.chat(t, ask("home-only", "hi", `,"stream":true`))
		if seen[got.id()] || len(got.id()) != len("hp_")+26 {
			t.Errorf("id %q", got.id())
		}
		seen[got.id()] = true
		ids := map[string]bool{}
		for line := range strings.Lines(got.Body) {
			var c struct{ ID string }
			if data, ok := strings.CutPrefix(line, "data: {"); ok {
				if err := json.Unmarshal([]byte("{"+data), &c); err != nil {
					t.Fatal(err)
				}
				ids[c.ID] = true
			}
		}
		if len(ids) != 1 || ids[""] {
			t.Errorf("ids of chunks %v", ids)
		}
	}
}
