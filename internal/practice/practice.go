// Package practice is the built-in practice upstream: an http.Handler that speaks the OpenAI form without a model, a key
// or a network, so that users and tests can try every path of the gateway.
//
// Start at New. What always holds:
//
//   - Honest: no answer can be taken for a model's. The text says so (Chinese or English, by the language of the prompt),
//     `model` and `system_fingerprint` are "practice" whatever was asked for, and every answer carries the header X-Practice.
//   - Deterministic: the same request bytes get the same answer bytes. Ids are hashes of the request; times are Options.Created.
//   - Frugal: an answer tells counts about the prompt, and repeats of it only the last user text, and that only on `/echo`.
//   - It never logs, and its errors never hold prompt text.
//
// A user message may hold commands, a line each, such as `practice: error 429`; see commands.go and docs/guide/practice.md.
// The package depends on nothing else of Homeport.
package practice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Model is the one model this upstream has; every answer names it, whichever model was asked for.
const Model = "practice"

// Header is set, with the value "homeport", on every answer: the mark of practice where an answer has no text.
const Header = "X-Practice"

// defaultCreated is 2026-01-01T00:00:00Z: a fixed time keeps answers identical from run to run.
const defaultCreated = 1767225600

// Options are the settings of the practice upstream; the zero value is ready to use.
type Options struct {
	// Created is the `created` time of every answer, in Unix seconds. Default: 2026-01-01T00:00:00Z.
	Created int64
	// MaxBody bounds a request body, in bytes; a longer one is answered 413. Default: 32 MiB.
	MaxBody int64
	// Sleep waits for d or until ctx ends, and then returns its error. Default: a timer. Tests replace it to take no time.
	Sleep func(ctx context.Context, d time.Duration) error
}

// New returns the practice upstream, serving /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models.
// Anything else is 404 in the OpenAI error shape. It is safe for concurrent use and keeps no state between requests.
func New(o Options) http.Handler {
	if o.Created == 0 {
		o.Created = defaultCreated
	}
	if o.MaxBody == 0 {
		o.MaxBody = 32 << 20
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	u := &upstream{Options: o}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", u.endpoint(u.chat))
	mux.Handle("POST /v1/completions", u.endpoint(u.completions))
	mux.Handle("POST /v1/embeddings", u.endpoint(u.embeddings))
	mux.HandleFunc("GET /v1/models", u.models)
	mux.HandleFunc("GET /v1/models/{id}", u.model)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, errorf(http.StatusNotFound, "not_found_error", "unknown_url", "",
			"练习上游没有此路径；practice has no such path"))
	})
	return mux
}

// upstream holds the settings; it has no state.
type upstream struct{ Options }

// call is one request on its way to an answer.
type call struct {
	w    http.ResponseWriter
	ctx  context.Context
	body []byte
	id   string // hash of path and body, 24 hex digits
}

// endpoint reads the bounded body and turns an *apiError into its answer. A handler that has begun to write returns nil.
func (u *upstream) endpoint(serve func(*call) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, u.MaxBody))
		if err != nil {
			if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
				fail(w, errorf(http.StatusRequestEntityTooLarge, "invalid_request_error", "request_too_large", "",
					"请求体过大；the body is too large"))
			}
			return // otherwise the client is gone
		}
		sum := sha256.Sum256(append([]byte(r.URL.Path+"\n"), body...))
		c := &call{w: w, ctx: r.Context(), body: body, id: hex.EncodeToString(sum[:12])}
		w.Header().Set("X-Request-Id", "practice-"+c.id)
		if err := serve(c); err != nil {
			if e := new(apiError); errors.As(err, &e) {
				fail(w, e)
			}
		}
	})
}

// models lists the one model.
func (u *upstream) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{u.modelRecord()}})
}

func (u *upstream) model(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != Model {
		fail(w, errorf(http.StatusNotFound, "invalid_request_error", "model_not_found", "model",
			"练习上游只有模型 practice；the only model here is practice"))
		return
	}
	writeJSON(w, http.StatusOK, u.modelRecord())
}

func (u *upstream) modelRecord() map[string]any {
	return map[string]any{"id": Model, "object": "model", "created": u.Created, "owned_by": "homeport"}
}

// apiError is an answer in the OpenAI error shape. Its message never holds prompt text.
type apiError struct {
	status                     int
	kind, code, param, message string
	retryAfter                 int // seconds; 0: no header
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

// errorf makes an apiError; empty code and param become null. The message is one text, Chinese then English.
func errorf(status int, kind, code, param, message string) *apiError {
	return &apiError{status: status, kind: kind, code: code, param: param, message: message}
}

// invalid is the 400 for a field that is wrong.
func invalid(param, message string) *apiError {
	return errorf(http.StatusBadRequest, "invalid_request_error", "invalid_value", param, message)
}

// envelope is the body `{"error":{…}}` with all four members, which clients insist on.
func (e *apiError) envelope() []byte {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return encode(struct {
		Error any `json:"error"`
	}{struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Param   any    `json:"param"`
		Code    any    `json:"code"`
	}{e.message, e.kind, orNull(e.param), orNull(e.code)}})
}

func fail(w http.ResponseWriter, e *apiError) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	writeRaw(w, e.status, e.envelope())
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeRaw(w, status, encode(v)) }

func writeRaw(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set(Header, "homeport")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // an error means the client has gone; there is nobody to tell
}

// encode marshals values of this package's own making, which cannot fail. Text stays readable: no \u003c.
func encode(v any) []byte {
	b, err := marshal(v)
	if err != nil {
		panic("practice: encode own answer: " + err.Error())
	}
	return b
}

// decode reads a body into v, tolerantly: members this upstream does not know are ignored, as most upstreams do.
// The error names the field, never its value.
func decode(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	if err == nil {
		return nil
	}
	if te := new(json.UnmarshalTypeError); errors.As(err, &te) && te.Field != "" {
		return invalid(te.Field, "字段类型不对；the field has the wrong type")
	}
	if e := new(apiError); errors.As(err, &e) {
		return e
	}
	return errorf(http.StatusBadRequest, "invalid_request_error", "", "", "请求体不是合法 JSON；the body is not valid JSON")
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
