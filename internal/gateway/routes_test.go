package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/gateway"
)

// Attack case A3 (invariant 4): every route but the two of health wants a key, whatever is tried with it; a row added to
// the table is walked here too.
func TestEveryRouteNeedsAKey(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	table := gateway.Table()
	if len(table) < 40 {
		t.Fatalf("%d rows", len(table))
	}
	open := 0
	for _, row := range table {
		method := row.Method
		if method == "" {
			method = "POST"
		}
		path := strings.NewReplacer("{deployment}", "gpt-4o", "{id...}", "gpt-4o", "{rest...}", "x/y").Replace(row.Path)
		got := g.do(t, method, path, ask("gpt-4o", "hi"), "Authorization", "")
		if row.Open {
			open++
			if got.Status != 200 {
				t.Errorf("%s %s: %d", method, path, got.Status)
			}
			continue
		}
		if got.Status != 401 || got.code(t) != "invalid_api_key" || got.fault(t).Type != "authentication_error" {
			t.Errorf("%s %s without a key: %d %s", method, path, got.Status, got.Body)
		}
		if !strings.HasPrefix(got.id(), "hp_") {
			t.Errorf("%s %s: no event id", method, path)
		}
	}
	if open != 2 {
		t.Errorf("%d rows need no key, want livez and readyz", open)
	}
	if got := g.do(t, "GET", "/nowhere", "", "Authorization", ""); got.Status != 401 {
		t.Errorf("an unknown path without a key: %d", got.Status)
	}
	if up.count() != 0 || g.decisions(t) != 0 {
		t.Error("something was judged or sent")
	}
}

func TestRoutes(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	for _, test := range []struct {
		method, path string
		status       int
		code         string
		says         string
	}{
		{"POST", "/v1/chat/completions", 200, "", ""},
		{"POST", "/v1/chat/completions/", 200, "", ""},
		{"POST", "/openai/v1/chat/completions", 200, "", ""},
		{"POST", "/openai/deployments/home-only/chat/completions?api-version=2024-10-21", 200, "", ""},
		{"POST", "/v1/v1/chat/completions", 404, "unknown_url", "twice"},
		{"POST", "/v1/v1", 404, "unknown_url", "twice"},
		{"POST", "/openai/v1/v1/chat/completions", 404, "unknown_url", "twice"},
		{"POST", "/chat/completions", 404, "unknown_url", "lacks /v1"},
		{"POST", "/nowhere", 404, "unknown_url", ""},
		{"GET", "/v1/chat/completions", 405, "method_not_allowed", ""},
		{"DELETE", "/v1/models", 405, "method_not_allowed", ""},
		{"GET", "/openai/v1/chat/completions", 405, "method_not_allowed", ""},
		{"GET", "/openai/deployments/home-only/chat/completions", 405, "method_not_allowed", ""},
		{"POST", "/v1/responses", 501, "not_implemented", "/v1/responses"},
		{"GET", "/v1/files/file-1/content", 501, "not_implemented", ""},
		{"POST", "/v1/audio/speech", 501, "not_implemented", ""},
		{"POST", "/v1/messages", 501, "not_implemented", ""},
		{"POST", "/openai/deployments/d/images/generations", 501, "not_implemented", ""},
	} {
		got := g.do(t, test.method, test.path, ask("home-only", "hi"))
		if got.Status != test.status || !strings.HasPrefix(got.id(), "hp_") {
			t.Errorf("%s %s: %d, id %q, want %d: %s", test.method, test.path, got.Status, got.id(), test.status, got.Body)
			continue
		}
		if test.code == "" {
			continue
		}
		f := got.fault(t)
		if got.code(t) != test.code || !strings.Contains(f.Message, test.says) || f.Type != "invalid_request_error" {
			t.Errorf("%s %s: %s", test.method, test.path, got.Body)
		}
		if test.status == 501 && got.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s %s: clients would try a 501 again", test.method, test.path)
		}
	}
}

// raw sends one request by hand and gives the status.
func raw(t testing.TB, g *instance, request string) int {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, request)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	return res.StatusCode
}

// Attack case B13: one spelling of a path means one row; all others are no path at all, so no check can be walked around.
func TestPathSpellings(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	body := ask("home-only", "hi")
	send := func(target, auth string) int {
		return raw(t, g, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", target, auth, len(body), body))
	}
	auth := "Authorization: Bearer " + appKey + "\r\n"
	for _, target := range []string{
		"//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions", "/./v1/chat/completions", "/v1/x/../chat/completions",
		"/v1/%2e/chat/completions", "/x/%2e%2e/v1/chat/completions", "/v1%2fchat/completions", "/v1/chat%2Fcompletions", "/V1/chat/completions",
		"/v1/Chat/Completions", "/v1/chat/completions;a=b", "/v1;x/chat/completions", "/v1/chat/completions%00", "/v1/chat/completions%20",
		"/v1/ch%61t/completions", "/livez/../v1/chat/completions", "/livez%2f..%2fv1/chat/completions", "/v1/chat/completions//", "/v1/chat\\completions",
		"http://evil.example//v1/chat/completions",
	} {
		if got := send(target, ""); got != 401 && got != 400 {
			t.Errorf("%s without a key: %d", target, got)
		}
		if got := send(target, auth); got != 404 && got != 400 {
			t.Errorf("%s: %d", target, got)
		}
	}
	before := up.count()
	if before != 0 {
		t.Errorf("%d requests were sent", before)
	}
	for _, target := range []string{"/v1/chat/completions", "/v1/chat/completions/", "/v1/chat/completions?x=//../", "http://evil.example/v1/chat/completions"} {
		if got := send(target, ""); got != 401 {
			t.Errorf("%s without a key: %d", target, got)
		}
		if got := send(target, auth); got != 200 {
			t.Errorf("%s: %d", target, got)
		}
	}
	for _, r := range up.requests() {
		if strings.Contains(r.Host, "evil") || r.Path != "/v1/chat/completions" || r.Query != "" {
			t.Errorf("the client chose %s %s?%s", r.Host, r.Path, r.Query)
		}
	}
	for _, deployment := range []string{"..", "%2e%2e", "a%2fb%2f..", "%00", "a%20b", "a%0d%0ab", "%3fx"} {
		if got := send("/openai/deployments/"+deployment+"/chat/completions", auth); got != 404 && got != 400 {
			t.Errorf("deployment %s: %d", deployment, got)
		}
	}
}

func TestModels(t *testing.T) {
	g := start(t, setup{})
	names := func(key string) []string {
		got := g.do(t, "GET", "/v1/models", "", "Authorization", "Bearer "+key)
		var list struct {
			Object string
			Data   []struct {
				ID, Object string
				Created    *int64
				OwnedBy    string `json:"owned_by"`
			}
		}
		if err := json.Unmarshal([]byte(got.Body), &list); err != nil || got.Status != 200 || list.Object != "list" {
			t.Fatalf("%d %s %v", got.Status, got.Body, err)
		}
		var out []string
		for _, m := range list.Data {
			if m.Object != "model" || m.Created == nil || m.OwnedBy == "" {
				t.Errorf("entry %+v", m)
			}
			out = append(out, m.ID)
		}
		return out
	}
	mine, public := strings.Join(names(appKey), " "), strings.Join(names(publicKey), " ")
	if !strings.Contains(mine, "home-only") || !strings.Contains(mine, "abroad-only") || !strings.Contains(mine, "text-embedding-3-small") {
		t.Errorf("internal app: %s", mine)
	}
	if !strings.Contains(public, "home-only") || strings.Contains(public, "abroad-only") {
		t.Errorf("public app is shown what it may not use: %s", public)
	}
	if got := g.do(t, "GET", "/v1/models/home-only", ""); got.Status != 200 || !strings.Contains(got.Body, `"id":"home-only"`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for _, id := range []string{"nope", "a/b/c", "%2e%2e", "gpt-4o%00"} {
		if got := g.do(t, "GET", "/v1/models/"+id, ""); got.Status != 404 {
			t.Errorf("model %s: %d", id, got.Status)
		}
	}
	unknown := g.chat(t, ask("no-such-model", "hi"))
	if unknown.Status != 404 || unknown.code(t) != "model_not_found" || !strings.Contains(unknown.Body, "home-only") || *unknown.fault(t).Param != "model" {
		t.Errorf("%d %s", unknown.Status, unknown.Body)
	}
}

// Health never sends anything upstream, and wants no key.
func TestHealth(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	for _, path := range []string{"/livez", "/readyz"} {
		for range 3 {
			if got := g.do(t, "GET", path, "", "Authorization", ""); got.Status != 200 || got.Body != "ok\n" {
				t.Errorf("%s: %d %q", path, got.Status, got.Body)
			}
		}
	}
	g.Server.Gateway().Drain()
	if got := g.do(t, "GET", "/readyz", ""); got.Status != 503 {
		t.Errorf("draining: %d", got.Status)
	}
	if got := g.do(t, "GET", "/livez", ""); got.Status != 200 {
		t.Errorf("draining, live: %d", got.Status)
	}
	if up.count() != 0 {
		t.Error("health asked an upstream")
	}
}
