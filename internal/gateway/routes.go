package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"homeport/internal/openai"
)

// endpoint is one row of the data plane's route table. A request is authorised and judged on the row it matched, never on
// its raw path (attack case B13).
type endpoint struct {
	method string
	// path is matched segment by segment; {name} takes one segment, and a last {name...} takes the rest.
	path string
	op   openai.Endpoint // set for rows that carry content
	kind kind
}

type kind uint8

const (
	content  kind = iota + 1 // through the six stages
	models                   // GET /v1/models
	model                    // GET /v1/models/{id}
	notYet                   // an OpenAI endpoint that this gateway does not offer: 501
	mistaken                 // a doubled /v1/v1
	live
	ready
)

// table is every route of the data plane. Only live and ready need no key; a test walks the table to prove it.
var table = []endpoint{
	{"GET", "/livez", 0, live},
	{"GET", "/readyz", 0, ready},

	{"POST", "/v1/chat/completions", openai.Chat, content},
	{"POST", "/v1/completions", openai.Completions, content},
	{"POST", "/v1/embeddings", openai.Embeddings, content},
	{"GET", "/v1/models", 0, models},
	{"GET", "/v1/models/{id...}", 0, model},

	{"POST", "/openai/deployments/{deployment}/chat/completions", openai.Chat, content},
	{"POST", "/openai/deployments/{deployment}/completions", openai.Completions, content},
	{"POST", "/openai/deployments/{deployment}/embeddings", openai.Embeddings, content},
	{"POST", "/openai/v1/chat/completions", openai.Chat, content},
	{"POST", "/openai/v1/completions", openai.Completions, content},
	{"POST", "/openai/v1/embeddings", openai.Embeddings, content},
	{"GET", "/openai/v1/models", 0, models},
	{"GET", "/openai/v1/models/{id...}", 0, model},
	{"GET", "/openai/models", 0, models},
	{"GET", "/openai/models/{id...}", 0, model},
	{"", "/openai/deployments/{deployment}/{rest...}", 0, notYet},

	{"", "/v1/v1", 0, mistaken},
	{"", "/v1/v1/{rest...}", 0, mistaken},
	{"", "/openai/v1/v1/{rest...}", 0, mistaken},

	// Endpoints of the OpenAI API that are not offered yet, in order of use.
	{"", "/v1/responses", 0, notYet}, {"", "/v1/responses/{rest...}", 0, notYet},
	{"", "/v1/chat/completions/{rest...}", 0, notYet}, // stored completions
	{"", "/v1/organization/{rest...}", 0, notYet},
	{"", "/v1/moderations", 0, notYet},
	{"", "/v1/images/{rest...}", 0, notYet},
	{"", "/v1/audio/{rest...}", 0, notYet},
	{"", "/v1/files", 0, notYet}, {"", "/v1/files/{rest...}", 0, notYet},
	{"", "/v1/uploads", 0, notYet}, {"", "/v1/uploads/{rest...}", 0, notYet},
	{"", "/v1/batches", 0, notYet}, {"", "/v1/batches/{rest...}", 0, notYet},
	{"", "/v1/conversations", 0, notYet}, {"", "/v1/conversations/{rest...}", 0, notYet},
	{"", "/v1/vector_stores", 0, notYet}, {"", "/v1/vector_stores/{rest...}", 0, notYet},
	{"", "/v1/realtime", 0, notYet}, {"", "/v1/realtime/{rest...}", 0, notYet},
	{"", "/v1/fine_tuning/{rest...}", 0, notYet},
	{"", "/v1/assistants", 0, notYet}, {"", "/v1/assistants/{rest...}", 0, notYet},
	{"", "/v1/threads", 0, notYet}, {"", "/v1/threads/{rest...}", 0, notYet},
	{"", "/v1/videos", 0, notYet}, {"", "/v1/videos/{rest...}", 0, notYet},
	{"", "/v1/evals", 0, notYet}, {"", "/v1/evals/{rest...}", 0, notYet},
	{"", "/v1/containers", 0, notYet}, {"", "/v1/containers/{rest...}", 0, notYet},
	{"", "/v1/skills", 0, notYet}, {"", "/v1/skills/{rest...}", 0, notYet},
	{"", "/v1/rerank", 0, notYet},
	{"", "/v1/messages", 0, notYet}, {"", "/v1/messages/{rest...}", 0, notYet},
	{"", "/openai/responses", 0, notYet}, {"", "/openai/files", 0, notYet}, {"", "/openai/batches", 0, notYet},
	{"", "/openai/v1/{rest...}", 0, notYet},
}

// match finds the row for a request. wrongMethod is true when a row has the path but not the method.
func match(r *http.Request) (ep *endpoint, arg string, wrongMethod bool) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if len(path) > 1024 {
		return nil, "", false
	}
	path = strings.TrimSuffix(path, "/")
	for i := range table {
		row := &table[i]
		a, ok := matchPath(strings.TrimPrefix(row.path, "/"), path)
		if !ok {
			continue
		}
		if row.method != "" && row.method != r.Method {
			wrongMethod = true
			continue
		}
		if wrongMethod && row.kind == notYet {
			break // the path is offered, for another method
		}
		return row, a, false
	}
	return nil, "", wrongMethod
}

// matchPath matches an escaped path against a pattern and returns the unescaped argument. A segment that is empty, a dot
// or two dots matches nothing, so no two spellings of a path mean different rows to different readers.
func matchPath(pattern, path string) (arg string, ok bool) {
	for {
		want, wantRest, more := strings.Cut(pattern, "/")
		if strings.HasSuffix(want, "...}") {
			a, err := url.PathUnescape(path)
			return a, err == nil && path != "" && cleanSegments(path)
		}
		got, gotRest, gotMore := strings.Cut(path, "/")
		if strings.HasPrefix(want, "{") {
			a, err := url.PathUnescape(got)
			if err != nil || !cleanSegments(got) {
				return "", false
			}
			arg = a
		} else if want != got {
			return "", false
		}
		if !more || !gotMore {
			return arg, more == gotMore
		}
		pattern, path = wantRest, gotRest
	}
}

func cleanSegments(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if u, err := url.PathUnescape(seg); err != nil || u == "" || u == "." || u == ".." {
			return false
		}
	}
	return true
}
