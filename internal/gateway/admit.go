package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"

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

// readBody reads the whole body, at most limit bytes, before anything is forwarded: a server closes it at the first
// byte of the answer, and what is judged must be all that there is.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *openai.Error) {
	if httpx.AmbiguousLength(r) {
		w.Header().Set("Connection", "close")
		return nil, openai.BadRequest("", "ambiguous_length", "Both Content-Length and Transfer-Encoding are present. 请求同时带有 Content-Length 与 Transfer-Encoding。")
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
	// One byte more than announced, so that the read that finds the end needs no second buffer.
	buf := make([]byte, 0, size+1)
	body := http.MaxBytesReader(w, r.Body, limit)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return nil, tooLarge
			}
			return nil, openai.BadRequest("", "incomplete_body", "The request body could not be read to its end. 请求体未能完整读取。")
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}
