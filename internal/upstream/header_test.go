package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/upstream"
)

// Attack case B10: only the listed headers reach the client, and none of the gateway's own names can come
// from an upstream.
func TestCopyHeader(t *testing.T) {
	src := http.Header{}
	for _, name := range []string{
		"Content-Type", "Retry-After", "Retry-After-Ms", "Openai-Processing-Ms", "Openai-Version", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Reset-Tokens",
		"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Content-Encoding", "Trailer", "Upgrade", "Proxy-Authenticate", "Te",
		"Set-Cookie", "Server", "Date", "Location", "X-Request-Id", "X-Should-Retry", "Apim-Request-Id", "X-Ms-Region", "Openai-Organization",
		"Openai-Project", "Cf-Ray", "Access-Control-Allow-Origin", "Strict-Transport-Security", "Alt-Svc", "Www-Authenticate",
		"X-Homeport-Verdict", "X-Homeport-Target", "X-Ratelimit-Other",
	} {
		src.Set(name, "v")
	}
	src["X-Ratelimit-Limit-Tokens"] = []string{"a\r\nX-Homeport-Verdict: allow"}
	src["X-Ratelimit-Remaining-Tokens"] = []string{strings.Repeat("9", 5000)}
	src["X-Ratelimit-Remaining-Requests"] = nil
	dst := http.Header{"Retry-After": {"7"}}
	upstream.CopyHeader(dst, src)
	want := http.Header{
		"Content-Type": {"v"}, "Retry-After": {"7"}, "Retry-After-Ms": {"v"}, "Openai-Processing-Ms": {"v"}, "Openai-Version": {"v"},
		"X-Ratelimit-Limit-Requests": {"v"}, "X-Ratelimit-Reset-Tokens": {"v"},
	}
	if fmt.Sprint(dst) != fmt.Sprint(want) {
		t.Errorf("got %v", dst)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	cases := []struct {
		ms, after string
		want      time.Duration
	}{
		{"", "", 0}, {"", "3", 3 * time.Second}, {"", "0.5", 500 * time.Millisecond}, {"1500", "9", 1500 * time.Millisecond},
		{"x", "9", 9 * time.Second}, {"", "-4", 0}, {"", "NaN", 0}, {"", "1e300", 24 * time.Hour}, {"", "soon", 0}, {"", "Inf", 24 * time.Hour},
		{"", "Sun, 01 Nov 2026 08:00:30 GMT", 30 * time.Second}, {"", "Sun, 01 Nov 2026 07:00:00 GMT", 0},
	}
	for _, c := range cases {
		h := http.Header{}
		h.Set("Retry-After-Ms", c.ms)
		h.Set("Retry-After", c.after)
		if got := upstream.RetryAfter(h, now); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.ms, c.after, got, c.want)
		}
	}
}

// Attack case D1: a credential prints as a constant, alone or inside any struct.
func TestSecretPrintsNothing(t *testing.T) {
	s := upstream.NewSecret(canary)
	inner := struct{ s upstream.Secret }{s}
	cfg := upstream.Config{Auth: upstream.Auth{Key: s}}
	c := client(t, "https://api.example.com")
	e := upstream.EntraConfig{ClientSecret: s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, inner, &inner, []upstream.Secret{s}, map[string]upstream.Secret{"k": s}, cfg, &cfg, e} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		b, err := json.Marshal(v)
		if err == nil {
			out.Write(b)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	}
	_ = c
	text := out.String()
	for _, bad := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(text, bad) {
			t.Errorf("the credential was printed")
		}
	}
	if !strings.Contains(text, "[secret]") {
		t.Error("nothing was printed: the test proves nothing")
	}
	if !upstream.NewSecret("").Empty() || s.Empty() {
		t.Error("Empty is wrong")
	}
}
