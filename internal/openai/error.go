package openai

import (
	"encoding/json/jsontext"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error is an answer in the OpenAI error envelope: {"error":{"message","type","param","code"}}.
// Official clients decode exactly these four; further members are ignored by them.
type Error struct {
	Status  int    // HTTP status
	Type    string // invalid_request_error, authentication_error, permission_error, not_found_error, rate_limit_error, server_error …
	Code    string // machine code; empty is null
	Param   string // the request field at fault; empty is null
	Message string // for people; never holds content, keys or internal addresses

	NoRetry    bool           // sends x-should-retry: false
	RetryAfter time.Duration  // sends Retry-After when positive, rounded up to seconds
	Homeport   jsontext.Value // extra member "homeport" (refusals); nil leaves it out
	Inner      jsontext.Value // extra member "innererror" (Azure's content filter); nil leaves it out
}

// Error names status and code only: what a log may hold.
func (e *Error) Error() string { return fmt.Sprintf("answer %d %s (%s)", e.Status, e.Type, e.Code) }

// AppendJSON appends the envelope to dst.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = Quote(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = Quote(dst, e.Type)
	dst = append(dst, `,"param":`...)
	dst = quoteOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = quoteOrNull(dst, e.Code)
	if e.Inner != nil {
		dst = append(append(dst, `,"innererror":`...), e.Inner...)
	}
	if e.Homeport != nil {
		dst = append(append(dst, `,"homeport":`...), e.Homeport...)
	}
	return append(dst, "}}\n"...)
}

func quoteOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return Quote(dst, s)
}

// Write sends the error as a whole answer. Headers already set on w (x-request-id) are kept.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length")
	if e.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(e.Status)
	w.Write(e.AppendJSON(nil))
}

// BadRequest is a 400 about one field of the request.
func BadRequest(param, code, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}
