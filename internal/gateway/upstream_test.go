package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// seen is one request as an upstream got it.
type seen struct {
	Path   string
	Query  string
	Host   string
	Header http.Header
	Body   string
}

// upstream is a provider of the test's behaviour. serve is given the body and how many requests came before.
type upstream struct {
	url   string
	serve func(w http.ResponseWriter, r *http.Request, n int)

	mu   sync.Mutex
	seen []seen
	left chan struct{} // one token for each request whose caller left before its answer ended
}

func newUpstream(t testing.TB, serve func(w http.ResponseWriter, r *http.Request, n int)) *upstream {
	t.Helper()
	u := &upstream{serve: serve, left: make(chan struct{}, 1000)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		u.mu.Lock()
		n := len(u.seen)
		u.seen = append(u.seen, seen{r.URL.EscapedPath(), r.URL.RawQuery, r.Host, r.Header.Clone(), string(body)})
		u.mu.Unlock()
		u.serve(w, r, n)
		if r.Context().Err() != nil {
			u.left <- struct{}{}
		}
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	u.url = srv.URL
	return u
}

func (u *upstream) requests() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

func (u *upstream) count() int { return len(u.requests()) }

func (u *upstream) last(t testing.TB) seen {
	t.Helper()
	all := u.requests()
	if len(all) == 0 {
		t.Fatal("the upstream was not asked")
	}
	return all[len(all)-1]
}

const completion = `{"id":"chatcmpl-1","object":"chat.completion","created":1763791627,"model":"upstream-model","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}`

func answering(w http.ResponseWriter, _ *http.Request, _ int) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, completion)
}

// failing answers with a status and an OpenAI error.
func failing(status int, code string, header ...string) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"synthetic","type":"server_error","param":null,"code":%q}}`, code)
	}
}

// chunk is one event of a chat stream.
func chunk(delta, finish string) string {
	reason := "null"
	if finish != "" {
		reason = `"` + finish + `"`
	}
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763791627,"model":"upstream-model","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + reason + "}]}\n\n"
}

const (
	usageChunk = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763791627,"model":"upstream-model","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}` + "\n\n"
	done       = "data: [DONE]\n\n"
)
