package upstream

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// requestHeaders are the headers a call may set besides those this package sets itself. Nothing else goes
// out: a name not listed here, nor in Config.Headers, makes the call invalid (no silent drop). In
// particular Idempotency-Key stays in: with it net/http would replay a body by itself, unrecorded.
var requestHeaders = map[string]bool{
	"Accept":       true,
	"Content-Type": true,
	"Traceparent":  true,
	"Tracestate":   true,
}

// neverRequest are names no configuration can open: they carry credentials, choose a host, frame the
// message, or tell the provider about the client.
var neverRequest = map[string]bool{
	"Accept-Encoding": true, "Authorization": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Cookie": true, "Expect": true, "Forwarded": true, "Host": true, "Idempotency-Key": true, "Keep-Alive": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"User-Agent": true, "Via": true, "X-Api-Key": true, "Api-Key": true, "X-Idempotency-Key": true, "X-Real-Ip": true,
}

// answerHeaders are the upstream's headers that reach the client. Left out on purpose: hop-by-hop headers,
// Set-Cookie, server and tracing headers that name the operator's account or resource
// (openai-organization, openai-project, apim-request-id, x-ms-*, cf-*), x-request-id (the client gets the
// event id), x-should-retry (the gateway says that itself, after its error table), all of CORS, and
// everything under x-homeport- (attack case B10).
var answerHeaders = map[string]bool{
	"Content-Type":                   true,
	"Retry-After":                    true,
	"Retry-After-Ms":                 true,
	"Openai-Processing-Ms":           true,
	"Openai-Version":                 true,
	"X-Ratelimit-Limit-Requests":     true,
	"X-Ratelimit-Limit-Tokens":       true,
	"X-Ratelimit-Remaining-Requests": true,
	"X-Ratelimit-Remaining-Tokens":   true,
	"X-Ratelimit-Reset-Requests":     true,
	"X-Ratelimit-Reset-Tokens":       true,
}

// maxAnswerValue bounds one header value passed to the client, in bytes.
const maxAnswerValue = 1024

// CopyHeader copies to dst the headers of an upstream answer that a client may see. Values with control
// characters, and overlong ones, are left out. A name dst already holds is the gateway's and stays.
func CopyHeader(dst, src http.Header) {
	for name, values := range src {
		if !answerHeaders[name] || len(values) == 0 {
			continue
		}
		if _, ours := dst[name]; ours || !cleanValue(values[0]) || len(values[0]) > maxAnswerValue {
			continue
		}
		dst[name] = values[:1:1]
	}
}

func cleanValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// validName reports a header name that an operator or a catalog entry may set.
func validName(name string) bool {
	if name == "" || len(name) > 100 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	return !neverRequest[canonical] && !strings.HasPrefix(canonical, "X-Homeport-") &&
		!strings.HasPrefix(canonical, "X-Forwarded-") && !strings.HasPrefix(canonical, "X-Stainless-")
}

// maxRetryAfter bounds what an upstream may ask for.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads how long an upstream asks to wait: retry-after-ms, then Retry-After in seconds or as a
// date. It returns 0 when there is nothing to read, and at most 24 hours.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After-Ms"); v != "" {
		if ms, err := strconv.ParseFloat(v, 64); err == nil {
			return boundedWait(ms * float64(time.Millisecond))
		}
	}
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return boundedWait(s * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil {
		return boundedWait(float64(t.Sub(now)))
	}
	return 0
}

func boundedWait(ns float64) time.Duration {
	switch {
	case !(ns > 0): // also NaN
		return 0
	case ns > float64(maxRetryAfter):
		return maxRetryAfter
	}
	return time.Duration(ns)
}
