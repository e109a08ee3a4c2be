package policy

// RowState evaluates one row's condition alone: "true", "false", "unknown" or an error's text.
func (e *Engine) RowState(id string, f *Facts) string {
	a := e.pool.Get().(*activation)
	defer e.pool.Put(a)
	a.fill(f)
	if failed := a.derive(); failed != "" {
		return failed
	}
	for _, t := range e.tables {
		for _, r := range t.rows {
			if r.Row == id {
				state, _, err := a.eval(r.prog)
				if err != nil {
					return err.Error()
				}
				return [...]string{"false", "true", "unknown"}[state]
			}
		}
	}
	return "no row " + id
}

// DecideByCELAlone is Decide with every condition left to CEL.
func (e *Engine) DecideByCELAlone(f *Facts, p Profile) *Decision {
	a := e.pool.New().(*activation)
	a.celAlone = true
	return e.decide(&Decision{Profile: p.String()}, a, f, p)
}

// FiringCases gives each row's cases that fire.
func (e *Engine) FiringCases() map[string][]map[string]any {
	out := map[string][]map[string]any{}
	for _, t := range e.tables {
		for _, r := range t.rows {
			for _, k := range r.cases {
				if *k.Fires {
					out[r.Row] = append(out[r.Row], k.Facts)
				}
			}
		}
	}
	return out
}

// NewMemoryOf makes a memory of the given bound.
func (e *Engine) NewMemoryOf(entries int) *Memory { return e.newMemory(entries) }

// MakeSnapshot writes what snapshot.json should hold; SnapshotInUse says whether it does.
func MakeSnapshot() ([]byte, error) { return makeSnapshot() }

// SnapshotInUse says whether Load takes the snapshot.
func SnapshotInUse() bool {
	_, _, digest, err := readPacks(embedded)
	return err == nil && openSnapshot(digest) != nil
}
