// Package admin is the admin plane: status, metrics, and the ground on which the console will stand. Start at [New].
//
// Everything under /api/v1/ wants the admin secret; off loopback /metrics wants it too. The secret travels in a header only,
// never in a cookie, so a page of another site can make a browser send nothing that counts. The Host header takes no part in
// any decision (attack case B5).
package admin

import (
	"encoding/json/v2"
	"html/template"
	"net/http"
	"strings"

	"homeport/internal/appkey"
)

// Status is what GET /api/v1/status tells. It holds no key, no prompt and no finding.
type Status struct {
	Schema  string   `json:"schema"`
	Version string   `json:"version"`
	Config  string   `json:"config"` // digest
	Packs   string   `json:"packs"`  // digest
	Journal string   `json:"journal"`
	Apps    []string `json:"apps"`
	Targets []Target `json:"targets"`
}

// Target is one target as it stands.
type Target struct {
	ID      string   `json:"id"`
	Place   []string `json:"place"` // empty is unknown
	Filing  string   `json:"filing,omitempty"`
	Breaker string   `json:"breaker"` // closed, open
}

// Options are what the plane shows and how it is guarded.
type Options struct {
	Secret   func() (appkey.Hash, bool) // hash of the admin secret in force
	Loopback bool                       // the listener is on loopback only
	Status   func() Status
	Metrics  http.Handler
}

// New returns the admin plane's handler.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	guarded := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !o.authorised(r) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="homeport admin"`)
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusUnauthorized)
				w.Write([]byte(`{"title":"admin secret needed / 需要管理密钥","status":401,"detail":"Authorization: Bearer <admin secret>. Lost / 遗失: homeport key admin"}` + "\n"))
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	metrics := o.Metrics
	if !o.Loopback {
		metrics = guarded(metrics)
	}
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /api/v1/status", guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.MarshalWrite(w, o.Status()); err == nil {
			w.Write([]byte("\n"))
		}
	})))
	mux.Handle("/api/v1/", guarded(http.NotFoundHandler()))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { page(w, o.Status().Version) })
	return secured(mux)
}

func (o Options) authorised(r *http.Request) bool {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(secret) > appkey.MaxLen {
		return false
	}
	want, known := o.Secret()
	return known && want.Equal(appkey.HashOf(secret))
}

// secured sets headers that every page of the plane carries.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>Homeport</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}code{background:#f2f2f2;padding:.1em .3em}</style></head>
<body><h1>Homeport {{.}}</h1>
<p>管理面。状态：<code>GET /api/v1/status</code>（请求头 <code>Authorization: Bearer 管理密钥</code>）；指标：<a href="/metrics">/metrics</a>。</p>
<p lang="en">The admin plane. Status: <code>GET /api/v1/status</code> with <code>Authorization: Bearer &lt;admin secret&gt;</code>; metrics: <a href="/metrics">/metrics</a>.</p>
</body></html>
`))

func page(w http.ResponseWriter, version string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, version) // only the connection can fail
}
