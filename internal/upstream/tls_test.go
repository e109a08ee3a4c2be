package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"homeport/internal/upstream"
)

func serveTLS(t *testing.T, http2 bool, change func(*tls.Config)) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, b)
	}))
	s.EnableHTTP2 = http2
	s.TLS = &tls.Config{}
	if change != nil {
		change(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

// HTTP/1.1 unless asked; HTTP/2 really is spoken when asked, own dialer notwithstanding.
func TestProtocols(t *testing.T) {
	s, pool := serveTLS(t, true, nil)
	for want, on := range map[string]bool{"HTTP/1.1 {}": false, "HTTP/2.0 {}": true} {
		c := client(t, s.URL, func(cfg *upstream.Config) { cfg.RootCAs, cfg.HTTP2 = pool, on })
		for range 2 {
			call := post("{}")
			a, err := c.Do(patient(t), call)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, a); got != want || a.UntilClose {
				t.Errorf("http2 %v: %q, until close %v", on, got, a.UntilClose)
			}
			wantFree(t, call)
		}
	}
}

func TestTLSErrors(t *testing.T) {
	s, pool := serveTLS(t, false, nil)
	old, oldPool := serveTLS(t, false, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 })
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	cases := []struct {
		name, base, reason string
		pool               *x509.CertPool
	}{
		{"unknown authority", s.URL, "certificate_untrusted", nil},
		{"old version", old.URL, "alert", oldPool},
		{"no TLS", "https" + plain.URL[len("http"):], "not_tls", pool},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			call := post("{}")
			_, err := client(t, c.base, func(cfg *upstream.Config) { cfg.RootCAs = c.pool }).Do(patient(t), call)
			e := wantClass(t, err, upstream.ClassTLS)
			if e.Reason != c.reason || e.Sent || !call.Reusable() {
				t.Errorf("%+v", e)
			}
		})
	}
	cfg := upstream.Config{BaseURL: "https://wrong.name.test" + s.URL[len("https://127.0.0.1"):], RootCAs: pool, Network: 1}
	upstream.SetResolver(&cfg, nameServer(t, "127.0.0.1"))
	c, err := upstream.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(patient(t), post("{}"))
	if e := wantClass(t, err, upstream.ClassTLS); e.Reason != "certificate_name" {
		t.Errorf("%+v", e)
	}
}
