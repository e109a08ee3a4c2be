package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"homeport/internal/upstream"
)

// Attack case E7: buffers are overwritten as soon as Reusable says so, under cancels at random moments.
// Every request that arrives whole must hold one repeated byte; the race detector watches the rest.
func TestBodyIsNotReusedTooEarly(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") == "early" {
			w.WriteHeader(429) // answers before the body is read
			return
		}
		b, err := io.ReadAll(r.Body)
		if err == nil && len(b) > 0 && bytes.Count(b, b[:1]) != len(b) {
			t.Error("a request arrived with bytes of another")
		}
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	c := client(t, s.URL, withTimeouts(upstream.DefaultTimeouts()))
	pool := sync.Pool{New: func() any {
		b := make([]byte, 200<<10)
		return &b
	}}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 60 {
				mine := pool.Get().(*[]byte)
				buf := *mine
				fill := byte('a' + (worker*60+i)%26)
				for j := range buf {
					buf[j] = fill
				}
				ctx, cancel := context.WithCancel(context.Background())
				call := &upstream.Call{Path: "/x", Body: buf, Stream: true}
				if i%3 == 0 {
					call.Header = http.Header{"Traceparent": {"early"}}
				}
				if i%2 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(1500))*time.Microsecond, cancel)
				}
				a, err := c.Do(ctx, call)
				if err == nil {
					_, _ = io.Copy(io.Discard, a.Body)
					a.Body.Close()
				}
				cancel()
				if call.Reusable() {
					for j := range buf {
						buf[j] = '!' // a reader still at work would race or send this
					}
					pool.Put(mine)
				}
			}
		})
	}
	wg.Wait()
}

// An upstream that answers before it has read the request: the answer can be read, the body's bytes stay
// in use until they are written.
func TestEarlyAnswerKeepsTheBody(t *testing.T) {
	readOn := make(chan struct{})
	base := rawServer(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", func(c net.Conn) {
		<-readOn
		hold(c)
	})
	call := post(strings.Repeat("x", 24<<20)) // beyond the sockets' buffers
	a, err := client(t, base).Do(patient(t), call)
	if err != nil {
		t.Fatal(err)
	}
	if call.Reusable() {
		t.Error("the body counts as free while it is being written")
	}
	close(readOn)
	if got := readAll(t, a); got != "ok" {
		t.Errorf("read %q", got)
	}
	wantFree(t, call)
}

// A stream in progress does not keep its request's bytes alive: thousands of streams would hold thousands
// of prompts.
func TestStreamLetsGoOfTheRequest(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	body := make([]byte, 1<<20)
	held := weak.Make(&body[0])
	a, err := client(t, s.URL, withTimeouts(upstream.DefaultTimeouts())).Do(ctx, &upstream.Call{Body: body, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	body = nil
	for held.Value() != nil {
		if ctx.Err() != nil {
			t.Fatal("the request's bytes are still held")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if n, err := a.Body.Read(make([]byte, 64)); n == 0 || err != nil {
		t.Error(n, err)
	}
}

// Close before the end frees the exchange; concurrent Close and Read do not race.
func TestCloseDuringRead(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	a, err := client(t, s.URL, withTimeouts(upstream.DefaultTimeouts())).Do(patient(t), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, a.Body)
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	if err := a.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a closed stream looked like its end")
	}
	if err := a.Body.Close(); err != nil {
		t.Error(err)
	}
}
