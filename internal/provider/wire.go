// Package provider knows how each provider's HTTP API differs from OpenAI's: the wire facts of catalog/<id>.yaml and the
// translation of requests and answers that follows from them.
//
// Start at [Load] and [Wire.Adapt]. Differences are data; code is only where the shape of the wire differs (Azure's paths,
// thinking switches, emulated JSON schema). Adapt is pure: no clock, no I/O, the same input gives the same bytes. Nothing a
// client sends is dropped, clamped or mapped without an [Adaptation] that names it (invariant 6).
// Law, places, filings and prices are not here: they live in the registry under the same ids.
package provider

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed catalog/*.yaml
var catalog embed.FS

// ErrUnknown is returned by [Load] for an id without a catalog file.
var ErrUnknown = errors.New("no such provider in the catalog")

// Dialects of the wire.
const (
	DialectOpenAI = "openai" // OpenAI's paths and bodies
	DialectAzure  = "azure"  // OpenAI's bodies under Azure's paths
	DialectNone   = "none"   // no OpenAI surface that Homeport speaks
)

// Wire holds the wire facts of one provider: catalog/<id>.yaml. It is immutable after [Load].
type Wire struct {
	ID      string `yaml:"id"`
	Dialect string `yaml:"dialect"`
	// Status is "retired" for a service that has stopped; else empty.
	Status string `yaml:"status"`
	Auth   Auth   `yaml:"auth"`
	// BaseURL is the usual base, which Plan.Path is appended to; it may hold {placeholders}. Empty: the operator gives it.
	BaseURL   string       `yaml:"base_url"`
	Paths     Paths        `yaml:"paths"`
	Endpoints Endpoints    `yaml:"endpoints"`
	Request   RequestFacts `yaml:"request"`
	AsOf      string       `yaml:"as_of"`
	Verified  bool         `yaml:"verified"`
	// Unverified names the fields that are general knowledge or inference.
	Unverified []string    `yaml:"unverified"`
	Sources    []Source    `yaml:"sources"`
	Answer     AnswerRules `yaml:"answer"`
	Errors     []ErrorRule `yaml:"errors"`
}

// Source is where facts were read, with the source's own date.
type Source struct {
	Ref  string `yaml:"ref"`
	Date string `yaml:"date"`
}

// Auth says how the provider's key travels.
type Auth struct {
	Scheme string `yaml:"scheme"` // bearer, api_key or none
	Header string `yaml:"header"` // the header of api_key
	// Optional: a key is used when there is one, and not needed.
	Optional bool `yaml:"optional"`
}

// Paths are relative to the base URL; empty means OpenAI's own.
type Paths struct {
	Chat        string `yaml:"chat"`
	Completions string `yaml:"completions"`
	Embeddings  string `yaml:"embeddings"`
	Models      string `yaml:"models"`
	// ModelsAtRoot is the models path from the root of the host, where it lies outside the base URL.
	ModelsAtRoot string `yaml:"models_at_root"`
}

// Support is how far a provider has a function. Only No refuses a request; all that is not known passes.
type Support string

// The values of Support; Model means it depends on the model.
const (
	Yes     Support = "yes"
	No      Support = "no"
	ByModel Support = "model"
	Partial Support = "partial"
	Unknown Support = "unknown"
)

// Endpoints are the provider's functions. An empty value in a model's entry keeps the provider's own.
type Endpoints struct {
	Chat          Support `yaml:"chat"`
	Stream        Support `yaml:"stream"`
	Tools         Support `yaml:"tools"`
	ParallelTools Support `yaml:"parallel_tools"`
	Vision        Support `yaml:"vision"`
	JSONObject    Support `yaml:"json_object"`
	JSONSchema    Support `yaml:"json_schema"`
	Embeddings    Support `yaml:"embeddings"`
	Completions   Support `yaml:"completions"`
	ModelsListing Support `yaml:"models_listing"`
}

func (e *Endpoints) all() map[string]*Support {
	return map[string]*Support{"chat": &e.Chat, "stream": &e.Stream, "tools": &e.Tools, "parallel_tools": &e.ParallelTools,
		"vision": &e.Vision, "json_object": &e.JSONObject, "json_schema": &e.JSONSchema, "embeddings": &e.Embeddings,
		"completions": &e.Completions, "models_listing": &e.ModelsListing}
}

var loaded sync.Map // id → func() (*Wire, error), each run once

// Load returns the wire facts of the provider id, parsed on first use and shared after. The error wraps [ErrUnknown] for an
// id that has no file, and names file and line for a file that does not hold.
func Load(id string) (*Wire, error) {
	once, _ := loaded.LoadOrStore(id, sync.OnceValues(func() (*Wire, error) {
		raw, err := catalog.ReadFile("catalog/" + id + ".yaml")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			return nil, fmt.Errorf("load provider %q: %w", id, ErrUnknown)
		}
		if err != nil {
			return nil, fmt.Errorf("load provider %q: %w", id, err)
		}
		w, err := Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("load provider catalog/%s.yaml: %w", id, err)
		}
		if w.ID != id {
			return nil, fmt.Errorf("load provider catalog/%s.yaml: its id is %q", id, w.ID)
		}
		return w, nil
	}))
	w, err := once.(func() (*Wire, error))()
	if errors.Is(err, ErrUnknown) {
		loaded.Delete(id) // ids that do not exist must not pile up
	}
	return w, err
}

// IDs lists the ids of the catalog in alphabetical order.
func IDs() []string {
	entries, err := catalog.ReadDir("catalog")
	if err != nil {
		return nil // cannot happen: the folder is embedded
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	slices.Sort(ids)
	return ids
}

// Parse reads one catalog file strictly: unknown and repeated names, and values outside their lists, are errors.
func Parse(raw []byte) (*Wire, error) {
	w := &Wire{}
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(w); err != nil {
		return nil, err
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	return w, nil
}

// ModelsPath is where the provider lists its models: path relative to the base URL, or, with root, to the host.
func (w *Wire) ModelsPath() (p string, root bool) {
	if w.Paths.ModelsAtRoot != "" {
		return w.Paths.ModelsAtRoot, true
	}
	return or(w.Paths.Models, "/models"), false
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
