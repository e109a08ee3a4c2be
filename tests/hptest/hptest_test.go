package hptest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/tests/hptest"
)

const hello = `{"messages":[{"role":"user","content":"hello"}]}`

func post(t *testing.T, ctx context.Context, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// TestUpstream: it remembers requests, fails as often as it was told to, and sees a caller leave.
func TestUpstream(t *testing.T) {
	up := hptest.Practice(t)
	chat := up.BaseURL + "/chat/completions"
	up.FailNext(1, 503, "7")
	if res := post(t, t.Context(), chat, hello); res.StatusCode != 503 || res.Header.Get("Retry-After") != "7" {
		t.Errorf("first: status %d, want 503 with Retry-After 7", res.StatusCode)
	}
	if res := post(t, t.Context(), chat, hello); res.StatusCode != 200 {
		t.Errorf("second: status %d, want 200", res.StatusCode)
	}
	if n := len(up.Requests()); n != 2 || string(up.Last(t).Body) != hello {
		t.Errorf("%d requests, want 2, or the body was changed", n)
	}

	ctx, leave := context.WithCancel(t.Context())
	res := post(t, ctx, chat, `{"stream":true,"messages":[{"role":"user","content":"practice: long 100000 10ms"}]}`)
	io.ReadFull(res.Body, make([]byte, 10))
	leave()
	up.Last(t).WaitCancelled(t, 30*time.Second)
}

// TestGateway starts the real binary, reaches the upstream through it, and stops it cleanly.
func TestGateway(t *testing.T) {
	up := hptest.Practice(t)
	gw := hptest.Start(t, hptest.Config(up))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gw.URL+"/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-4o","messages":[{"role":"user","content":"/echo 你好"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+hptest.Key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), "【练习】你好") {
		t.Fatalf("status %d, %v: %s", res.StatusCode, err, body)
	}
	if got := len(up.Requests()); got != 1 {
		t.Errorf("%d requests reached the upstream, want 1", got)
	}
	gw.Stop(t)
}
