package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"homeport/internal/guard"
	"homeport/internal/upstream"
)

func TestDoSendsExactlyWhatWasGiven(t *testing.T) {
	type seen struct {
		method, uri, host, body string
		header                  http.Header
		encoding                []string
		length                  int64
	}
	got := make(chan seen, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, r.Host, string(b), r.Header.Clone(), r.TransferEncoding, r.ContentLength}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"ok":true}`)
	})
	c := client(t, s.URL+"/openai/", func(cfg *upstream.Config) {
		cfg.Auth = upstream.Auth{Scheme: upstream.AuthHeader, Name: "api-key", Key: upstream.NewSecret(canary)}
		cfg.Header = map[string]string{"X-Provider-Mode": "fast"}
		cfg.Headers = []string{"X-DashScope-SSE"}
	})
	path, err := upstream.Path("deployments", "team/prod-4o", "chat", "completions")
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("你好 ", 5000)
	call := &upstream.Call{
		Path: path, Query: "api-version=2024-10-21", Body: []byte(body), Stream: true,
		Header: http.Header{"X-Dashscope-Sse": {"enable"}, "Traceparent": {"00-1-2-01"}},
	}
	a, err := c.Do(patient(t), call)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != 200 || readAll(t, a) != `{"ok":true}` || a.UntilClose {
		t.Errorf("answer %d, until close %v", a.Status, a.UntilClose)
	}
	wantFree(t, call)
	r := <-got
	if r.method != "POST" || r.uri != "/openai/deployments/team%2Fprod-4o/chat/completions?api-version=2024-10-21" || r.body != body || r.length != int64(len(body)) || r.encoding != nil {
		t.Errorf("request %s %s, %d bytes, encoding %v", r.method, r.uri, r.length, r.encoding)
	}
	if "http://"+r.host != s.URL {
		t.Errorf("host %q", r.host)
	}
	want := map[string]string{
		"Api-Key": canary, "User-Agent": "homeport/test", "Accept-Encoding": "identity", "Accept": "text/event-stream",
		"Content-Type": "application/json", "X-Provider-Mode": "fast", "X-Dashscope-Sse": "enable", "Traceparent": "00-1-2-01",
		"Content-Length": strconv.Itoa(len(body)),
	}
	for name, v := range want {
		if r.header.Get(name) != v {
			t.Errorf("header %s = %q, want %q", name, r.header.Get(name), v)
		}
	}
	if len(r.header) != len(want) {
		t.Errorf("headers beyond the allow-list: %v", r.header)
	}
}

func TestDoGet(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.Header.Get("Content-Type") != "" || r.ContentLength != 0 || r.Header.Get("Authorization") != "Bearer "+canary {
			w.WriteHeader(400)
		}
	})
	a, err := client(t, s.URL).Do(patient(t), &upstream.Call{Method: "GET", Path: "/models"})
	if err != nil || a.Status != 200 {
		t.Fatalf("%v %v", a, err)
	}
	readAll(t, a)
}

// Attack cases A1, A2, D1, E2, B10: nothing in a call reaches beyond the base URL or opens a header.
func TestInvalidCallsSendNothing(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	c := client(t, s.URL+"/v1")
	bad := map[string]*upstream.Call{
		"dot segments":    {Path: "/../admin"},
		"escaped dots":    {Path: "/%2e%2e/admin"},
		"escaped slash":   {Path: "/a%2F..%2Fb"},
		"lower escape":    {Path: "/a%2fb"},
		"cut escape":      {Path: "/a%2"},
		"no slash":        {Path: "admin"},
		"host":            {Path: "//evil.example/x"},
		"at host":         {Path: "@evil.example/x"},
		"query in path":   {Path: "/x?y=1"},
		"fragment":        {Path: "/x#y"},
		"line break":      {Path: "/x\r\nX: y"},
		"query break":     {Path: "/x", Query: "a=b\r\nX: y"},
		"query space":     {Path: "/x", Query: "a=b HTTP/1.1"},
		"key in query":    {Path: "/x", Query: "key=" + canary},
		"escaped key":     {Path: "/x", Query: "key=" + strings.ReplaceAll(canary, "-", "%2D")},
		"broken escape":   {Path: "/x", Query: "key=%zz"},
		"method":          {Method: "CONNECT", Path: "/x"},
		"get with body":   {Method: "GET", Path: "/x", Body: []byte("{}")},
		"host header":     {Path: "/x", Header: http.Header{"Host": {"evil.example"}}},
		"authorization":   {Path: "/x", Header: http.Header{"authorization": {"Bearer x"}}},
		"cookie":          {Path: "/x", Header: http.Header{"Cookie": {"a=b"}}},
		"idempotency":     {Path: "/x", Header: http.Header{"Idempotency-Key": {"1"}}},
		"own namespace":   {Path: "/x", Header: http.Header{"X-Homeport-Subject": {"1"}}},
		"unknown":         {Path: "/x", Header: http.Header{"X-Other": {"1"}}},
		"two values":      {Path: "/x", Header: http.Header{"Traceparent": {"1", "2"}}},
		"value break":     {Path: "/x", Header: http.Header{"Traceparent": {"1\r\nX: y"}}},
		"accept encoding": {Path: "/x", Header: http.Header{"Accept-Encoding": {"gzip"}}},
	}
	for name, call := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := c.Do(patient(t), call)
			if e := wantClass(t, err, upstream.ClassInvalid); e.Sent || !call.Reusable() {
				t.Error("the call counts as sent")
			}
		})
	}
}

func TestPath(t *testing.T) {
	for _, e := range []string{"", ".", "..", "a/..", "../a", "/a", "a/", "a//b", "a?b", "a#b", "a%2e", "a b", "a\r\nb", "a\\b", "模型", "a;b", strings.Repeat("a", 300)} {
		if p, err := upstream.Path("v1", e); err == nil {
			t.Errorf("Path accepts %q as %q", e, p)
		}
	}
	for e, want := range map[string]string{
		"gpt-4o": "/m/gpt-4o", "Qwen/Qwen3-8B": "/m/Qwen%2FQwen3-8B", "@cf/meta/llama-3": "/m/@cf%2Fmeta%2Fllama-3",
		"a:b": "/m/a:b", "...": "/m/...", "ep-1_2.3+x": "/m/ep-1_2.3+x",
	} {
		if p, err := upstream.Path("m", e); err != nil || p != want {
			t.Errorf("Path(%q) = %q, %v", e, p, err)
		}
	}
}

// Whatever Path lets through arrives as the elements it was built from, and never above them.
func FuzzPath(f *testing.F) {
	f.Add("Qwen/Qwen3-8B")
	f.Add("..%2f")
	f.Fuzz(func(t *testing.T, e string) {
		p, err := upstream.Path("v1", e)
		if err != nil {
			return
		}
		if strings.Count(p, "/") != 2 || strings.ContainsAny(p, "?#\\ \r\n") || strings.ReplaceAll(p[4:], "%2F", "/") != e {
			t.Fatalf("%q became %q", e, p)
		}
	})
}

func TestBadConfigurations(t *testing.T) {
	bad := map[string]func(*upstream.Config){
		"userinfo":        func(c *upstream.Config) { c.BaseURL = "https://u:" + canary + "@api.example.com" },
		"query":           func(c *upstream.Config) { c.BaseURL = "https://api.example.com/?key=" + canary },
		"metadata":        func(c *upstream.Config) { c.BaseURL = "http://169.254.169.254" },
		"empty key":       func(c *upstream.Config) { c.Auth.Key = upstream.NewSecret("") },
		"key with break":  func(c *upstream.Config) { c.Auth.Key = upstream.NewSecret(canary + "\r\nX: y") },
		"header host":     func(c *upstream.Config) { c.Header = map[string]string{"Host": "x"} },
		"header auth":     func(c *upstream.Config) { c.Header = map[string]string{"Authorization": canary} },
		"header break":    func(c *upstream.Config) { c.Header = map[string]string{"X-A": "a\nb"} },
		"allow cookie":    func(c *upstream.Config) { c.Headers = []string{"cookie"} },
		"allow own":       func(c *upstream.Config) { c.Headers = []string{"x-homeport-x"} },
		"auth name":       func(c *upstream.Config) { c.Auth.Scheme, c.Auth.Name = upstream.AuthHeader, "Cookie" },
		"negative":        func(c *upstream.Config) { c.Timeouts.Idle = -1 },
		"proxy path":      func(c *upstream.Config) { c.Proxy = "http://127.0.0.1:1/x" },
		"proxy scheme":    func(c *upstream.Config) { c.Proxy = "ftp://127.0.0.1:1" },
		"proxy metadata":  func(c *upstream.Config) { c.Proxy = "http://u:" + canary + "@169.254.169.254:80" },
		"token by header": func(c *upstream.Config) { c.Auth.Scheme, c.Auth.Source = upstream.AuthHeader, fixedToken("x") },
	}
	for name, change := range bad {
		t.Run(name, func(t *testing.T) {
			cfg := upstream.Config{BaseURL: "https://api.example.com", Auth: upstream.Auth{Scheme: upstream.AuthBearer, Key: upstream.NewSecret(canary)}}
			change(&cfg)
			_, err := upstream.New(cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), canary) {
				t.Fatal("the error holds the key")
			}
		})
	}
}

// Attack case A4: no redirect is followed, whatever its code and method.
func TestRedirectsAreErrors(t *testing.T) {
	inner := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	for _, code := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", inner.URL+"/latest/meta-data")
			w.WriteHeader(code)
		})
		for _, call := range []*upstream.Call{post("{}"), {Method: "GET", Path: "/models"}} {
			_, err := client(t, s.URL).Do(patient(t), call)
			if e := wantClass(t, err, upstream.ClassRedirect); e.Status != code || !e.Sent {
				t.Errorf("code %d: %+v", code, e)
			}
		}
	}
}

// Attack cases A5 to A7: a name is judged by the address it resolves to, at each dial, so an answer of
// the name server that changes meanwhile gains nothing. `network: private` permits it.
func TestGuardJudgesTheResolvedAddress(t *testing.T) {
	reached := false
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached = true })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, addr := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0"} {
		cfg := upstream.Config{BaseURL: "http://api.example.com:" + port}
		upstream.SetResolver(&cfg, nameServer(t, addr))
		c, err := upstream.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			call := post("{}")
			_, err = c.Do(patient(t), call)
			if e := wantClass(t, err, upstream.ClassRefused); e.Sent || !call.Reusable() || !errors.Is(e, guard.ErrRefused) {
				t.Errorf("%s: %+v", addr, e)
			}
		}
		cfg.Network = guard.Private
		if c, err = upstream.New(cfg); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(addr, "127.") || strings.HasPrefix(addr, "10.") {
			if strings.HasPrefix(addr, "127.") {
				if _, err := c.Do(patient(t), post("{}")); err != nil {
					t.Errorf("private network, %s: %v", addr, err)
				}
			}
			continue
		}
		_, err = c.Do(patient(t), post("{}"))
		wantClass(t, err, upstream.ClassRefused)
	}
	if !reached {
		t.Error("the private network reached nothing: the test proves nothing")
	}
}

// Attack case A11. The target has a public name, since net/http never asks the environment's proxy for
// loopback addresses.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was used") })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	a, err := client(t, "http://api.example.com:"+port, func(cfg *upstream.Config) {
		cfg.Network = guard.Private
		upstream.SetResolver(cfg, nameServer(t, "127.0.0.1"))
	}).Do(patient(t), post("{}"))
	if err != nil || readAll(t, a) != "direct" {
		t.Fatal(err)
	}
}

func TestConfiguredProxy(t *testing.T) {
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		fmt.Fprintf(w, "%s %s %s", r.RequestURI, user, pass)
	})
	c := client(t, "http://api.example.com/v1", func(cfg *upstream.Config) {
		cfg.Proxy = strings.Replace(proxy.URL, "http://", "http://user:word@", 1)
	})
	a, err := c.Do(patient(t), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, a); got != "http://api.example.com/v1/chat/completions user word" {
		t.Errorf("the proxy saw %q", got)
	}
	refusing := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(407) })
	c = client(t, "https://api.example.com/v1", func(cfg *upstream.Config) {
		cfg.Proxy = strings.Replace(refusing.URL, "http://", "http://user:"+canary+"@", 1)
	})
	_, err = c.Do(patient(t), post("{}"))
	if e := wantClass(t, err, upstream.ClassConnect); e.Sent || e.Reason != "proxy" {
		t.Errorf("%+v", e)
	}
}

// A SOCKS5 proxy (RFC 1928) is given the target's name to resolve.
func TestSocksProxy(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	asked := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 512)
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return
		}
		_, _ = io.ReadFull(c, buf[:buf[1]])
		_, _ = c.Write([]byte{5, 0})
		if _, err := io.ReadFull(c, buf[:5]); err != nil {
			return
		}
		name := make([]byte, int(buf[4])+2)
		_, _ = io.ReadFull(c, name)
		asked <- string(name[:len(name)-2])
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		out, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			return
		}
		defer out.Close()
		go func() { _, _ = io.Copy(out, c) }()
		_, _ = io.Copy(c, out)
	}()
	c := client(t, "http://api.example.com", func(cfg *upstream.Config) { cfg.Proxy = "socks5://" + ln.Addr().String() })
	a, err := c.Do(patient(t), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, name := readAll(t, a), <-asked; got != "api.example.com" || name != "api.example.com" {
		t.Errorf("host %q, proxy asked for %q", got, name)
	}
	c.Close()
}

func TestConnectErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + ln.Addr().String()
	ln.Close()
	call := post("{}")
	_, err = client(t, gone).Do(patient(t), call)
	if e := wantClass(t, err, upstream.ClassConnect); e.Reason != "refused" || e.Sent || !call.Reusable() {
		t.Errorf("%+v", e)
	}
	_, err = client(t, "http://nothing.invalid").Do(patient(t), post("{}"))
	if e := wantClass(t, err, upstream.ClassConnect); e.Sent || !strings.Contains(e.Reason, "host") && !strings.Contains(e.Reason, "name") {
		t.Errorf("%+v", e)
	}
}

// Invariant 1: a kept-alive connection that the upstream closed comes back as an error. The transport must not
// send the body a second time by itself, unrecorded.
func TestStaleConnectionIsNotReplayed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	requests := make(chan string, 8)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for i := 0; ; i++ {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					b, _ := io.ReadAll(r.Body)
					requests <- string(b)
					if i == 1 {
						return // reads the second request and hangs up without a word
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	c := client(t, "http://"+ln.Addr().String())
	a, err := c.Do(patient(t), post("one"))
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, a)
	call := post("two")
	_, err = c.Do(patient(t), call)
	if e := wantClass(t, err, upstream.ClassStale); !e.Sent {
		t.Errorf("%+v", e)
	}
	wantFree(t, call)
	if n := len(requests); n != 2 || <-requests != "one" || <-requests != "two" {
		t.Errorf("%d requests arrived, want exactly one and two", n)
	}
}
