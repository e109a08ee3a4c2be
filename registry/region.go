package registry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Region says where a provider lets its service be used or bought. It says nothing about Chinese law.
type Region struct {
	Provider        string           `yaml:"provider" json:"provider"`
	Service         string           `yaml:"service" json:"service"`
	Source          string           `yaml:"source" json:"source"`
	Also            string           `yaml:"also" json:"also,omitempty"`
	AsOf            string           `yaml:"as_of" json:"as_of"`
	Verified        bool             `yaml:"verified" json:"verified"`
	Complete        bool             `yaml:"complete" json:"complete"` // false: a place missing from Supported is unknown
	Note            string           `yaml:"note" json:"note,omitempty"`
	Supported       []string         `yaml:"supported" json:"supported,omitempty"` // ISO 3166-1 codes
	Absent          []AbsentPlace    `yaml:"absent" json:"absent,omitempty"`
	PartialPlaces   []PartialPlace   `yaml:"partial_places" json:"partial_places,omitempty"`
	NewerPage       *NewerPage       `yaml:"newer_page" json:"newer_page,omitempty"`
	Policy          []RegionFact     `yaml:"policy" json:"policy,omitempty"`
	DeploymentTypes []DeploymentType `yaml:"deployment_types" json:"deployment_types,omitempty"`
	DataFacts       []RegionFact     `yaml:"data_facts" json:"data_facts,omitempty"`
	China           []RegionFact     `yaml:"china" json:"china,omitempty"`
}

// AbsentPlace is a place known to be missing from a list.
type AbsentPlace struct {
	Code     string `yaml:"code" json:"code"`
	Basis    string `yaml:"basis" json:"basis"`
	Verified bool   `yaml:"verified" json:"verified"`
}

// PartialPlace is a place supported only in part.
type PartialPlace struct {
	Code     string `yaml:"code" json:"code"`
	Note     string `yaml:"note" json:"note"`
	Verified bool   `yaml:"verified" json:"verified"`
}

// NewerPage is a later, incomplete copy of a list.
type NewerPage struct {
	AsOf      string   `yaml:"as_of" json:"as_of,omitempty"`
	Note      string   `yaml:"note" json:"note"`
	AddedSeen []string `yaml:"added_seen" json:"added_seen"`
	Complete  bool     `yaml:"complete" json:"complete"`
	Verified  bool     `yaml:"verified" json:"verified"`
}

// RegionFact is one sourced statement.
type RegionFact struct {
	Fact               string `yaml:"fact" json:"fact"`
	Source             string `yaml:"source" json:"source"`
	Verified           bool   `yaml:"verified" json:"verified"`
	Note               string `yaml:"note" json:"note,omitempty"`
	ThresholdExclusive Micro  `yaml:"threshold_exclusive" json:"threshold_exclusive,omitzero"` // a share above which it holds
}

// DeploymentType says where a kind of Azure deployment processes.
type DeploymentType struct {
	Type         string `yaml:"type" json:"type"`
	ProcessedIn  string `yaml:"processed_in" json:"processed_in"`
	AtRest       string `yaml:"at_rest" json:"at_rest"`
	AbroadFromCN bool   `yaml:"abroad_from_cn" json:"abroad_from_cn"`
	Verified     bool   `yaml:"verified" json:"verified"`
}

// Region returns the supported-places record of a provider. False: not in this data.
func (r *Registry) Region(providerID string) (Region, bool) {
	all, err := r.regions()
	if err != nil || all[providerID] == nil {
		return Region{}, false
	}
	return *all[providerID], true
}

// Supports reports whether a place is on the provider's list; known is false when the list was not read whole and
// does not answer.
func (g *Region) Supports(place string) (supported, known bool) {
	place = strings.ToUpper(place)
	if slices.Contains(g.Supported, place) {
		return true, true
	}
	if slices.ContainsFunc(g.Absent, func(a AbsentPlace) bool { return a.Code == place }) {
		return false, true
	}
	return false, g.Complete
}

func (r *Registry) loadRegions() (map[string]*Region, error) {
	out := map[string]*Region{}
	names, _ := fs.Glob(r.fsys, "data/regions/*.yaml")
	for _, name := range names {
		g := &Region{}
		data, err := decode(r.fsys, name, g)
		if err != nil {
			return nil, err
		}
		if _, ok := r.providers[g.Provider]; !ok || g.Provider != strings.TrimSuffix(path.Base(name), ".yaml") {
			return nil, at(name, data, "$.provider", "provider %q is unknown or differs from the file's name", g.Provider)
		}
		if g.Source == "" || !days.MatchString(g.AsOf) {
			return nil, at(name, data, "$.provider", "a region record needs source and as_of")
		}
		for i, code := range g.Supported {
			absent := slices.ContainsFunc(g.Absent, func(a AbsentPlace) bool { return a.Code == code })
			if !places.MatchString(code) || slices.Index(g.Supported, code) != i || absent {
				return nil, at(name, data, fmt.Sprintf("$.supported[%d]", i), "place %q is wrong, listed twice or also absent", code)
			}
		}
		out[g.Provider] = g
	}
	return out, nil
}
