package gateway

// Inspect is the second stage.
var Inspect = inspect

// ByType gives the findings by type.
func (f *Findings) ByType() map[string]int {
	out := map[string]int{}
	for _, c := range f.Counts {
		out[c.Type.ID] = c.Count
	}
	return out
}

// Row is one row of the data plane's route table.
type Row struct {
	Method, Path string
	Open         bool // needs no key
}

// Table lists the data plane's routes.
func Table() (out []Row) {
	for _, r := range table {
		out = append(out, Row{r.method, r.path, r.kind == live || r.kind == ready})
	}
	return out
}
