package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"homeport/internal/httpx"
	"homeport/internal/openai"
)

// credential returns the one key a request carries. Homeport reads three headers (DESIGN 5.1); two different keys in one
// request are ambiguous and refused, so that no two readers pick different ones.
func credential(h http.Header) (key string, ok bool) {
	take := func(v string) bool {
		v = strings.TrimSpace(v)
		if v == "" || key != "" && key != v {
			return false
		}
		key = v
		return true
	}
	for _, v := range h["Authorization"] {
		scheme, token, found := strings.Cut(v, " ")
		if !found || !strings.EqualFold(scheme, "Bearer") || !take(token) {
			return "", false
		}
	}
	for _, name := range [...]string{"Api-Key", "X-Api-Key"} {
		for _, v := range h[name] {
			if !take(v) {
				return "", false
			}
		}
	}
	return key, key != ""
}

// unauthorized never says whether a key was close: the presented credential is not echoed, not even partly.
func unauthorized() *openai.Error {
	return &openai.Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key",
		Message: "No valid key was given. Send a Homeport key as 'Authorization: Bearer …' or 'api-key: …'. 缺少有效密钥，请使用 Homeport 应用密钥。"}
}

const (
	bodyPatience   = 20 * time.Second // how long a body may stand still
	unreadPatience = 2 * time.Second  // for the rest of a body that nobody wants, before the answer goes out
	firstBody      = 256 << 10        // bytes given to a body before any of it has come
)

// unwanted bounds what the server waits for when a request is answered without its body: net/http reads the rest first.
func unwanted(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadPatience))
	}
}

// readBody reads the whole body, at most limit bytes, before anything is forwarded: a server closes it at the first
// byte of the answer, and what is judged must be all that there is.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *openai.Error) {
	if httpx.AmbiguousLength(r) {
		w.Header().Set("Connection", "close")
		return nil, openai.BadRequest("", "ambiguous_length", "Both Content-Length and Transfer-Encoding are present. 请求同时带有 Content-Length 与 Transfer-Encoding。")
	}
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close") // where the next request begins is known to this reader only
	}
	for _, v := range r.Header["Content-Encoding"] {
		if v != "" && !strings.EqualFold(v, "identity") {
			return nil, &openai.Error{Status: http.StatusUnsupportedMediaType, Type: "invalid_request_error", Code: "unsupported_encoding",
				Message: "Send the request body without Content-Encoding. 请求体不得压缩。"}
		}
	}
	tooLarge := &openai.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "request_too_large", NoRetry: true,
		Message: "The request body is larger than max_body permits. 请求体超过 max_body 上限。"}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	size := r.ContentLength
	if size < 0 {
		size = 4096
	}
	// One byte more than announced, so that the read that finds the end needs no second buffer; but memory is given for
	// what came, not for what was announced.
	buf := make([]byte, 0, min(size+1, firstBody))
	body := http.MaxBytesReader(w, r.Body, limit)
	rc := http.NewResponseController(w)
	var deadline time.Time
	for {
		if now := time.Now(); deadline.Sub(now) < bodyPatience/2 { // moving it costs a timer, so not at each read
			deadline = now.Add(bodyPatience)
			rc.SetReadDeadline(deadline)
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			rc.SetReadDeadline(time.Time{}) // from here on a client may be silent as long as its answer takes
			return buf, nil
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return nil, tooLarge
			}
			w.Header().Set("Connection", "close")
			if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
				return nil, &openai.Error{Status: http.StatusRequestTimeout, Type: "invalid_request_error", Code: "request_timeout",
					Message: "The request body stopped arriving. 请求体传输中断超时。"}
			}
			return nil, openai.BadRequest("", "incomplete_body", "The request body could not be read to its end. 请求体未能完整读取。")
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// admitted is a request that was let in: bounded, strictly parsed, within its app's limits, with a route.
type admitted struct {
	req     *openai.Request
	model   string // asked for
	route   *Route
	choices []Choice
	limits  reservation
	class   dataClass
	prompt  int64 // estimated tokens

	subject, conversation, idempotency string // headers; kept as HMACs only
}

// forget lets the request's bytes go once the target is fixed: no further try can need them, and a stream may last long.
func (in *admitted) forget() {
	in.req = &openai.Request{Endpoint: in.req.Endpoint, Stream: in.req.Stream, Model: in.req.Model}
}

// dataClass is x-homeport-data-class: what the client says its data is. It can only tighten.
type dataClass uint8

const (
	classNone dataClass = iota
	classPersonal
	classSensitive
	classImportant
	classCore
	classStateSecret
)

var dataClasses = map[string]dataClass{"": classNone, "none": classNone, "personal": classPersonal, "sensitive": classSensitive,
	"important": classImportant, "core": classCore, "state_secret": classStateSecret}

// admit reads and parses the request, finds its route, and takes its share of the app's limits. A refusal here carries an
// event id and makes no event (DESIGN 3.1).
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, p *Pipeline, app *App, ex *exchange) (*admitted, *openai.Error) {
	in := &admitted{}
	if err := in.headers(r.Header); err != nil {
		return nil, err
	}
	raw, err := readBody(w, r, p.MaxBody)
	if err != nil {
		return nil, err
	}
	if in.req, err = openai.Parse(ex.op, raw); err != nil {
		return nil, err
	}
	in.model = in.req.Model
	if ex.deployment != "" {
		in.model = ex.deployment
	}
	if in.model == "" {
		return nil, openai.BadRequest("model", "missing_required_parameter", "'model' is required. 缺少 model。")
	}
	if !validModel(in.model) {
		return nil, openai.BadRequest("model", "invalid_value", "'model' is not a model name. model 不是有效的模型名。")
	}
	if in.route, in.choices = p.resolve(app, in.model); len(in.choices) == 0 {
		return nil, unknownModel(app)
	}
	in.prompt = estimatePrompt(in.req)
	if err := g.admitLimits(r.Context(), app, in, w.Header(), ex.began); err != nil {
		return nil, err
	}
	return in, nil
}

// headers reads what a client may say about its request besides the body.
func (in *admitted) headers(h http.Header) *openai.Error {
	for _, v := range h["X-Homeport-Data-Class"] {
		class, ok := dataClasses[strings.ToLower(v)]
		if !ok {
			return openai.BadRequest("x-homeport-data-class", "invalid_value",
				"x-homeport-data-class must be personal, sensitive, important, core or state_secret. x-homeport-data-class 的取值无效。")
		}
		in.class = max(in.class, class) // of several, the strictest
	}
	in.subject, in.conversation, in.idempotency = h.Get("X-Homeport-Subject"), h.Get("X-Homeport-Conversation"), h.Get("Idempotency-Key")
	for _, v := range [...]string{in.subject, in.conversation, in.idempotency} {
		if len(v) > 512 {
			return openai.BadRequest("", "header_too_long", "A header value is longer than 512 bytes. 请求头的值过长。")
		}
	}
	return nil
}

// validModel bounds what may become part of an upstream's path or header (attack case E2).
func validModel(s string) bool {
	if len(s) > 200 || strings.Contains(s, "..") || strings.HasPrefix(s, "/") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.:/@+", c) >= 0) {
			return false
		}
	}
	return true
}
