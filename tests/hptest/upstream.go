package hptest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"homeport/internal/practice"
)

// Upstream is a provider that runs inside the test and remembers what reached it.
type Upstream struct {
	// BaseURL is what a provider's base_url should be; it ends in /v1.
	BaseURL string

	mu       sync.Mutex
	requests []*Request
	failures []failure // answered to the next requests, before the handler is asked
}

// Request is one request as it reached the upstream.
type Request struct {
	Method string
	Path   string
	Query  string
	Header http.Header
	Body   []byte

	done chan struct{} // closed when the handler has returned
	gone chan struct{} // closed when the caller left before that
}

type failure struct {
	status     int
	retryAfter string
}

// Practice starts the practice upstream.
func Practice(t testing.TB) *Upstream {
	t.Helper()
	return Serve(t, practice.New(practice.Options{}))
}

// Serve starts an upstream of any behaviour on a free loopback port, until the test ends.
func Serve(t testing.TB, h http.Handler) *Upstream {
	t.Helper()
	u := &Upstream{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { u.serve(w, r, h) }))
	t.Cleanup(func() {
		srv.CloseClientConnections() // streams that nobody reads any more must not keep the test waiting
		srv.Close()
	})
	u.BaseURL = srv.URL + "/v1"
	return u
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request, h http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller left while it was sending
	}
	req := &Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body,
		done: make(chan struct{}), gone: make(chan struct{})}
	fail, failing := u.note(req)
	defer close(req.done)
	defer func() {
		if r.Context().Err() != nil {
			close(req.gone)
		}
	}()
	if failing {
		if fail.retryAfter != "" {
			w.Header().Set("Retry-After", fail.retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(fail.status)
		fmt.Fprintf(w, `{"error":{"message":"synthetic failure","type":"server_error","param":null,"code":null}}`)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.ServeHTTP(w, r)
}

func (u *Upstream) note(r *Request) (failure, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, r)
	if len(u.failures) == 0 {
		return failure{}, false
	}
	f := u.failures[0]
	u.failures = u.failures[1:]
	return f, true
}

// FailNext makes the next n requests fail with the status and, if not empty, a Retry-After.
func (u *Upstream) FailNext(n, status int, retryAfter string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for range n {
		u.failures = append(u.failures, failure{status, retryAfter})
	}
}

// Requests is what has arrived so far, oldest first.
func (u *Upstream) Requests() []*Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// Last is the newest request; the test fails if there is none.
func (u *Upstream) Last(t testing.TB) *Request {
	t.Helper()
	all := u.Requests()
	if len(all) == 0 {
		t.Fatal("nothing reached the upstream")
	}
	return all[len(all)-1]
}

// WaitCancelled waits until the upstream has seen the caller of r leave before the answer was complete; the test fails after
// the given patience, or if the answer was completed.
func (r *Request) WaitCancelled(t testing.TB, patience time.Duration) {
	t.Helper()
	select {
	case <-r.done:
		select {
		case <-r.gone:
		default:
			t.Fatal("the upstream's answer was completed, not cancelled")
		}
	case <-time.After(patience):
		t.Fatal("the cancel did not reach the upstream")
	}
}
