package registry

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
)

// Sources of a model as rules know them (the fact model.source). The empty string is unknown.
const (
	SourceDomesticAPI    = "domestic_api"
	SourceSelfHosted     = "open_weights_self_hosted"
	SourceOwn            = "own"
	SourceOverseasDirect = "overseas_direct"
	SourceAzureGlobal    = "azure_global"
	SourceRelay          = "relay"
)

// Kinds of entry.
const (
	KindProvider        = "provider"          // an API of a maker or a cloud
	KindAggregator      = "aggregator"        // sells other makers' models
	KindSelfHosted      = "self_hosted"       // a server the operator runs
	KindReference       = "reference"         // OpenAI itself: recognised, never offered
	KindRegionFactsOnly = "region_facts_only" // region facts only; no OpenAI-shaped target
	KindPractice        = "practice"          // the built-in practice upstream
)

// Provider is what is known of one provider in law: who runs it, where it processes, which filings cover its models.
type Provider struct {
	ID             string         `yaml:"id" json:"id"`
	Name           Text           `yaml:"name" json:"name"`
	Kind           string         `yaml:"kind" json:"kind"`
	Note           Text           `yaml:"note" json:"note,omitzero"`
	Operator       Operator       `yaml:"operator" json:"operator"`
	Source         string         `yaml:"source" json:"source"` // a Source constant; "" is unknown
	Serves         ServesMainland `yaml:"serves_mainland" json:"serves_mainland"`
	Endpoints      []Endpoint     `yaml:"endpoints" json:"endpoints"`
	RemoteModels   []string       `yaml:"remote_models" json:"remote_models,omitempty"` // globs: not run on the premises although the entry is self-hosted
	Filings        []Filing       `yaml:"filings" json:"filings"`
	FilingsNote    Text           `yaml:"filings_note" json:"filings_note,omitzero"`
	FilingHolders  FilingHolders  `yaml:"filing_holders" json:"filing_holders,omitzero"`
	Env            []string       `yaml:"env" json:"env"` // names of environment variables that hold a key or an address
	DataUse        DataUse        `yaml:"data_use" json:"data_use"`
	AsOf           string         `yaml:"as_of" json:"as_of"` // YYYY-MM-DD
	Verified       bool           `yaml:"verified" json:"verified"`
	Unverified     []string       `yaml:"unverified" json:"unverified"` // what to confirm before relying on it
	Sources        []SourceRef    `yaml:"sources" json:"sources"`
	Hosts          []string       `yaml:"-" json:"-"` // hosts and host patterns of Endpoints, in order
	endpointHostRE []*regexp.Regexp
}

// Operator is the legal person that runs the service. Empty names are unknown.
type Operator struct {
	Zh           string   `yaml:"zh" json:"zh,omitempty"`
	En           string   `yaml:"en" json:"en,omitempty"`
	Jurisdiction []string `yaml:"jurisdiction" json:"jurisdiction"` // ISO 3166-1 codes; nil is unknown or the operator's own
}

// Name returns the name in "zh" or "en", or in the other language when that is all there is.
func (o Operator) Name(lang string) string { return Text{Zh: o.Zh, En: o.En}.In(lang) }

// ServesMainland says whether the provider takes customers from mainland China: no, enterprise_only or unknown.
type ServesMainland struct {
	State string `yaml:"state" json:"state"`
	Note  Text   `yaml:"note" json:"note,omitzero"`
}

// Endpoint is a host and where what is sent to it is processed.
type Endpoint struct {
	Host      string   `yaml:"host" json:"host"` // exact, a pattern such as {resource}.openai.azure.com, or "loopback"
	BaseURLs  []string `yaml:"base_urls" json:"base_urls"`
	Region    string   `yaml:"region" json:"region,omitempty"`
	PlaceOf   string   `yaml:"place_of" json:"place_of,omitempty"`     // "operator": where the operator is
	Source    string   `yaml:"source" json:"source,omitempty"`         // overrides the entry's; "unknown" says that it is
	Places    []string `yaml:"places" json:"places"`                   // ISO 3166-1 codes; nil is unknown
	PlacesFor []string `yaml:"places_for" json:"places_for,omitempty"` // globs: Places and Mainland hold for these models only; none: for all
	Mainland  *bool    `yaml:"mainland" json:"mainland"`               // in mainland China; nil is undocumented
	Note      Text     `yaml:"note" json:"note"`
	Verified  bool     `yaml:"verified" json:"verified"` // false: shown, but not relied on as a known place
}

// DataUse says whether API data trains models: no, partial or unknown.
type DataUse struct {
	TrainsOnAPIData string `yaml:"trains_on_api_data" json:"trains_on_api_data"`
	Note            Text   `yaml:"note" json:"note,omitzero"`
	Verified        bool   `yaml:"verified" json:"verified"`
}

// FilingHolders names the legal persons that hold filings of this family; the seller of the API may be another.
type FilingHolders struct {
	RegistryID  string   `yaml:"registry_id" json:"registry_id,omitempty"` // provider_id in filings.csv
	OperatorsZh []string `yaml:"operators_zh" json:"operators_zh,omitempty"`
}

// SourceRef is where a fact was read, and the date of that source.
type SourceRef struct {
	Ref  string `yaml:"ref" json:"ref"`
	Date string `yaml:"date" json:"date"`
}

// SelfHosted reports whether the operator runs the server.
func (p *Provider) SelfHosted() bool { return p.Kind == KindSelfHosted }

// Target reports whether requests may be sent to this entry at all; reference entries and region facts are not
// targets.
func (p *Provider) Target() bool { return p.Kind != KindReference && p.Kind != KindRegionFactsOnly }

// RemoteModel reports whether a self-hosted server passes this model on to its maker's cloud, so that place and
// source are unknown.
func (p *Provider) RemoteModel(model string) bool {
	_, ok := bestGlob(p.RemoteModels, model)
	return ok
}

var (
	kinds   = []string{KindProvider, KindAggregator, KindSelfHosted, KindReference, KindRegionFactsOnly, KindPractice}
	sources = []string{"", SourceDomesticAPI, SourceSelfHosted, SourceOwn, SourceOverseasDirect, SourceAzureGlobal, SourceRelay}
	places  = regexp.MustCompile(`^[A-Z]{2}$`)
	days    = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2})?)?$`)
	envName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

func loadProvider(fsys fs.FS, id string) (*Provider, error) {
	file := fmt.Sprintf("data/providers/%s.yaml", id)
	p := &Provider{}
	data, err := decode(fsys, file, p)
	if err != nil {
		return nil, err
	}
	bad := func(path, format string, args ...any) (*Provider, error) {
		return nil, at(file, data, path, format, args...)
	}
	switch {
	case p.ID != id:
		return bad("$.id", "id %q differs from the file's name", p.ID)
	case p.Name.Zh == "" || p.Name.En == "":
		return bad("$.name", "name needs zh and en")
	case !slices.Contains(kinds, p.Kind):
		return bad("$.kind", "unknown kind %q", p.Kind)
	case !slices.Contains(sources, p.Source):
		return bad("$.source", "unknown source %q", p.Source)
	case !slices.Contains([]string{"no", "enterprise_only", "unknown"}, p.Serves.State):
		return bad("$.serves_mainland", "unknown state %q", p.Serves.State)
	case !slices.Contains([]string{"no", "partial", "unknown"}, p.DataUse.TrainsOnAPIData):
		return bad("$.data_use", "unknown value %q", p.DataUse.TrainsOnAPIData)
	case !days.MatchString(p.AsOf):
		return bad("$.as_of", "as_of %q is not a date", p.AsOf)
	case len(p.Endpoints) == 0:
		return bad("$.id", "no endpoint")
	}
	for i, e := range p.Endpoints {
		path := fmt.Sprintf("$.endpoints[%d]", i)
		re, err := hostPattern(e.Host)
		if err != nil {
			return bad(path+".host", "host %q: %v", e.Host, err)
		}
		if slices.Contains(p.Hosts, e.Host) {
			return bad(path+".host", "host %q listed twice", e.Host)
		}
		p.Hosts, p.endpointHostRE = append(p.Hosts, e.Host), append(p.endpointHostRE, re)
		if e.Source != "unknown" && !slices.Contains(sources, e.Source) {
			return bad(path+".source", "unknown source %q", e.Source)
		}
		if e.PlaceOf != "" && e.PlaceOf != "operator" {
			return bad(path+".place_of", "unknown value %q", e.PlaceOf)
		}
		for _, c := range e.Places {
			if !places.MatchString(c) {
				return bad(path+".places", "place %q is not an ISO 3166-1 code", c)
			}
		}
		// Places and the mainland mark state one fact twice; they must not contradict each other.
		if e.Mainland != nil && len(e.Places) > 0 && slices.Contains(e.Places, "CN") != *e.Mainland {
			return bad(path+".places", "places contradict mainland")
		}
		if e.Places != nil && len(e.Places) == 0 {
			return bad(path+".places", "an empty list says nothing; write null for unknown")
		}
		for _, u := range e.BaseURLs {
			// A base URL may be a template too: any label stands for its placeholders.
			if j, ok := p.endpointOf(placeholder.ReplaceAllString(u, "x")); !ok || j > i {
				return bad(path+".base_urls", "base URL %q is not on host %q", u, e.Host)
			}
		}
	}
	for i, name := range p.Env {
		if !envName.MatchString(name) || slices.Index(p.Env, name) != i {
			return bad(fmt.Sprintf("$.env[%d]", i), "environment name %q is wrong or listed twice", name)
		}
	}
	if path, msg := p.checkFilings(); msg != "" {
		return bad(path, "%s", msg)
	}
	return p, nil
}
