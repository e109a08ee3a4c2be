package detect_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"homeport/internal/detect"
)

func env(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestKeysInTheEnvironment(t *testing.T) {
	keys := []detect.EnvKey{{"DASHSCOPE_API_KEY", "dashscope"}, {"MOONSHOT_API_KEY", "moonshot"}, {"MOONSHOT_API_KEY", "moonshot-intl"},
		{"KIMI_API_KEY", "moonshot"}, {"DEEPSEEK_API_KEY", "deepseek"}}
	for name, c := range map[string]struct {
		env  map[string]string
		want []detect.Found
	}{
		"none":                         {nil, nil},
		"empty is not set":             {map[string]string{"DASHSCOPE_API_KEY": ""}, nil},
		"one":                          {map[string]string{"DEEPSEEK_API_KEY": "x"}, []detect.Found{{Catalog: "deepseek", Env: "DEEPSEEK_API_KEY"}}},
		"shared name goes to mainland": {map[string]string{"MOONSHOT_API_KEY": "x"}, []detect.Found{{Catalog: "moonshot", Env: "MOONSHOT_API_KEY"}}},
		"two names, one entry":         {map[string]string{"MOONSHOT_API_KEY": "x", "KIMI_API_KEY": "y"}, []detect.Found{{Catalog: "moonshot", Env: "MOONSHOT_API_KEY"}}},
	} {
		got := detect.All(context.Background(), detect.Options{Getenv: env(c.env), Keys: keys})
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestTheKeyItselfIsNotReturned(t *testing.T) {
	got := detect.All(context.Background(), detect.Options{Getenv: env(map[string]string{"A_KEY": "canary-value"}), Keys: []detect.EnvKey{{"A_KEY", "a"}}})
	if len(got) != 1 || strings.Contains(fmt.Sprintf("%#v", got), "canary-value") {
		t.Errorf("found %d; the value must not be among them", len(got))
	}
}

// serve starts a local server and returns its port.
func serve(t *testing.T, h http.HandlerFunc) int {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

func TestLocalServers(t *testing.T) {
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/models" || r.Method != http.MethodGet {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			fmt.Fprint(w, s)
		}
	}
	away := serve(t, body(`{"object":"list","data":[{"id":"must-not-be-followed"}]}`))
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		models  []string
		found   bool
	}{
		"openai shape":  {body(`{"object":"list","data":[{"id":"qwen3:8b","object":"model"},{"id":"b"}]}`), []string{"qwen3:8b", "b"}, true},
		"no models yet": {body(`{"object":"list","data":[]}`), nil, true},
		"html":          {body(`<html>hello</html>`), nil, false},
		"other json":    {body(`{"models":[{"name":"x"}]}`), nil, false},
		"no data":       {body(`{"object":"list"}`), nil, false},
		"data null":     {body(`{"object":"list","data":null}`), nil, false},
		"no id":         {body(`{"object":"list","data":[{"name":"x"}]}`), nil, false},
		"not found": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"object":"list","data":[]}`)
		}, nil, false},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"object":"list","data":[`, strings.Repeat(" ", 2<<20), `]}`)
		}, nil, false},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fmt.Sprintf("http://127.0.0.1:%d/v1/models", away), http.StatusFound)
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, c.handler)
			got := detect.All(context.Background(), detect.Options{Probes: []detect.Probe{{Catalog: "vllm", Port: port}}, Timeout: 20 * time.Second})
			if !c.found {
				if len(got) != 0 {
					t.Errorf("found %v", got)
				}
				return
			}
			want := []detect.Found{{Catalog: "vllm", BaseURL: fmt.Sprintf("http://127.0.0.1:%d/v1", port), Models: c.models}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// A server that never answers is given up; one beside it that answers is still found.
func TestSilentServerIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	silent := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	if got := detect.All(context.Background(), detect.Options{Probes: []detect.Probe{{Catalog: "vllm", Port: silent}}, Timeout: 50 * time.Millisecond}); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}
