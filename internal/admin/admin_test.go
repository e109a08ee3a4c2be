package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"homeport/internal/admin"
	"homeport/internal/appkey"
)

const secret = "admin-secret-of-this-test"

func plane(loopback bool, known bool) http.Handler {
	return admin.New(admin.Options{
		Secret:   func() (appkey.Hash, bool) { return appkey.HashOf(secret), known },
		Loopback: loopback,
		Status: func() admin.Status {
			return admin.Status{Schema: "homeport.status.v1", Version: "<b>1</b>", Targets: []admin.Target{{ID: "a/b", Place: []string{}, Breaker: "open"}}, Apps: []string{"x"}}
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("a_metric 1\n")) }),
	})
}

func get(h http.Handler, method, path string, auth ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header["Authorization"] = auth
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Attack cases B3, B5, B11: each route with each credential, on loopback and off it. The Host header changes nothing.
func TestWhoMaySeeWhat(t *testing.T) {
	right := []string{"Bearer " + secret}
	for _, test := range []struct {
		path          string
		open, guarded int // status without the secret on loopback, and with it
		offLoopback   int // without the secret off loopback
	}{
		{"/metrics", 200, 200, 401},
		{"/api/v1/status", 401, 200, 401},
		{"/api/v1/", 401, 404, 401},
		{"/api/v1/keys", 401, 404, 401},
		{"/api/v1/status/", 401, 404, 401},
		{"/livez", 200, 200, 200},
		{"/", 200, 200, 200},
		{"/nowhere", 404, 404, 404},
		{"/debug/pprof/", 404, 404, 404},
	} {
		if w := get(plane(true, true), "GET", test.path); w.Code != test.open {
			t.Errorf("%s: %d, want %d", test.path, w.Code, test.open)
		}
		if w := get(plane(true, true), "GET", test.path, right...); w.Code != test.guarded {
			t.Errorf("%s with the secret: %d, want %d", test.path, w.Code, test.guarded)
		}
		if w := get(plane(false, true), "GET", test.path); w.Code != test.offLoopback {
			t.Errorf("%s off loopback: %d, want %d", test.path, w.Code, test.offLoopback)
		}
		if w := get(plane(false, true), "GET", test.path, right...); w.Code != test.guarded {
			t.Errorf("%s off loopback with the secret: %d, want %d", test.path, w.Code, test.guarded)
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/status", nil)
	r.Host = "127.0.0.1"
	r.Header.Set("X-Forwarded-For", "127.0.0.1")
	w := httptest.NewRecorder()
	plane(false, true).ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("a Host header let in: %d", w.Code)
	}
}

func TestWrongSecrets(t *testing.T) {
	for _, auth := range [][]string{
		{""}, {"Bearer"}, {"Bearer "}, {secret}, {"Basic " + secret}, {"Bearer " + secret + "x"}, {"Bearer " + secret[1:]}, {"Bearer  " + secret},
		{"Bearer " + strings.ToUpper(secret)}, {"Bearer " + secret, "Bearer " + secret}, {"Bearer x", "Bearer " + secret},
		{"Bearer " + appkey.HashOf(secret).String()}, {"Bearer " + strings.Repeat("a", 1<<20)},
	} {
		w := get(plane(true, true), "GET", "/api/v1/status", auth...)
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%.60q: %d %s", auth, w.Code, w.Body)
		}
	}
	if w := get(plane(true, false), "GET", "/api/v1/status", "Bearer "+secret); w.Code != 401 {
		t.Errorf("no secret is in force: %d", w.Code) // attack case C1: a missing secret refuses
	}
	if w := get(plane(true, true), "GET", "/api/v1/status?secret="+secret); w.Code != 401 {
		t.Errorf("a secret in the query: %d", w.Code)
	}
	if w := get(plane(true, true), "GET", "/api/v1/status", "bearer "+secret); w.Code != 200 {
		t.Errorf("scheme in lower case: %d", w.Code)
	}
}

func TestStatus(t *testing.T) {
	w := get(plane(true, true), "GET", "/api/v1/status", "Bearer "+secret)
	var s admin.Status
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.Schema != "homeport.status.v1" || len(s.Targets) != 1 || s.Targets[0].Breaker != "open" {
		t.Errorf("%s %v", w.Body, err)
	}
	if w.Header().Get("Content-Type") != "application/json" {
		t.Error(w.Header())
	}
	if w := get(plane(true, true), "POST", "/api/v1/status", "Bearer "+secret); w.Code == 200 {
		t.Errorf("POST: %d", w.Code)
	}
}

// Attack case H7: every page carries a strict policy, and text is escaped.
func TestPages(t *testing.T) {
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/nowhere"} {
		h := get(plane(true, true), "GET", path).Header()
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	body := get(plane(true, true), "GET", "/").Body.String()
	if strings.Contains(body, "<b>1</b>") || !strings.Contains(body, "&lt;b&gt;") || !strings.Contains(body, "管理面") || !strings.Contains(body, "admin plane") {
		t.Error(body)
	}
}
