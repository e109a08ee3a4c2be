package gateway_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Attack cases A2, B10, B18, B19, F8 (invariant 4): no header chooses an upstream, switches a stage off or is passed on; the
// upstream gets an allow-list.
func TestRequestHeaders(t *testing.T) {
	home, abroad := newUpstream(t, answering), newUpstream(t, answering)
	evil := newUpstream(t, answering)
	g := start(t, setup{home: home, abroad: abroad})
	plain := g.chat(t, ask("gpt-4o", residentID))
	want := home.last(t)
	hostile := []string{
		"X-Portkey-Custom-Host", evil.url, "X-Portkey-Provider", "openai", "X-Portkey-Config", `{"custom_host":"` + evil.url + `"}`,
		"X-Homeport-Target", "abroad/big", "X-Homeport-Place", "CN", "X-Homeport-Verdict", "allow", "X-Homeport-Filing", "x",
		"X-Homeport-Skip-Policy", "true", "X-Skip-Policy", "1", "X-Skip-Cache", "1", "X-Higress-Skip-Ai-Cache", "on", "X-Mcp-Bypass", "true",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-For", "10.0.0.1", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example",
		"X-Original-Url", "/livez", "X-Rewrite-Url", "/livez", "X-Http-Method-Override", "GET", "X-Upstream-Url", evil.url,
		"Openai-Organization", "canary-org", "Openai-Project", "canary-project", "Openai-Beta", "canary-beta", "Cookie", "canary=1",
		"X-Stainless-Lang", "js", "X-Stainless-Os", "Linux", "User-Agent", "canary-agent", "Referer", "http://canary.example", "Via", "1.1 canary",
		"X-Request-Id", "canary-id", "X-Client-Request-Id", "canary-id", "Proxy-Authorization", "Basic canary", "Te", "trailers", "X-Debug", "1",
		"Accept-Language", "zh",
	}
	got := g.chat(t, ask("gpt-4o", residentID), hostile...)
	if got.Status != 200 || got.Header.Get("X-Homeport-Target") != plain.Header.Get("X-Homeport-Target") || abroad.count() != 0 || evil.count() != 0 {
		t.Fatalf("%d to %s, %d abroad, %d elsewhere", got.Status, got.Header.Get("X-Homeport-Target"), abroad.count(), evil.count())
	}
	seen := home.last(t)
	if seen.Host != want.Host || seen.Path != want.Path || seen.Query != "" || seen.Body != want.Body {
		t.Errorf("the request changed: %+v", seen)
	}
	names := slices.Sorted(maps.Keys(seen.Header))
	if !slices.Equal(names, slices.Sorted(maps.Keys(want.Header))) {
		t.Errorf("headers upstream: %v", names)
	}
	for _, name := range names {
		if !slices.Contains([]string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "Traceparent", "Tracestate", "User-Agent"}, name) {
			t.Errorf("header %s goes upstream", name)
		}
		if v := strings.Join(seen.Header[name], ","); strings.Contains(v, "canary") {
			t.Errorf("the client's %s goes upstream: %s", name, v)
		}
	}
	if seen.Header.Get("Authorization") != "Bearer "+homeKey {
		t.Errorf("credential %s", seen.Header.Get("Authorization"))
	}
	if got.id() == "canary-id" {
		t.Error("the client chose the event id")
	}
	refused := g.chat(t, ask("abroad-only", residentID), hostile...)
	if refused.Status != 403 {
		t.Errorf("a header loosened a rule: %d", refused.Status)
	}
}

// The client gets an allow-list of the upstream's headers, and none in the gateway's name.
func TestResponseHeaders(t *testing.T) {
	set := func(w http.ResponseWriter) {
		h := w.Header()
		for _, name := range []string{"Set-Cookie", "Server", "Via", "Openai-Organization", "X-Request-Id", "Cf-Ray", "X-Ms-Region", "Apim-Request-Id",
			"X-Homeport-Target", "X-Homeport-Verdict", "X-Homeport-Place", "X-Should-Retry", "Access-Control-Allow-Origin", "Location", "X-Accel-Redirect", "Www-Authenticate"} {
			h.Set(name, "canary")
		}
		h.Set("Openai-Processing-Ms", "12")
		h.Set("X-Ratelimit-Remaining-Requests", "99")
	}
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		set(w)
		switch n {
		case 0:
			answering(w, r, n)
		case 1:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, plainStream)
		default:
			failing(500, "")(w, r, n)
		}
	})
	g := start(t, setup{home: up})
	for i, body := range []string{ask("home-only", "hi"), ask("home-only", "hi", `,"stream":true`), ask("home-only", "hi")} {
		got := g.chat(t, body)
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, ""), "canary") {
				t.Errorf("answer %d: %s: %v reaches the client", i, name, values)
			}
		}
		if !strings.HasPrefix(got.id(), "hp_") || got.Header.Get("X-Homeport-Target") != "home/small" || got.Header.Get("X-Homeport-Place") != "CN" {
			t.Errorf("answer %d: %v", i, got.Header)
		}
		if i < 2 && (got.Header.Get("Openai-Processing-Ms") != "12" || got.Header.Get("X-Ratelimit-Remaining-Requests") != "99" ||
			got.Header.Get("X-Homeport-Filing") != "Example-Filing-0001" || got.Header.Get("X-Homeport-Verdict") != "allow") {
			t.Errorf("answer %d: %v", i, got.Header)
		}
	}
	if got := g.chat(t, ask("home-only", "hi"), "Authorization", ""); got.Header.Get("X-Homeport-Target") != "" {
		t.Error("a 401 names a target")
	}
}

// By invariant 8, a place or a filing that nobody declared is said to be unknown, or is not said.
func TestUnknownIsSaid(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{abroad: up})
	got := g.chat(t, ask("abroad-only", "hi"))
	if got.Status != 200 || got.Header.Get("X-Homeport-Filing") != "" || got.Header.Get("X-Homeport-Place") != "SE" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	r := refusal(t, g.chat(t, ask("unknown-only", "hi")))
	if len(r.Targets) != 1 || len(r.Targets[0].Place) != 0 || len(r.Needs) == 0 {
		t.Errorf("%+v", r)
	}
}

// By invariant 6, every member of a request arrives, in the client's own bytes.
func TestNothingIsDroppedOnTheWay(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up})
	members := []string{`"n":2`, `"seed":9007199254740993`, `"temperature":0.70`, `"max_tokens":5`, `"logit_bias":{"50256":-100}`, `"stop":["a","b"]`,
		`"user":"u"`, `"unknown_field":{"a":[1,2.50,"x"]}`, `"response_format":{"type":"json_object"}`, `"presence_penalty":1e-1`, `"metadata":{"k":"v"}`,
		`"parallel_tool_calls":false`, `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]`}
	got := g.chat(t, ask("home-only", "hi", ","+strings.Join(members, ",")))
	if got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	sent, adapted := up.last(t).Body, got.Header.Get("X-Homeport-Adapted")
	for _, m := range members {
		name := strings.Trim(strings.SplitN(m, ":", 2)[0], `"`)
		if !strings.Contains(sent, m) && !strings.Contains(adapted, name) {
			t.Errorf("%s neither arrived nor is it reported: %s, adapted %q", m, sent, adapted)
		}
	}
}
