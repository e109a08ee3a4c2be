package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/control"
)

// Attack cases B1, B2, B16, D4: whatever stands where a key should, it is a plain 401 that echoes nothing (invariant 5).
func TestHostileKeys(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	for name, header := range map[string]http.Header{
		"none":               {},
		"empty":              {"Authorization": {""}},
		"no scheme":          {"Authorization": {appKey}},
		"basic":              {"Authorization": {"Basic " + appKey}},
		"empty bearer":       {"Authorization": {"Bearer "}},
		"wrong key":          {"Authorization": {"Bearer sk-canary-0123456789"}},
		"equal prefix":       {"Authorization": {"Bearer " + appKey[:len(appKey)-1]}},
		"equal prefix, more": {"Authorization": {"Bearer " + appKey + "0"}},
		"other case":         {"Authorization": {"Bearer " + strings.ToUpper(appKey)}},
		"SQL":                {"Authorization": {`Bearer ' OR '1'='1' --`}},
		"quotes":             {"Api-Key": {`"` + appKey + `"`}},
		"invalid UTF-8":      {"Authorization": {"Bearer \xff\xfe"}},
		"32 KB":              {"Authorization": {"Bearer " + strings.Repeat("a", 32<<10)}},
		"two values":         {"Authorization": {"Bearer " + appKey, "Bearer canary-other"}},
		"two headers":        {"Authorization": {"Bearer " + appKey}, "Api-Key": {publicKey}},
		"second is empty":    {"Authorization": {"Bearer " + appKey}, "X-Api-Key": {""}},
		"two keys in one":    {"Authorization": {"Bearer " + appKey + ", Bearer " + publicKey}},
		"google's header":    {"X-Goog-Api-Key": {appKey}},
		"cookie":             {"Cookie": {"key=" + appKey}},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest("POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("home-only", "hi")))
			req.Header = header
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			a := answer{res.StatusCode, res.Header, string(b)}
			if a.Status != 401 || a.code(t) != "invalid_api_key" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			for _, secret := range []string{appKey, "canary", publicKey, "OR '1'"} {
				if strings.Contains(a.Body, secret) || strings.Contains(fmt.Sprint(a.Header), secret) {
					t.Errorf("the answer echoes the key: %s", a.Body)
				}
			}
		})
	}
	for _, path := range []string{"?api-key=" + appKey, "?key=" + appKey} { // no key in a query string
		if got := g.chat(t, ask("home-only", "hi"), "Authorization", ""); got.Status != 401 {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
	if got := raw(t, g, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\x00b\r\n\r\n"); got != 400 {
		t.Errorf("NUL: %d", got)
	}
	if got := raw(t, g, "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+strings.Repeat("a", 1<<20)+"\r\n\r\n"); got != 431 {
		t.Errorf("1 MB: %d", got)
	}
	if up.count() != 0 || strings.Contains(g.Logs.String(), "canary") || strings.Contains(g.files(t), "canary") {
		t.Error("something was sent, or a key was kept")
	}
}

func TestKeyHeaders(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	for _, header := range [][]string{
		{"Authorization", "Bearer " + appKey}, {"Authorization", "bearer " + appKey}, {"Authorization", "", "Api-Key", appKey},
		{"Authorization", "", "X-Api-Key", appKey}, {"Authorization", "Bearer " + appKey, "Api-Key", appKey},
	} {
		if got := g.chat(t, ask("home-only", "hi"), header...); got.Status != 200 {
			t.Errorf("%v: %d %s", header, got.Status, got.Body)
		}
	}
}

// A key made or revoked through the control socket counts when the command returns.
func TestKeysChangeWhileRunning(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := control.Dial(ctx, g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var made control.NewKey
	if err := c.Call(ctx, control.KeyCreate, control.CreateArgs{App: "internal", Name: "test"}, &made); err != nil {
		t.Fatal(err)
	}
	auth := "Bearer " + made.Key
	if got := g.chat(t, ask("home-only", "hi"), "Authorization", auth); got.Status != 200 {
		t.Fatalf("a new key: %d %s", got.Status, got.Body)
	}
	for _, forged := range []string{made.Key[:len(made.Key)-1] + "x", strings.Replace(made.Key, "sk-hp-", "sk-hq-", 1)} {
		if got := g.chat(t, ask("home-only", "hi"), "Authorization", "Bearer "+forged); got.Status != 401 {
			t.Errorf("a forged key: %d", got.Status)
		}
	}
	if err := c.Call(ctx, control.KeyRevoke, control.RevokeArgs{ID: made.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if got := g.chat(t, ask("home-only", "hi"), "Authorization", auth); got.Status != 401 {
		t.Errorf("a revoked key: %d", got.Status)
	}
	if got := g.chat(t, ask("home-only", "hi")); got.Status != 200 {
		t.Errorf("the configured key: %d", got.Status)
	}
	var acts []string
	for _, e := range g.journal(t) {
		if e.str("kind") == "admin" {
			acts = append(acts, e.str("what"))
		}
	}
	if got := strings.Join(acts, " "); got != "process.start key.create key.revoke" {
		t.Errorf("acts of administration: %s", got)
	}
	secret := made.Key[strings.LastIndex(made.Key, "-")+1:]
	if strings.Contains(g.files(t), secret) || strings.Contains(g.Logs.String(), secret) {
		t.Error("the key's secret is on disk or in the log")
	}
}

// DESIGN 3 stage 1: a request that is not strictly one thing is a 400 with the field and makes no event (3.1).
func TestBadRequests(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up, top: "max_body: 64KiB"})
	for _, test := range []struct {
		name, body  string
		header      []string
		status      int
		code, param string
	}{
		{"not JSON", "hello", nil, 400, "invalid_json", ""},
		{"empty", "", nil, 400, "invalid_json", ""},
		{"duplicate", `{"model":"gpt-4o","model":"home-only","messages":[]}`, nil, 400, "duplicate_field", "model"},
		{"case variant", `{"model":"gpt-4o","Messages":[]}`, nil, 400, "ambiguous_field", "messages"},
		{"routing", ask("gpt-4o", "hi", `,"api_base":"http://127.0.0.1:1"`), nil, 400, "unsupported_parameter", "api_base"},
		{"routing in extra_body", ask("gpt-4o", "hi", `,"extra_body":{"api_key":"x"}`), nil, 400, "unsupported_parameter", "extra_body"},
		{"no model", `{"messages":[{"role":"user","content":"x"}]}`, nil, 400, "missing_required_parameter", "model"},
		{"model climbs", ask("../../admin", "hi"), nil, 400, "invalid_value", "model"},
		{"model breaks lines", ask("a\r\nX-Evil: 1", "hi"), nil, 400, "invalid_value", "model"},
		{"model asks", ask("m?x=1", "hi"), nil, 400, "invalid_value", "model"},
		{"model is long", ask(strings.Repeat("m", 201), "hi"), nil, 400, "invalid_value", "model"},
		{"too large", ask("gpt-4o", strings.Repeat("x", 65<<10)), nil, 413, "request_too_large", ""},
		{"gzip", ask("gpt-4o", "hi"), []string{"Content-Encoding", "gzip"}, 415, "unsupported_encoding", ""},
		{"nested encoding", ask("gpt-4o", "hi"), []string{"Content-Encoding", "gzip, gzip"}, 415, "unsupported_encoding", ""},
		{"data class", ask("gpt-4o", "hi"), []string{"X-Homeport-Data-Class", "public"}, 400, "invalid_value", "x-homeport-data-class"},
		{"long header", ask("gpt-4o", "hi"), []string{"X-Homeport-Subject", strings.Repeat("s", 513)}, 400, "header_too_long", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := g.chat(t, test.body, test.header...)
			f := got.fault(t)
			param := ""
			if f.Param != nil {
				param = *f.Param
			}
			if got.Status != test.status || got.code(t) != test.code || param != test.param || f.Type != "invalid_request_error" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			if !strings.HasPrefix(got.id(), "hp_") {
				t.Errorf("no event id: %v", got.Header)
			}
		})
	}
	if up.count() != 0 || g.decisions(t) != 0 {
		t.Errorf("%d sent, %d decisions", up.count(), g.decisions(t))
	}
	chunked, err := http.NewRequest("POST", g.URL+"/v1/chat/completions", io.MultiReader(strings.NewReader(ask("gpt-4o", strings.Repeat("x", 65<<10)))))
	if err != nil {
		t.Fatal(err)
	}
	chunked.Header.Set("Authorization", "Bearer "+appKey)
	res, err := http.DefaultClient.Do(chunked)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("too large without a length: %d", res.StatusCode)
	}
}

// A client that leaves before its answer gets none: an empty 200 would look like one.
func TestHalfClosed(t *testing.T) {
	up := newUpstream(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	g := start(t, setup{home: up})
	body := ask("home-only", "hi")
	for _, text := range []string{
		fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", appKey, len(body), body),
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("got %q %v", b, err)
		}
	}
}

// Attack case E9, through the gateway.
func TestRequestFraming(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	body := ask("home-only", "hi")
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + appKey + "\r\n"
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	sized := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	talk := func(text string, want int) (statuses []int, closed bool) {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, text)
		r := bufio.NewReader(c)
		for len(statuses) < want {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return statuses, true
			}
			io.Copy(io.Discard, res.Body)
			statuses = append(statuses, res.StatusCode)
			if res.Close {
				_, err := r.ReadByte()
				return statuses, err != nil
			}
		}
		return statuses, false
	}
	for _, test := range []struct {
		name, text string
		want       string
	}{
		{"length", head + sized + head + sized, "[200 200]"},
		{"chunked", head + chunked, "[200]"},
		{"both", head + "Content-Length: 5\r\n" + chunked, "[400]"},
		{"both, pipelined", head + sized + head + "Content-Length: 5\r\n" + chunked, "[200 400]"},
		{"both, behind chunked", head + chunked + head + "Content-Length: 5\r\n" + chunked, "[200]"},
	} {
		before := up.count()
		statuses, closed := talk(test.text, 2)
		if fmt.Sprint(statuses) != test.want || closed != (test.name != "length") {
			t.Errorf("%s: %v closed %v, want %s", test.name, statuses, closed, test.want)
		}
		if sent := up.count() - before; sent != strings.Count(test.want, "200") {
			t.Errorf("%s: %d were sent", test.name, sent)
		}
	}
}
