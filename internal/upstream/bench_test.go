package upstream_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"homeport/internal/upstream"
)

// The cost of Do beside a bare RoundTrip of a transport with the same settings, over loopback: compare
// the two lines of each size. The server's cost is in both.
func BenchmarkDo(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KB", 1 << 10}, {"32KB", 32 << 10}} {
		body := []byte(strings.Repeat("x", size.bytes))
		s := serve(b, answerPlain)
		b.Run(size.name+"/roundtrip", func(b *testing.B) {
			tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
			defer tr.CloseIdleConnections()
			buf := make([]byte, 16<<10)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				req, err := http.NewRequestWithContext(context.Background(), "POST", s.URL+"/v1/chat/completions", bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", "application/json")
				req.Header.Set("Accept-Encoding", "identity")
				req.Header.Set("User-Agent", "homeport/test")
				req.Header.Set("Authorization", "Bearer "+canary)
				resp, err := tr.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, resp.Body, buf)
			}
		})
		b.Run(size.name+"/do", func(b *testing.B) {
			c := client(b, s.URL+"/v1", withTimeouts(upstream.DefaultTimeouts()))
			buf := make([]byte, 16<<10)
			ctx, cancel := context.WithCancel(context.Background()) // as a server's request context is
			defer cancel()
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				a, err := c.Do(ctx, &upstream.Call{Path: "/chat/completions", Body: body})
				if err != nil {
					b.Fatal(err)
				}
				drain(b, a.Body, buf)
			}
		})
	}
}

// The cost per read of a stream: 100 events a request, each its own chunk.
func BenchmarkStream(b *testing.B) {
	s := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for range 100 {
			_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")
			w.(http.Flusher).Flush()
		}
	})
	buf := make([]byte, 16<<10)
	b.Run("roundtrip", func(b *testing.B) {
		tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
		defer tr.CloseIdleConnections()
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			req, _ := http.NewRequestWithContext(context.Background(), "POST", s.URL, strings.NewReader("{}"))
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			drain(b, resp.Body, buf)
		}
	})
	b.Run("do", func(b *testing.B) {
		c := client(b, s.URL, withTimeouts(upstream.DefaultTimeouts()))
		body := []byte("{}")
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			a, err := c.Do(context.Background(), &upstream.Call{Body: body, Stream: true})
			if err != nil {
				b.Fatal(err)
			}
			drain(b, a.Body, buf)
		}
	})
}

// The gate's cost for a target with a limit and a breaker.
func BenchmarkGate(b *testing.B) {
	g, err := upstream.NewGate(upstream.GateConfig{Concurrency: 64, Breaker: upstream.DefaultBreaker()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		t, err := g.Enter(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		t.Done(upstream.Healthy)
	}
}

// cpu reports the processor time per operation, both sides of the connection: on a shared machine the
// wall clock says little.
func cpu(b *testing.B) func() {
	begin := used()
	return func() { b.ReportMetric(float64(used()-begin)/float64(b.N), "cpu-ns/op") }
}

func answerPlain(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"1","object":"chat.completion","choices":[]}`)
}

func drain(b *testing.B, body io.ReadCloser, buf []byte) {
	for {
		_, err := body.Read(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := body.Close(); err != nil {
		b.Fatal(err)
	}
}
