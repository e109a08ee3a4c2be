package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"homeport/internal/upstream"
)

// canary is the upstream key of every test: it must show nowhere but in the request's header.
const canary = "sk-canary-7f3a9b21c4d8"

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func client(t testing.TB, base string, change ...func(*upstream.Config)) *upstream.Client {
	t.Helper()
	cfg := upstream.Config{
		BaseURL: base, Version: "test",
		Auth: upstream.Auth{Scheme: upstream.AuthBearer, Key: upstream.NewSecret(canary)},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := upstream.New(cfg)
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func post(body string) *upstream.Call {
	return &upstream.Call{Path: "/chat/completions", Body: []byte(body)}
}

// wantClass checks the class and that the text is made of constants.
func wantClass(t testing.TB, err error, want upstream.Class) *upstream.Error {
	t.Helper()
	if got := upstream.ClassOf(err); got != want {
		t.Fatalf("class %s, want %s (%v)", got, want, err)
	}
	e, ok := err.(*upstream.Error)
	if !ok {
		t.Fatalf("error of type %T, want *upstream.Error", err)
	}
	for _, secret := range []string{canary, "127.0.0.1", "localhost", "http", "://"} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), secret) {
			t.Fatalf("the error's text holds %q", secret)
		}
	}
	return e
}

func readAll(t testing.TB, a *upstream.Answer) string {
	t.Helper()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return string(b)
}

// rawServer answers each connection with the given bytes after it has read a request, then does what end
// says with the connection.
func rawServer(t testing.TB, answer string, end func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				if _, err := c.Read(buf); err != nil {
					return
				}
				_, _ = io.WriteString(c, answer)
				if end != nil {
					end(c)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// hold keeps a connection open until the peer closes it.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func withTimeouts(x upstream.Timeouts) func(*upstream.Config) {
	return func(c *upstream.Config) { c.Timeouts = x }
}

// patient bounds a test that would otherwise hang; it is no measure of speed.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// nameServer answers every question for an A record with one address, over loopback UDP, in the form of
// RFC 1035 4.
func nameServer(t testing.TB, addr string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	ip := net.ParseIP(addr).To4()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5 // the root label, type and class
			if end > n {
				continue
			}
			question := buf[12:end]
			answers := byte(0)
			if question[len(question)-3] == 1 { // type A; none for AAAA
				answers = 1
			}
			msg := []byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}
			msg = append(msg, question...)
			if answers == 1 {
				msg = append(msg, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				msg = append(msg, ip...)
			}
			_, _ = pc.WriteTo(msg, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// wantFree waits until nobody reads the call's body: the transport may learn that it has written the last
// byte a moment after the upstream has answered it.
func wantFree(t testing.TB, call *upstream.Call) {
	t.Helper()
	for ctx := patient(t); !call.Reusable(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("the body is still in use")
		}
	}
}
