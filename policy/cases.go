package policy

import "fmt"

// CaseResult is the outcome of one case of one row.
type CaseResult struct {
	Row  string `json:"row"`
	Case int    `json:"case"` // from 1
	At   string `json:"at"`   // file:line:column of the row
	Want bool   `json:"want"`
	Got  string `json:"got"` // true, false, unknown, or what failed
	Pass bool   `json:"pass"`
}

// RunCases runs every row's own cases: each row's condition alone, on the assumed facts and those the case gives.
// A case that comes out unknown fails.
func (e *Engine) RunCases() []CaseResult {
	var out []CaseResult
	a := e.pool.Get().(*activation)
	defer e.pool.Put(a)
	for _, t := range e.tables {
		for _, r := range t.rows {
			for i, k := range r.cases {
				res := CaseResult{Row: r.Row, Case: i + 1, At: fmt.Sprintf("%s:%d:%d", r.file, r.line, r.col), Want: *k.Fires}
				f, err := e.schema.FromMap(k.Facts, Declared)
				if err == nil {
					var state truth
					a.fill(f)
					if failed := a.derive(); failed != "" {
						err = fmt.Errorf("%s", failed)
					} else if state, _, err = a.eval(r.prog); err == nil {
						res.Got = [...]string{"false", "true", "unknown"}[state]
						res.Pass = (state == isTrue) == res.Want && state != isUnknown
					}
				}
				if err != nil {
					res.Got = err.Error()
				}
				out = append(out, res)
			}
		}
	}
	return out
}
