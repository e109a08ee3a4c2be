package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
)

// table, row and entry are the compiled form; rows keep their place for messages.
type table struct {
	id      string
	collect bool
	total   bool // a first table in which some row must answer
	rows    []*row
}

type row struct {
	Rule
	file        string
	line, col   int
	prog        *program
	from, until int32
	entries     []entry // its lines of the profile table, the last without a condition
	cases       []caseYAML
	index       int // over all tables, for fingerprints
}

// entry is one line of the profile table as it reaches one row.
type entry struct {
	prog    *program // nil: always
	verdict [2]Verdict
}

type derivedFact struct {
	id   string
	slot int
	prog *program
}

func (l *loader) build() (*Engine, error) {
	var names []string
	for _, d := range l.derived {
		names = append(names, d.V.ID)
	}
	e := &Engine{schema: l.schema, slots: map[string]int{}, pool: &sync.Pool{}}
	c, err := newCompiler(l.schema, l.sets, names, e.slots)
	if err != nil {
		return nil, err
	}
	c.snap = l.snap
	for i := range l.schema.facts {
		e.slots[l.schema.facts[i].ID] = i
		if l.schema.facts[i].Type == Done {
			e.done = append(e.done, ID(i))
		}
	}
	var ok bool
	if e.dateID, ok = l.schema.ID("date"); !ok || l.schema.facts[e.dateID].Type != Date {
		return nil, fmt.Errorf("facts.yaml: the fact date of type date is missing")
	}
	for _, d := range l.derived {
		if _, dup := e.slots[d.V.ID]; dup || d.V.ID == "" {
			return nil, fmt.Errorf("%s:%d:%d: derived fact %q is declared twice", d.file, d.Line, d.Col, d.V.ID)
		}
		prog := new(program)
		c.later(d.file, d.V.When, len(e.derived), prog)
		slot := len(l.schema.facts) + len(e.derived)
		e.slots[d.V.ID] = slot
		e.derived = append(e.derived, derivedFact{d.V.ID, slot, prog})
	}
	if err := l.buildTables(e, c); err != nil {
		return nil, err
	}
	if err := l.buildProfiles(e, c); err != nil {
		return nil, err
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	n := len(l.schema.facts) + len(e.derived)
	e.masks = make([]*cel.AttributePatternType, n)
	for name, slot := range e.slots {
		e.masks[slot] = cel.AttributePattern(name)
	}
	if l.snap != nil {
		c.used, c.thresholds, c.fthreshold = l.snap.Used, l.snap.Thresholds, l.snap.Fractions
	} else {
		l.made = &snapshot{Used: c.used, Conditions: c.exprs, Thresholds: c.thresholds, Fractions: c.fthreshold}
	}
	e.used = c.used
	e.used[e.dateID>>6] |= 1 << (e.dateID & 63) // rows have dates of validity
	e.buckets = make([][]int64, len(l.schema.facts))
	e.fbuckets = make([][]float64, len(l.schema.facts))
	for id, t := range c.thresholds {
		slices.Sort(t)
		e.buckets[id] = slices.Compact(t)
	}
	for id, t := range c.fthreshold {
		slices.Sort(t)
		e.fbuckets[id] = slices.Compact(t)
	}
	e.pool.New = func() any {
		return &activation{e: e, refs: make([]ref.Val, n), needs: make([][]string, n)}
	}
	e.memory = e.NewMemory()
	return e, nil
}

func (l *loader) buildTables(e *Engine, c *compiler) error {
	tables, rows := map[string]bool{}, map[string]bool{}
	// X before M before C, whatever the files are called: the order of an answer's lines.
	slices.SortStableFunc(l.tables, func(a, b inFile[tableYAML]) int { return order(a.V.Table) - order(b.V.Table) })
	for _, t := range l.tables {
		y := t.V
		fail := func(format string, a ...any) error {
			return fmt.Errorf("%s: table %q: %w", t.file, y.Table, fmt.Errorf(format, a...))
		}
		switch {
		case y.Table == "" || tables[y.Table]:
			return fail("has no id, or is declared twice")
		case y.Hit != "first" && y.Hit != "collect":
			return fail("hit must be first or collect, not %q", y.Hit)
		case y.Hit == "collect" && y.Total:
			return fail("only a first table can be total")
		case len(y.Rows) == 0 || len(y.Outcomes) == 0:
			return fail("has no rows, or declares no outcomes")
		case y.Title.ZH == "" || y.Title.EN == "":
			return fail("title is missing in zh or en")
		}
		tables[y.Table] = true
		out := &table{id: y.Table, collect: y.Hit == "collect", total: y.Total}
		for _, lr := range y.Rows {
			r, err := l.buildRow(c, t.file, y, lr)
			if err != nil {
				return err
			}
			if rows[r.Row] {
				return fmt.Errorf("%s:%d:%d: row %q is declared twice", t.file, lr.Line, lr.Col, r.Row)
			}
			rows[r.Row] = true
			r.index = len(rows) - 1
			out.rows = append(out.rows, r)
		}
		e.tables = append(e.tables, out)
	}
	if len(e.tables) == 0 {
		return fmt.Errorf("load packs: no table found")
	}
	return nil
}

// order is the place of a table in an answer.
func order(id string) int {
	if i := slices.Index([]string{"X", "XD", "F", "FA", "M", "MF", "C", "L", "D"}, id); i >= 0 {
		return i
	}
	return 100
}

func (l *loader) buildRow(c *compiler, file string, t tableYAML, lr located[rowYAML]) (*row, error) {
	y := lr.V
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%s:%d:%d: row %q: %w", file, lr.Line, lr.Col, y.ID, fmt.Errorf(format, a...))
	}
	switch {
	case y.ID == "":
		return nil, fail("has no id")
	case !slices.Contains(t.Outcomes, y.Outcome):
		return nil, fail("unknown outcome %q; the table declares %s", y.Outcome, strings.Join(t.Outcomes, ", "))
	case y.Do.ZH == "" || y.Do.EN == "":
		return nil, fail("do is missing in zh or en")
	case len(y.Cites) == 0:
		return nil, fail("has no citation")
	case !Basis(y.Basis).valid():
		return nil, fail("basis must be text, established or practice, not %q", y.Basis)
	}
	r := &row{file: file, line: lr.Line, col: lr.Col, cases: y.Cases}
	rule, _, _ := strings.Cut(y.ID, ".")
	r.Rule = Rule{Table: t.Table, Row: y.ID, Rule: rule, When: y.When.V, Outcome: y.Outcome, Duty: y.Duty, Do: y.Do,
		Basis: Basis(y.Basis), From: y.From, Until: y.Until}
	for _, s := range y.Cites {
		cite, err := l.cite(s.V)
		if err != nil {
			return nil, fmt.Errorf("%s:%d:%d: row %q: %w", file, s.Line, s.Col, y.ID, err)
		}
		r.Cites = append(r.Cites, cite)
	}
	for _, d := range []struct {
		s    string
		into *int32
	}{{y.From, &r.from}, {y.Until, &r.until}} {
		if d.s == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, d.s)
		if err != nil {
			return nil, fail("from and until are days as 2026-11-22, not %q", d.s)
		}
		*d.into = int32(day.Unix() / 86400)
	}
	if r.until != 0 && r.until <= r.from {
		return nil, fail("until must lie after from")
	}
	var fires, not bool
	for i, k := range y.Cases {
		if k.Fires == nil {
			return nil, fail("case %d does not say whether it fires", i+1)
		}
		fires = fires || *k.Fires
		not = not || !*k.Fires
		if _, err := l.schema.FromMap(k.Facts, Declared); err != nil {
			return nil, fail("case %d: %w", i+1, err)
		}
	}
	if l.withCases && (!fires || !not) {
		return nil, fail("needs at least one case that fires and one that does not")
	}
	r.prog = new(program)
	c.later(file, y.When, len(c.derived), r.prog)
	return r, nil
}

var verdictNames = []string{"allow", "allow_with_duties", "needs_approval", "block"}

// ParseVerdict reads a verdict's name.
func ParseVerdict(s string) (Verdict, error) {
	if i := slices.Index(verdictNames, s); i >= 0 {
		return Verdict(i), nil
	}
	return Block, fmt.Errorf("unknown verdict %q", s)
}

func (l *loader) buildProfiles(e *Engine, c *compiler) error {
	for _, v := range l.verdicts {
		y := v.V
		fail := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d:%d: verdicts: %w", v.file, v.Line, v.Col, fmt.Errorf(format, a...))
		}
		var en entry
		for i, s := range []string{y.Strict, y.Counsel} {
			var err error
			if en.verdict[i], err = ParseVerdict(s); err != nil {
				return fail("%w", err)
			}
		}
		if y.When.V != "" {
			en.prog = new(program)
			c.later(v.file, y.When, len(c.derived), en.prog)
		}
		if len(y.Rules) == 0 && len(y.Outcomes) == 0 {
			return fail("names neither rules nor outcomes")
		}
		hit := map[string]bool{}
		for _, t := range e.tables {
			if t.id != y.Table {
				continue
			}
			for _, r := range t.rows {
				byRule, byRow := slices.Contains(y.Rules, r.Rule.Rule), slices.Contains(y.Rules, r.Row)
				if len(y.Rules) > 0 && !byRule && !byRow {
					continue
				}
				hit[r.Rule.Rule], hit[r.Row] = true, true
				if len(y.Outcomes) > 0 && !slices.Contains(y.Outcomes, r.Outcome) {
					continue
				}
				if n := len(r.entries); n > 0 && r.entries[n-1].prog == nil {
					continue // already answered without a condition
				}
				r.entries = append(r.entries, en)
			}
		}
		for _, id := range y.Rules {
			if !hit[id] {
				return fail("table %q has no rule %q", y.Table, id)
			}
		}
	}
	for _, t := range e.tables {
		for _, r := range t.rows {
			if n := len(r.entries); n == 0 || r.entries[n-1].prog != nil {
				return fmt.Errorf("%s:%d:%d: row %q: outcome %q has no verdict in the profile table", r.file, r.line, r.col, r.Row, r.Outcome)
			}
		}
	}
	return nil
}
