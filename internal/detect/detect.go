// Package detect finds what a start without a configuration file can use: provider keys in the environment and model
// servers on this machine.
//
// What always holds: a key's value is never returned, only the name of its variable; a local server counts only if
// GET /v1/models answers in OpenAI shape within the time limit, so an unrelated program on the port is not taken for
// one; no request leaves the loopback interface and no proxy of the environment is used.
package detect

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// EnvKey ties a variable to the catalog entry whose key it holds.
type EnvKey struct {
	Name    string // such as DASHSCOPE_API_KEY
	Catalog string
}

// Probe is a local server's usual port.
type Probe struct {
	Catalog string
	Port    int
}

// UsualPorts are the loopback ports local servers listen on by default.
func UsualPorts() []Probe {
	return []Probe{{"ollama", 11434}, {"vllm", 8000}, {"sglang", 30000}, {"llama-cpp", 8080}, {"lm-studio", 1234}, {"xinference", 9997}}
}

// Found is one thing that can be used. Env is set for a key of the environment, BaseURL and Models for a local server.
type Found struct {
	Catalog string   `json:"catalog"`
	BaseURL string   `json:"base_url,omitempty"`
	Models  []string `json:"models,omitempty"`
	Env     string   `json:"env,omitempty"`
}

// Options say where to look. Zero values: no environment, no probes.
type Options struct {
	Getenv  func(string) string
	Keys    []EnvKey // in order; the first entry with a name wins, so mainland entries stand before international ones
	Probes  []Probe
	Timeout time.Duration // for each probe; 300 ms when zero
}

// maxModelList bounds the answer of a probe in bytes, maxModels the names taken from it.
const (
	maxModelList = 1 << 20
	maxModels    = 200
)

// All returns what is found: keys in the order of Options.Keys, at most one for each catalog entry and variable, then
// local servers in the order of Options.Probes. It never fails: what does not answer is not there.
func All(ctx context.Context, o Options) []Found {
	var out []Found
	catalog, variable := map[string]bool{}, map[string]bool{}
	for _, k := range o.Keys {
		if o.Getenv == nil || catalog[k.Catalog] || variable[k.Name] || o.Getenv(k.Name) == "" {
			continue
		}
		catalog[k.Catalog], variable[k.Name] = true, true
		out = append(out, Found{Catalog: k.Catalog, Env: k.Name})
	}
	return append(out, local(ctx, o)...)
}

// local probes every port at once.
func local(ctx context.Context, o Options) []Found {
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = 300 * time.Millisecond
	}
	client := &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  nil, // never an environment proxy: loopback stays loopback
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	found := make([]*Found, len(o.Probes))
	var wg sync.WaitGroup
	for i, p := range o.Probes {
		wg.Go(func() {
			base := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) + "/v1"
			if models, ok := listModels(ctx, client, base); ok {
				found[i] = &Found{Catalog: p.Catalog, BaseURL: base, Models: models}
			}
		})
	}
	wg.Wait()
	var out []Found
	for _, f := range found {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// listModels asks for the models; ok only for an answer in OpenAI shape: {"object":"list","data":[{"id":…}]}.
func listModels(ctx context.Context, client *http.Client, base string) (models []string, ok bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/models", nil)
	if err != nil {
		return nil, false
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, false
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxModelList+1))
	if err != nil || len(raw) > maxModelList {
		return nil, false
	}
	var list struct {
		Object string `json:"object"`
		Data   *[]struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if json.Unmarshal(raw, &list) != nil || list.Object != "list" || list.Data == nil {
		return nil, false
	}
	for _, m := range *list.Data {
		if m.ID == "" {
			return nil, false
		}
		if len(models) < maxModels {
			models = append(models, m.ID)
		}
	}
	return models, true
}
