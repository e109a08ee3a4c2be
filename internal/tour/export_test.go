package tour

// For tests of what no healthy gateway shows.
var (
	Wrap         = wrap
	Width        = width
	WithChecksum = withChecksum
)

const Columns = columns

// Retell holds the report against other promises: step n is promised status and target.
func (r *Report) Retell(n, status int, target string) {
	r.Steps[n].told.status, r.Steps[n].told.target = status, target
	r.compare()
}

// Compare holds the report against the tour's own promises again.
func (r *Report) Compare() { r.compare() }
