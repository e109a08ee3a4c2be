package gateway

import (
	"net/http"
	"slices"
	"strings"

	"homeport/internal/openai"
)

// modelCreated stands in each entry: front ends want the member, and there is no such time for a route.
const modelCreated = "1721865600" // 2024-07-25

func appendModel(dst []byte, m ModelName) []byte {
	dst = append(dst, `{"id":`...)
	dst = openai.Quote(dst, m.ID)
	dst = append(dst, `,"object":"model","created":`+modelCreated+`,"owned_by":`...)
	dst = openai.Quote(dst, m.OwnedBy)
	return append(dst, '}')
}

// writeModels answers GET /v1/models with what this key may use.
func writeModels(w http.ResponseWriter, app *App) {
	b := []byte(`{"object":"list","data":[`)
	for i, m := range app.Models() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendModel(b, m)
	}
	writeJSON(w, append(b, "]}\n"...))
}

func writeModel(w http.ResponseWriter, app *App, id string) {
	i := slices.IndexFunc(app.Models(), func(m ModelName) bool { return m.ID == id })
	if i < 0 {
		app.admitted(http.StatusNotFound)
		unknownModel(app).Write(w)
		return
	}
	writeJSON(w, append(appendModel(nil, app.Models()[i]), '\n'))
}

func writeJSON(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func unknownPath(r *http.Request, wrongMethod bool) *openai.Error {
	if wrongMethod {
		return &openai.Error{Status: http.StatusMethodNotAllowed, Type: "invalid_request_error", Code: "method_not_allowed",
			Message: "This path does not take that method. 该路径不支持此方法。"}
	}
	hint := "Base URLs end in /v1. base URL 以 /v1 结尾。"
	if p := r.URL.Path; strings.HasPrefix(p, "/chat/") || p == "/embeddings" || p == "/models" || p == "/completions" {
		hint = "The base URL lacks /v1. base URL 缺少 /v1。"
	}
	return &openai.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "unknown_url",
		Message: "There is no such path here. " + hint}
}

func doubled() *openai.Error {
	return &openai.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "unknown_url",
		Message: "The path has /v1 twice: the client adds what the base URL already has. Set the base URL to end in one /v1. 路径中出现两次 /v1：请把 base URL 设为只以一个 /v1 结尾。"}
}

func notOffered(path string) *openai.Error {
	return &openai.Error{Status: http.StatusNotImplemented, Type: "invalid_request_error", Code: "not_implemented", NoRetry: true,
		Message: "This gateway does not offer " + path + " yet. 本网关尚未提供该接口。"}
}

func azureForm(path string) bool { return strings.HasPrefix(path, "/openai/") }
