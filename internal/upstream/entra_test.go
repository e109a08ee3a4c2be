package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"homeport/internal/upstream"
)

type fixedToken string

func (f fixedToken) Token(context.Context) (string, error) { return string(f), nil }
func (fixedToken) Invalidate(string)                       {}

func entra(t *testing.T, authority string) *upstream.Entra {
	t.Helper()
	e, err := upstream.NewEntra(upstream.EntraConfig{
		Authority: authority, Tenant: "contoso.example", ClientID: "app-1", ClientSecret: upstream.NewSecret(canary + "&="),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// Many callers, one token request, in the form of the client credentials flow; then the cache serves.
func TestEntraSingleFlight(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		<-release
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if r.Method != "POST" || r.RequestURI != "/contoso.example/oauth2/v2.0/token" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
			r.Header.Get("Authorization") != "" || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("client_id") != "app-1" ||
			r.PostForm.Get("client_secret") != canary+"&=" || r.PostForm.Get("scope") != "https://cognitiveservices.azure.com/.default" || len(r.PostForm) != 4 {
			t.Error("the token request is not of the expected form")
		}
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"token-%d"}`, n)
	})
	e := entra(t, s.URL)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if tok, err := e.Token(patient(t)); err != nil || tok != "token-1" {
				t.Errorf("%q %v", tok, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.Token(ctx)
	wantClass(t, err, upstream.ClassCanceled) // a client that leaves does not spoil it for the rest
	close(release)
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d token requests", n)
	}
	e.Invalidate("another")
	if tok, _ := e.Token(patient(t)); tok != "token-1" {
		t.Errorf("a foreign token dropped the present one: %q", tok)
	}
	e.Invalidate("token-1")
	if tok, err := e.Token(patient(t)); err != nil || tok != "token-2" {
		t.Errorf("%q %v", tok, err)
	}
}

// Bad answers give constant reasons; nothing of the answer, the secret or the application shows. After a
// failure the authority is left alone for a moment.
func TestEntraRefusals(t *testing.T) {
	cases := []struct {
		name   string
		status int
		body   string
		reason string
	}{
		{"wrong secret", 401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret for app-1 ` + canary + `"}`, "invalid_client"},
		{"odd code", 400, `{"error":"` + canary + `"}`, "authority_status_400"},
		{"no JSON", 500, `<html>`, "authority_status_500"},
		{"empty token", 200, `{"token_type":"Bearer","expires_in":3599,"access_token":""}`, "token_malformed"},
		{"no life", 200, `{"token_type":"Bearer","access_token":"x"}`, "token_malformed"},
		{"other type", 200, `{"token_type":"mac","expires_in":3599,"access_token":"x"}`, "token_malformed"},
		{"duplicate names", 200, `{"token_type":"Bearer","expires_in":3599,"access_token":"x","access_token":"y"}`, "token_malformed"},
		{"huge", 200, `{"token_type":"Bearer","expires_in":3599,"access_token":"` + strings.Repeat("x", 70<<10) + `"}`, "token_malformed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			e := entra(t, s.URL)
			for range 3 {
				_, err := e.Token(patient(t))
				if got := wantClass(t, err, upstream.ClassAuth); got.Reason != c.reason {
					t.Errorf("reason %q, want %q", got.Reason, c.reason)
				}
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%d requests for three calls", n)
			}
		})
	}
	redirecting := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
	})
	_, err := entra(t, redirecting.URL).Token(patient(t))
	if e := wantClass(t, err, upstream.ClassAuth); e.Reason != "upstream_redirect" {
		t.Error(e)
	}
}

// A life given as a string is read, and a 401 of the upstream makes the
// next call ask for a new one.
func TestClientWithTokens(t *testing.T) {
	var n atomic.Int32
	authority := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"token_type":"bearer","expires_in":"3599","access_token":"token-%d"}`, n.Add(1))
	})
	var seen []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if len(seen) == 2 {
			w.WriteHeader(401)
		}
	})
	c := client(t, s.URL, func(cfg *upstream.Config) {
		cfg.Auth = upstream.Auth{Scheme: upstream.AuthBearer, Source: entra(t, authority.URL)}
	})
	for range 3 {
		a, err := c.Do(patient(t), post("{}"))
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, a)
	}
	if got := strings.Join(seen, ", "); got != "Bearer token-1, Bearer token-1, Bearer token-2" {
		t.Errorf("the upstream saw %s", got)
	}
}

type brokenSource struct{}

func (brokenSource) Token(context.Context) (string, error) {
	return "", errors.New("post http://login/?secret=" + canary)
}
func (brokenSource) Invalidate(string) {}

func TestTokenErrorsShowNothing(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	for _, source := range []upstream.TokenSource{brokenSource{}, fixedToken(""), fixedToken("a\r\nb")} {
		c := client(t, s.URL, func(cfg *upstream.Config) {
			cfg.Auth = upstream.Auth{Scheme: upstream.AuthBearer, Source: source}
		})
		_, err := c.Do(patient(t), post("{}"))
		if e := wantClass(t, err, upstream.ClassAuth); e.Sent {
			t.Error("counts as sent")
		}
	}
	for _, cfg := range []upstream.EntraConfig{
		{Tenant: "t", ClientID: "c"}, {Tenant: "t", ClientSecret: upstream.NewSecret(canary)}, {Tenant: "../t", ClientID: "c", ClientSecret: upstream.NewSecret(canary)},
		{Authority: "https://u:" + canary + "@x.example", Tenant: "t", ClientID: "c", ClientSecret: upstream.NewSecret(canary)},
	} {
		if _, err := upstream.NewEntra(cfg); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
	}
}
