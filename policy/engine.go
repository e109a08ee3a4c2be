package policy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Verdict is what a decision comes to; the strictest of several wins.
type Verdict uint8

// Allow < AllowWithDuties < NeedsApproval < Block.
const (
	Allow Verdict = iota
	AllowWithDuties
	NeedsApproval
	Block
)

// String gives the word used in events and headers.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "block"
}

// Permitted says whether a request may go: needs_approval refuses like block.
func (v Verdict) Permitted() bool { return v <= AllowWithDuties }

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(b []byte) error {
	p, err := ParseVerdict(string(b))
	*v = p
	return err
}

// Profile says how outcomes become verdicts.
type Profile uint8

// Strict sends no personal or important data to a model abroad at all. Counsel follows the law's own routes.
const (
	Strict Profile = iota
	Counsel
)

// String gives the word used in the configuration.
func (p Profile) String() string {
	if p == Counsel {
		return "counsel"
	}
	return "strict"
}

// ParseProfile reads a profile's name; empty is strict.
func ParseProfile(s string) (Profile, error) {
	switch s {
	case "", "strict":
		return Strict, nil
	case "counsel":
		return Counsel, nil
	}
	return Strict, fmt.Errorf("unknown profile %q; want strict or counsel", s)
}

// Fired is one row that answered.
type Fired struct {
	Table   string   `json:"table"`
	Rule    string   `json:"rule"` // "M7"
	Row     string   `json:"row"`  // "M7.P"
	Outcome string   `json:"outcome"`
	Verdict Verdict  `json:"verdict"`
	Unknown bool     `json:"unknown,omitempty"` // the row could not be decided: its outcome counts, being possible
	Needs   []string `json:"needs_facts,omitempty"`
	Duty    string   `json:"duty,omitempty"`
	Do      Text     `json:"do"`
	Cites   []Cite   `json:"cites"`
	Basis   Basis    `json:"basis"`
}

// Duty is what must be done along with a permitted use.
type Duty struct {
	ID   string `json:"id"` // the row's duty name, or the row
	Rule string `json:"rule"`
	Do   Text   `json:"do"`
}

// Decision is the answer for one vector of facts. It holds rules and verdicts, never a fact's value; it is immutable
// and may be shared.
type Decision struct {
	Verdict Verdict  `json:"verdict"`
	Profile string   `json:"profile"`
	Rules   []Fired  `json:"rules"`
	Needs   []string `json:"needs_facts,omitempty"` // sorted
	Duties  []Duty   `json:"duties,omitempty"`

	undecided bool
}

// Outcome gives a table's outcome, the strictest if several rows answered; "" if none did. Outcome("X") is the export
// answer: none, exempt, scc_or_cert, security_assessment, prohibited.
func (d *Decision) Outcome(table string) string {
	out, worst := "", Verdict(0)
	for i := range d.Rules {
		if r := &d.Rules[i]; r.Table == table && (out == "" || r.Verdict > worst) {
			out, worst = r.Outcome, r.Verdict
		}
	}
	return out
}

// RuleIDs lists the distinct rules that answered, in order.
func (d *Decision) RuleIDs() []string {
	var out []string
	for i := range d.Rules {
		if !slices.Contains(out, d.Rules[i].Rule) {
			out = append(out, d.Rules[i].Rule)
		}
	}
	return out
}

// Engine holds compiled packs. It is immutable but for its memory, and safe for concurrent use.
type Engine struct {
	schema   *Schema
	digest   [32]byte
	tables   []*table
	derived  []derivedFact
	slots    map[string]int
	masks    []*cel.AttributePatternType // per slot
	done     []ID                        // facts of type Done
	dateID   ID
	used     [2]uint64   // facts that can matter
	buckets  [][]int64   // per fact: what its count is compared with
	fbuckets [][]float64 // same, for numbers
	pool     *sync.Pool  // of *activation
	memory   *Memory
}

// Schema gives the typed list of facts.
func (e *Engine) Schema() *Schema { return e.schema }

// Digest is the SHA-256 of the pack files, in hex: an event names it so that the decision can be replayed.
func (e *Engine) Digest() string { return hex.EncodeToString(e.digest[:]) }

// Rules lists all rows in order.
func (e *Engine) Rules() []Rule {
	var out []Rule
	for _, t := range e.tables {
		for _, r := range t.rows {
			out = append(out, r.Rule)
		}
	}
	return out
}

// Decide judges the facts under a profile. It is pure, and it always answers: facts of another schema, an expression
// that fails and a table without an answer block.
func (e *Engine) Decide(f *Facts, p Profile) *Decision {
	d := &Decision{Profile: p.String()}
	if f.base.schema != e.schema || p > Counsel {
		d.undecidable("", "facts of another schema, or an unknown profile")
		return d
	}
	a := e.pool.Get().(*activation)
	defer e.pool.Put(a)
	return e.decide(d, a, f, p)
}

func (e *Engine) decide(d *Decision, a *activation, f *Facts, p Profile) *Decision {
	day := a.fill(f)
	if failed := a.derive(); failed != "" {
		d.undecidable("", failed)
	}
	for _, t := range e.tables {
		e.table(d, t, a, p, day)
	}
	slices.Sort(d.Needs)
	d.Needs = slices.Compact(d.Needs)
	return d
}

// table runs one table. A row that is unknown counts and does not end a first table.
func (e *Engine) table(d *Decision, t *table, a *activation, p Profile, day int32) {
	answered := false
	for _, r := range t.rows {
		valid, dated := r.valid(day)
		if !valid {
			continue
		}
		state, needs, err := a.eval(r.prog)
		if err != nil {
			d.undecidable(t.id, "row "+r.Row+" could not be evaluated")
			answered = true
			continue
		}
		if state == isFalse {
			continue
		}
		if !dated {
			state, needs = isUnknown, append(needs, e.schema.facts[e.dateID].ID)
		}
		answered = true
		v, more, err := r.verdict(a, p)
		if err != nil {
			d.undecidable(t.id, "the verdict of row "+r.Row+" could not be evaluated")
			continue
		}
		needs = append(needs, more...)
		d.add(r, v, state == isUnknown, needs)
		if state == isTrue && !t.collect {
			return
		}
	}
	if t.total && !answered {
		d.undecidable(t.id, "no row answers")
	}
}

// add joins one row's answer.
func (d *Decision) add(r *row, v Verdict, unknown bool, needs []string) {
	slices.Sort(needs)
	needs = slices.Compact(needs)
	d.Rules = append(d.Rules, Fired{Table: r.Table, Rule: r.Rule.Rule, Row: r.Row, Outcome: r.Outcome, Verdict: v,
		Unknown: unknown, Needs: needs, Duty: r.Duty, Do: r.Do, Cites: r.Cites, Basis: r.Basis})
	d.Verdict = max(d.Verdict, v)
	d.Needs = append(d.Needs, needs...)
	if v == AllowWithDuties {
		id := r.Duty
		if id == "" {
			id = r.Row
		}
		d.Duties = append(d.Duties, Duty{ID: id, Rule: r.Rule.Rule, Do: r.Do})
	}
}

// undecidable blocks with a reason that is ours, not the law's.
func (d *Decision) undecidable(table, why string) {
	d.Verdict, d.undecided = Block, true
	d.Rules = append(d.Rules, Fired{Table: table, Rule: "undecidable", Row: "undecidable", Outcome: "undecidable", Verdict: Block,
		Do:    Text{ZH: "无法判断，故拒绝；请报告此规则包的缺陷（" + why + "）", EN: "undecidable, hence refused; please report this defect of the rule pack (" + why + ")"},
		Basis: Practice})
}

// valid says whether the row is law on the day, and whether that could be said.
func (r *row) valid(day int32) (valid, dated bool) {
	if r.from == 0 && r.until == 0 {
		return true, true
	}
	if day == 0 {
		return true, false
	}
	return r.from <= day && (r.until == 0 || day < r.until), true
}

// verdict reads the profile table: the first line whose condition holds; a line that is unknown counts with what
// comes after it.
func (r *row) verdict(a *activation, p Profile) (Verdict, []string, error) {
	v := Allow
	var needs []string
	for i := range r.entries {
		en := &r.entries[i]
		if en.prog == nil {
			return max(v, en.verdict[p]), needs, nil
		}
		state, more, err := a.eval(en.prog)
		switch {
		case err != nil:
			return Block, nil, err
		case state == isTrue:
			return max(v, en.verdict[p]), needs, nil
		case state == isUnknown:
			v = max(v, en.verdict[p])
			needs = append(needs, more...)
		}
	}
	return Block, needs, nil // not reached: the last line has no condition
}

type truth uint8

const (
	isFalse truth = iota
	isTrue
	isUnknown
)

// eval runs one program; needs are the facts an unknown answer lacks.
func (a *activation) eval(p *program) (truth, []string, error) {
	if !a.celAlone {
		if out := p.quick.eval(a.refs); out != isUnknown {
			return out, nil, nil
		}
	}
	prog, err := p.cel()
	if err != nil {
		return isFalse, nil, err
	}
	out, _, err := prog.Eval(a)
	if err != nil {
		return isFalse, nil, fmt.Errorf("evaluate: %w", err)
	}
	switch v := out.(type) {
	case types.Bool:
		if v {
			return isTrue, nil, nil
		}
		return isFalse, nil, nil
	case *types.Unknown:
		var needs []string
		for _, id := range v.IDs() {
			trails, _ := v.GetAttributeTrails(id)
			for _, t := range trails {
				slot, ok := a.e.slots[t.Variable()]
				switch {
				case !ok:
				case slot >= len(a.e.schema.facts):
					needs = append(needs, a.needs[slot]...)
				default:
					needs = append(needs, t.Variable())
				}
			}
		}
		if len(needs) == 0 {
			return isFalse, nil, fmt.Errorf("evaluate: unknown without a fact to ask for")
		}
		return isUnknown, needs, nil
	}
	return isFalse, nil, fmt.Errorf("evaluate: the answer is neither true, false nor unknown")
}

// fill takes over the facts and returns the day of judgement, 0 when unknown.
func (a *activation) fill(f *Facts) int32 {
	e := a.e
	var day int32
	if d := f.get(e.dateID); d.known {
		day = int32(d.n)
	}
	copy(a.refs, f.base.refs)
	f.ascending(func(id ID, v *value) { a.refs[id] = v.cel(e.schema.facts[id].Type, day) })
	for _, id := range e.done {
		if v := f.get(id); v.on != 0 || v.until != 0 {
			a.refs[id] = v.cel(Done, day)
		}
	}
	a.masks = a.masks[:0]
	for i := range e.schema.facts {
		if a.refs[i] == nil {
			a.masks = append(a.masks, e.masks[i])
		}
	}
	return day
}

// derive evaluates the derived facts in order; the result names what failed.
func (a *activation) derive() string {
	failed := ""
	for i := range a.e.derived {
		d := &a.e.derived[i]
		state, needs, err := a.eval(d.prog)
		a.needs[d.slot] = needs
		switch {
		case err != nil:
			failed = "derived fact " + d.id + " could not be evaluated"
			fallthrough
		case state == isUnknown:
			a.refs[d.slot] = ref.Val(nil)
			a.masks = append(a.masks, a.e.masks[d.slot])
		default:
			a.refs[d.slot] = types.Bool(state == isTrue)
		}
	}
	return failed
}
