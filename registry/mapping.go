package registry

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MappingRow suggests models that can take an OpenAI model's place. Suggestions rest on published positioning,
// context, modality and price; they are not vendor statements and want an evaluation.
type MappingRow struct {
	From        []string                 `yaml:"from" json:"from"` // names or globs
	Role        Text                     `yaml:"role" json:"role"`
	OpenAIState string                   `yaml:"openai_state" json:"openai_state"`
	Warning     Text                     `yaml:"warning" json:"warning,omitzero"`
	Targets     map[string]MappingTarget `yaml:"targets" json:"targets"` // provider id, or "self_hosted" → suggestion
}

// MappingTarget lists models in order of preference; none when the function is offered through another API only,
// which Note says.
type MappingTarget struct {
	Models   []string `yaml:"models" json:"models"`
	Note     Text     `yaml:"note" json:"note,omitzero"`
	Thinking string   `yaml:"thinking" json:"thinking,omitempty"` // enabled, disabled
	Effort   string   `yaml:"effort" json:"effort,omitempty"`
}

// Lifecycle says when OpenAI ends a model.
type Lifecycle struct {
	IDs                 []string `yaml:"ids" json:"ids"`
	Class               string   `yaml:"class" json:"class,omitempty"` // a group the source names without ids
	Shutdown            string   `yaml:"shutdown" json:"shutdown"`     // YYYY-MM-DD
	OfficialReplacement string   `yaml:"official_replacement" json:"official_replacement,omitempty"`
	Note                string   `yaml:"note" json:"note,omitempty"`
	Verified            *bool    `yaml:"verified" json:"verified,omitempty"` // nil: as the whole list
}

type mappingFile struct {
	AsOf     string       `yaml:"as_of"`
	Verified bool         `yaml:"verified"`
	Rows     []MappingRow `yaml:"rows"`
}

type lifecycleFile struct {
	AsOf     string      `yaml:"as_of"`
	Verified bool        `yaml:"verified"`
	Note     string      `yaml:"note"`
	Sources  []string    `yaml:"sources"`
	Entries  []Lifecycle `yaml:"entries"`
}

const (
	mappingPath   = "data/models/mapping.yaml"
	lifecyclePath = "data/models/openai-lifecycle.yaml"
	selfHostedKey = "self_hosted"
	sameName      = "{from}" // in a target's models: the name asked for
)

// snapshot is the date OpenAI puts behind a name: -2024-08-06, or -0613.
var snapshot = regexp.MustCompile(`-(\d{4}-\d{2}-\d{2}|\d{4})$`)

// MapFromOpenAI suggests models of a provider for an OpenAI name, in order of preference; nil when there is none.
// Names that OpenAI has retired are known too, and dated snapshots fall back to the plain name. For self-hosted
// entries the names are families of weights, not ids.
func (r *Registry) MapFromOpenAI(name, providerID string) []string {
	row, ok := r.MappingRow(name)
	if !ok {
		return nil
	}
	t, ok := row.Targets[providerID]
	if p, known := r.Provider(providerID); !ok && known && p.SelfHosted() {
		t = row.Targets[selfHostedKey]
	}
	var out []string
	for _, m := range t.Models {
		out = append(out, strings.ReplaceAll(m, sameName, name))
	}
	return out
}

// MappingRow returns the row for an OpenAI name: by the name itself, by glob, then without the snapshot's date.
func (r *Registry) MappingRow(name string) (MappingRow, bool) {
	doc, err := r.mapping()
	if err != nil {
		return MappingRow{}, false
	}
	for _, n := range []string{name, snapshot.ReplaceAllString(name, "")} {
		best, literal := -1, -1
		for i, row := range doc.Rows {
			if l, ok := bestGlob(row.From, n); ok && l > literal {
				best, literal = i, l
			}
		}
		if best >= 0 {
			return doc.Rows[best], true
		}
	}
	return MappingRow{}, false
}

// Mapping returns all rows.
func (r *Registry) Mapping() []MappingRow {
	doc, err := r.mapping()
	if err != nil {
		return nil
	}
	return slices.Clone(doc.Rows)
}

// Lifecycle returns when OpenAI ends a model. False: not in this data.
func (r *Registry) Lifecycle(name string) (Lifecycle, bool) {
	doc, err := r.lifecycle()
	if err != nil {
		return Lifecycle{}, false
	}
	for _, e := range doc.Entries {
		if slices.Contains(e.IDs, name) {
			return e, true
		}
	}
	return Lifecycle{}, false
}

func (r *Registry) loadMapping() (*mappingFile, error) {
	doc := &mappingFile{}
	data, err := decode(r.fsys, mappingPath, doc)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, row := range doc.Rows {
		path := fmt.Sprintf("$.rows[%d]", i)
		if len(row.From) == 0 || len(row.Targets) == 0 || row.Role.Zh == "" || row.Role.En == "" {
			return nil, at(mappingPath, data, path+".role", "a row needs from, role (zh, en) and targets")
		}
		for j, name := range row.From {
			if name == "" || name == "*" || seen[name] {
				return nil, at(mappingPath, data, fmt.Sprintf("%s.from[%d]", path, j), "name %q is empty, too wide or listed twice", name)
			}
			seen[name] = true
		}
		for id, t := range row.Targets {
			if _, ok := r.providers[id]; !ok && id != selfHostedKey {
				return nil, at(mappingPath, data, path+".targets", "no such provider %q", id)
			}
			if len(t.Models) == 0 && t.Note == (Text{}) || slices.Contains(t.Models, "") {
				return nil, at(mappingPath, data, path+".targets", "%s: neither models nor a note", id)
			}
			if !slices.Contains([]string{"", "enabled", "disabled"}, t.Thinking) {
				return nil, at(mappingPath, data, path+".targets", "%s: unknown thinking %q", id, t.Thinking)
			}
		}
	}
	return doc, nil
}

func (r *Registry) loadLifecycle() (*lifecycleFile, error) {
	doc := &lifecycleFile{}
	data, err := decode(r.fsys, lifecyclePath, doc)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, e := range doc.Entries {
		path := fmt.Sprintf("$.entries[%d]", i)
		if (len(e.IDs) == 0) == (e.Class == "") || len(e.Shutdown) != 10 || !days.MatchString(e.Shutdown) {
			return nil, at(lifecyclePath, data, path+".shutdown", "an entry needs ids or a class, and a day")
		}
		for j, id := range e.IDs {
			if seen[id] {
				return nil, at(lifecyclePath, data, fmt.Sprintf("%s.ids[%d]", path, j), "model %q listed twice", id)
			}
			seen[id] = true
		}
	}
	return doc, nil
}
