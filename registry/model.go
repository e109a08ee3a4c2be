package registry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Model is one record: a model at a provider, in a region where prices differ by region, in one currency.
type Model struct {
	Provider         string   `yaml:"-" json:"provider"`
	ID               string   `yaml:"id" json:"id"`
	Region           string   `yaml:"region" json:"region,omitempty"` // "": any of the entry's hosts
	Context          *int64   `yaml:"context" json:"context"`         // tokens; nil is unknown
	MaxOutput        *int64   `yaml:"max_output" json:"max_output"`   // tokens; nil is unknown
	Input            []string `yaml:"input" json:"input"`             // text, image, audio, video
	Output           []string `yaml:"output" json:"output"`           // text, image, audio, embedding
	Price            *Price   `yaml:"price" json:"price"`             // nil is unknown, never free
	Dimensions       []int    `yaml:"dimensions" json:"dimensions,omitempty"`
	DefaultDimension int      `yaml:"default_dimension" json:"default_dimension,omitempty"`
	Notes            Text     `yaml:"notes" json:"notes,omitzero"`
	Source           string   `yaml:"source" json:"source"`
	AsOf             string   `yaml:"as_of" json:"as_of"` // year, month or day
	Verified         bool     `yaml:"verified" json:"verified"`
}

// Embedding reports whether the model makes vectors and no content.
func (m *Model) Embedding() bool { return slices.Equal(m.Output, []string{"embedding"}) }

type modelFileDoc struct {
	Provider string  `yaml:"provider"`
	Models   []Model `yaml:"models"`
}

func modelFile(providerID string) string { return "data/models/" + providerID + ".yaml" }

var modalities = []string{"text", "image", "audio", "video", "embedding"}

func (r *Registry) loadModels(providerID string) ([]Model, error) {
	file := modelFile(providerID)
	var doc modelFileDoc
	data, err := decode(r.fsys, file, &doc)
	if err != nil {
		return nil, err
	}
	bad := func(path, format string, args ...any) ([]Model, error) {
		return nil, at(file, data, path, format, args...)
	}
	if doc.Provider != providerID {
		return bad("$.provider", "provider %q differs from the file's name", doc.Provider)
	}
	if len(doc.Models) == 0 {
		return bad("$.provider", "no model")
	}
	p, ok := r.Provider(providerID)
	if !ok {
		return bad("$.provider", "no such provider %q", providerID)
	}
	seen := map[string]bool{}
	for i := range doc.Models {
		m := &doc.Models[i]
		m.Provider = providerID
		path := fmt.Sprintf("$.models[%d]", i)
		currency := ""
		if m.Price != nil {
			currency = m.Price.Currency
			if msg := m.Price.check(); msg != "" {
				return bad(path+".price.currency", "price of %s: %s", m.ID, msg)
			}
			m.Price.rate = r.rate(currency)
		}
		key := m.ID + "\x00" + m.Region + "\x00" + currency
		switch {
		case m.ID == "":
			return bad(path, "a model without id")
		case seen[key]:
			return bad(path+".id", "model %q listed twice for one region and currency", m.ID)
		case m.Region != "" && !slices.ContainsFunc(p.Endpoints, func(e Endpoint) bool { return e.Region == m.Region }):
			return bad(path+".region", "region %q is not an endpoint of %s", m.Region, providerID)
		case m.Source == "" || !days.MatchString(m.AsOf):
			return bad(path+".id", "model %q needs source and as_of", m.ID)
		case len(m.Input) == 0 || len(m.Output) == 0:
			return bad(path+".id", "model %q needs input and output", m.ID)
		}
		for _, name := range slices.Concat(m.Input, m.Output) {
			if !slices.Contains(modalities, name) {
				return bad(path+".id", "model %q: unknown modality %q", m.ID, name)
			}
		}
		seen[key] = true
	}
	return doc.Models, nil
}

// records returns a provider's records; nil when there are none or they do not parse.
func (r *Registry) records(providerID string) []Model {
	get, ok := r.models[providerID]
	if !ok {
		return nil
	}
	ms, err := get()
	if err != nil {
		return nil
	}
	return ms
}

// Model returns the record of a model at a provider's first endpoint, in CNY where there is one. False: not in this
// data.
func (r *Registry) Model(providerID, model string) (Model, bool) {
	return r.ModelAt(providerID, "", model)
}

// ModelAt is Model at an address (a URL or a host; empty: the first endpoint). Prices of another region are not
// this address's prices: then Price is nil.
func (r *Registry) ModelAt(providerID, baseURL, model string) (Model, bool) {
	region := ""
	if p, ok := r.Provider(providerID); ok {
		if e, ok := p.Endpoint(baseURL); ok {
			region = e.Region
		}
	}
	rank := func(m *Model) int {
		n := 0
		if m.Region != "" && m.Region == region {
			n += 4 // this address's own
		} else if m.Region == "" {
			n += 2 // holds anywhere
		}
		if m.Price != nil && m.Price.Currency == "CNY" {
			n++
		}
		return n
	}
	var best *Model
	for i := range r.records(providerID) {
		m := &r.records(providerID)[i]
		if m.ID == model && (best == nil || rank(m) > rank(best)) {
			best = m
		}
	}
	if best == nil {
		return Model{}, false
	}
	out := *best
	if out.Region != "" && out.Region != region {
		out.Price = nil
	}
	return out, true
}

// ModelsOf returns all records of one provider, in file order.
func (r *Registry) ModelsOf(providerID string) []Model { return slices.Clone(r.records(providerID)) }

// Models returns all records, by provider id, then in file order.
func (r *Registry) Models() []Model {
	var out []Model
	for _, id := range r.ids {
		out = append(out, r.records(id)...)
	}
	return out
}

// checkModelFiles: a model file for which there is no provider would never be read.
func (r *Registry) checkModelFiles() error {
	names, _ := fs.Glob(r.fsys, "data/models/*.yaml")
	for _, name := range names {
		id := strings.TrimSuffix(path.Base(name), ".yaml")
		if _, ok := r.providers[id]; !ok && id != "mapping" && id != "openai-lifecycle" {
			return &DataError{File: name, Msg: fmt.Sprintf("no such provider %q", id)}
		}
	}
	return nil
}
