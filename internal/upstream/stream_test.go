package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/upstream"
)

// A cancel must reach the upstream at once, in every phase: before headers, before the first byte,
// between bytes.
func TestCancelReachesTheUpstream(t *testing.T) {
	for _, phase := range []string{"before headers", "before first byte", "between bytes", "while writing"} {
		t.Run(phase, func(t *testing.T) {
			arrived, left, canceled := make(chan struct{}), make(chan struct{}), make(chan struct{})
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if phase != "while writing" {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				switch phase {
				case "before first byte":
					w.(http.Flusher).Flush()
				case "between bytes":
					fmt.Fprint(w, "data: 1\n\n")
					w.(http.Flusher).Flush()
				}
				close(arrived)
				if phase == "while writing" {
					// The body is larger than the sockets' buffers. Read on only after the cancel: what
					// is left must end in an error, not in the end of the body.
					<-canceled
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						t.Error("the body came whole after a cancel")
					}
					close(left)
					return
				}
				<-r.Context().Done()
				close(left)
			})
			ctx, cancel := context.WithCancel(patient(t))
			body := "{}"
			if phase == "while writing" {
				body = strings.Repeat("x", 32<<20)
			}
			call := post(body)
			call.Stream = true
			result := make(chan error, 1)
			go func() {
				a, err := client(t, s.URL, withTimeouts(upstream.DefaultTimeouts())).Do(ctx, call)
				if err == nil {
					_, err = io.Copy(io.Discard, a.Body)
					a.Body.Close()
				}
				result <- err
			}()
			<-arrived
			if phase != "while writing" {
				time.Sleep(5 * time.Millisecond) // let the reader come to its Read; either order must work
			}
			cancel()
			close(canceled)
			bound := time.NewTimer(time.Second) // the promise itself: within one second
			defer bound.Stop()
			select {
			case <-left:
			case <-bound.C:
				t.Fatal("the upstream was not told within a second")
			}
			e := wantClass(t, <-result, upstream.ClassCanceled)
			if !errors.Is(e, context.Canceled) {
				t.Error("errors.Is(context.Canceled) does not hold")
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	stall := func(parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for _, p := range parts {
				_, _ = io.WriteString(w, p)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}
	}
	silent := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	const short, long = 40 * time.Millisecond, time.Minute
	cases := []struct {
		name    string
		limits  upstream.Timeouts
		handler http.HandlerFunc
		want    upstream.Class
		started bool
	}{
		{"no headers", upstream.Timeouts{FirstByte: short, Idle: long, Total: long}, silent, upstream.ClassFirstByte, false},
		{"no headers, first byte only", upstream.Timeouts{FirstByte: short}, silent, upstream.ClassFirstByte, false},
		{"no headers, total", upstream.Timeouts{FirstByte: long, Idle: long, Total: short}, silent, upstream.ClassTotal, false},
		{"no headers, total only", upstream.Timeouts{Total: short}, silent, upstream.ClassTotal, false},
		{"headers then nothing", upstream.Timeouts{FirstByte: short, Idle: short / 4, Total: long}, stall(""), upstream.ClassFirstByte, true},
		{"headers then nothing, no idle limit", upstream.Timeouts{FirstByte: short}, stall(""), upstream.ClassFirstByte, true},
		{"idle", upstream.Timeouts{FirstByte: long, Idle: short, Total: long}, stall("data: 1\n\n"), upstream.ClassIdle, true},
		{"idle only", upstream.Timeouts{Idle: short}, stall("data: 1\n\n"), upstream.ClassIdle, true},
		{"idle before the first byte, no first byte limit", upstream.Timeouts{Idle: short}, stall(""), upstream.ClassIdle, true},
		{"total in the body", upstream.Timeouts{FirstByte: long, Idle: long, Total: short}, stall("data: 1\n\n"), upstream.ClassTotal, true},
		{"total in the body, idle off", upstream.Timeouts{Total: short}, stall("data: 1\n\n"), upstream.ClassTotal, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.handler)
			call := post("{}")
			a, err := client(t, s.URL, withTimeouts(c.limits)).Do(patient(t), call)
			if err == nil {
				_, err = io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
			}
			if e := wantClass(t, err, c.want); e.Started != c.started || !e.Sent || !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("%+v", e)
			}
			wantFree(t, call)
		})
	}
}

// Keep-alive comments are bytes: they reset the idle limit. The stream lasts many times the limit.
func TestCommentsResetIdle(t *testing.T) {
	const idle = 250 * time.Millisecond
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range 12 {
			fmt.Fprint(w, ": keep-alive\n\n")
			w.(http.Flusher).Flush()
			time.Sleep(idle / 5)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	a, err := client(t, s.URL, withTimeouts(upstream.Timeouts{Idle: idle})).Do(patient(t), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, a); !strings.HasSuffix(got, "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %q", got)
	}
}

// A slow client is not a silent upstream: time between reads does not count as idle.
func TestSlowReaderIsNotIdle(t *testing.T) {
	const idle, events = 50 * time.Millisecond, 4
	paused, gone := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for range events {
			fmt.Fprint(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			select { // the next event comes only after the reader's pause
			case <-paused:
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	})
	a, err := client(t, s.URL, withTimeouts(upstream.Timeouts{Idle: idle, FirstByte: time.Minute})).Do(patient(t), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	for range events {
		if _, err := a.Body.Read(buf); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * idle)
		select {
		case paused <- struct{}{}:
		case <-gone:
			t.Fatal("the upstream was cut off while the reader paused")
		}
	}
	if _, err := a.Body.Read(buf); err != io.EOF {
		t.Fatal(err)
	}
}

// An answer that breaks off ends in an error, and one that is whole in io.EOF.
func TestBrokenAnswers(t *testing.T) {
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	cases := []struct {
		name, answer string
		end          func(net.Conn)
		want         upstream.Class // of Do or of reading
		body         string
		untilClose   bool
	}{
		{"whole, length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", nil, upstream.ClassNone, "ok", false},
		{"whole, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", nil, upstream.ClassNone, "ok", false},
		{"whole, trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", nil, upstream.ClassNone, "ok", false},
		{"whole, until close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", nil, upstream.ClassNone, "ok", true},
		{"whole, 1.0", "HTTP/1.0 200 OK\r\n\r\nok", nil, upstream.ClassNone, "ok", true},
		{"whole, error status", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", nil, upstream.ClassNone, "no", false},
		{"short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", nil, upstream.ClassBroken, "ok", false},
		{"cut between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", nil, upstream.ClassBroken, "ok", false},
		{"cut within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", nil, upstream.ClassBroken, "ok", false},
		{"cut before the last line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", nil, upstream.ClassBroken, "ok", false},
		{"reset in the body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", reset, upstream.ClassBroken, "", false},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", nil, upstream.ClassBroken, "", false},
		// As net/http has it: chunked wins over a length, and the connection is not kept.
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", nil, upstream.ClassNone, "ok", false},
		{"same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", nil, upstream.ClassNone, "ok", false},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", nil, upstream.ClassProtocol, "", false},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", nil, upstream.ClassProtocol, "", false},
		{"unknown transfer encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", nil, upstream.ClassProtocol, "", false},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", nil, upstream.ClassProtocol, "", false},
		{"bad header", "HTTP/1.1 200 OK\r\nno colon here\r\n\r\nok", nil, upstream.ClassProtocol, "", false},
		{"huge header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\nok", hold, upstream.ClassProtocol, "", false},
		{"switching protocols", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", hold, upstream.ClassProtocol, "", false},
		{"gzip unasked", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", hold, upstream.ClassProtocol, "", false},
		{"nothing", "", nil, upstream.ClassBroken, "", false},
		{"half a header block", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", nil, upstream.ClassBroken, "", false},
		{"half a header line", "HTTP/1.1 200 OK\r\nContent-Le", nil, upstream.ClassProtocol, "", false},
		{"reset before the header", "", reset, upstream.ClassBroken, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := client(t, rawServer(t, c.answer, c.end)).Do(patient(t), post("{}"))
			started := err == nil
			var got []byte
			if err == nil {
				if a.UntilClose != c.untilClose {
					t.Errorf("UntilClose %v", a.UntilClose)
				}
				got, err = io.ReadAll(a.Body)
				a.Body.Close()
			}
			if c.want == upstream.ClassNone {
				if err != nil {
					t.Fatal(err)
				}
			} else if e := wantClass(t, err, c.want); started && (!e.Started || !errors.Is(e, io.ErrUnexpectedEOF)) {
				t.Errorf("%+v", e)
			}
			if string(got) != c.body && c.body != "" {
				t.Errorf("body %q, want %q", got, c.body)
			}
		})
	}
}
