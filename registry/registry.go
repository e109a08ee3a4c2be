package registry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Registry is checked access to the data. The zero value is not usable; see [Load].
type Registry struct {
	fsys      fs.FS
	ids       []string                   // provider ids, sorted
	providers map[string]lazy[*Provider] // one file each
	models    map[string]lazy[[]Model]   // one file per provider that has any
	mapping   lazy[*mappingFile]
	lifecycle lazy[*lifecycleFile]
	filings   lazy[*filingIndex]
	regions   lazy[map[string]*Region]
	rates     lazy[[]Rate]
	families  lazy[*familyFile]
}

// Load reads the data built into the binary. With ids, only those providers are parsed now (a gateway names the
// entries its configuration uses) and the others at first use; without, all of them. The error names file and line.
func Load(ids ...string) (*Registry, error) { return LoadFS(embedded, ids...) }

// LoadFS is Load over other data laid out the same way: data/providers/ID.yaml, data/models/ID.yaml and so on.
func LoadFS(fsys fs.FS, ids ...string) (*Registry, error) {
	r := &Registry{fsys: fsys, providers: map[string]lazy[*Provider]{}, models: map[string]lazy[[]Model]{}}
	names, err := fs.Glob(fsys, "data/providers/*.yaml")
	if err != nil || len(names) == 0 {
		return nil, &DataError{File: "data/providers", Msg: "no provider found"}
	}
	for _, name := range names {
		id := strings.TrimSuffix(path.Base(name), ".yaml")
		r.ids = append(r.ids, id)
		r.providers[id] = onFirstUse(func() (*Provider, error) { return loadProvider(fsys, id) })
	}
	slices.Sort(r.ids)
	r.rates = onFirstUse(r.loadRates)
	r.mapping = onFirstUse(r.loadMapping)
	r.lifecycle = onFirstUse(r.loadLifecycle)
	r.filings = onFirstUse(r.loadFilings)
	r.families = onFirstUse(r.loadFamilies)
	r.regions = onFirstUse(r.loadRegions)
	for _, id := range r.ids {
		if _, err := fs.Stat(fsys, modelFile(id)); err == nil {
			r.models[id] = onFirstUse(func() ([]Model, error) { return r.loadModels(id) })
		}
	}
	if len(ids) == 0 {
		ids = r.ids
	}
	for _, id := range ids {
		get, ok := r.providers[id]
		if !ok {
			return nil, fmt.Errorf("registry: no catalog entry %q", id)
		}
		if _, err := get(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Provider returns the entry with this id. False: there is none (or, for one that Load did not parse, it does not
// parse; see [Registry.Check]).
func (r *Registry) Provider(id string) (*Provider, bool) {
	get, ok := r.providers[id]
	if !ok {
		return nil, false
	}
	p, err := get()
	return p, err == nil
}

// Providers returns all entries, sorted by id.
func (r *Registry) Providers() []*Provider {
	out := make([]*Provider, 0, len(r.ids))
	for _, id := range r.ids {
		if p, ok := r.Provider(id); ok {
			out = append(out, p)
		}
	}
	return out
}

// IDs returns the ids of all entries, sorted, without parsing any.
func (r *Registry) IDs() []string { return slices.Clone(r.ids) }

// ByEnv returns which entries use an environment variable: name to provider ids, sorted. It reads the one env line of
// each file and parses nothing, so that finding keys at start stays cheap.
func (r *Registry) ByEnv() map[string][]string {
	out := map[string][]string{}
	for _, id := range r.ids {
		data, err := fs.ReadFile(r.fsys, "data/providers/"+id+".yaml")
		if err != nil {
			continue
		}
		_, line, ok := strings.Cut("\n"+string(data), "\nenv: [")
		if !ok {
			continue
		}
		line, _, _ = strings.Cut(line, "]")
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				out[name] = append(out[name], id)
			}
		}
	}
	return out
}

// Check parses every file and every reference between them. The error is the first found, with file and line.
func (r *Registry) Check() error {
	for _, id := range r.ids {
		if _, err := r.providers[id](); err != nil {
			return err
		}
		if get, ok := r.models[id]; ok {
			if _, err := get(); err != nil {
				return err
			}
		}
	}
	if _, err := r.rates(); err != nil {
		return err
	}
	if _, err := r.lifecycle(); err != nil {
		return err
	}
	if _, err := r.mapping(); err != nil {
		return err
	}
	if _, err := r.regions(); err != nil {
		return err
	}
	if _, err := r.families(); err != nil {
		return err
	}
	if err := r.checkModelFiles(); err != nil {
		return err
	}
	return r.checkFilingReferences()
}
