package registry

import (
	"fmt"
	"strings"
)

const familiesPath = "data/families.yaml"

type familyFile struct {
	AsOf     string `yaml:"as_of"`
	Families []struct {
		Family string   `yaml:"family"`
		Match  []string `yaml:"match"`
	} `yaml:"families"`
}

// FamilyOf names the series of open weights that a model's name belongs to (the fact model.family), letter case aside;
// "" is unknown.
func (r *Registry) FamilyOf(model string) string {
	doc, err := r.families()
	if err != nil {
		return ""
	}
	name := strings.ToLower(model)
	best, literal := "", -1
	for _, f := range doc.Families {
		if n, ok := bestGlob(f.Match, name); ok && n > literal {
			best, literal = f.Family, n
		}
	}
	return best
}

func (r *Registry) loadFamilies() (*familyFile, error) {
	var doc familyFile
	data, err := decode(r.fsys, familiesPath, &doc)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, f := range doc.Families {
		if f.Family == "" || seen[f.Family] || len(f.Match) == 0 {
			return nil, at(familiesPath, data, fmt.Sprintf("$.families[%d].family", i), "family %q is empty, repeated, or matches nothing", f.Family)
		}
		seen[f.Family] = true
	}
	return &doc, nil
}
