package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// costLimit bounds one condition, in comparisons. Conditions are built of terms only (no function that can loop), lists
// in facts have at most maxList members, so a condition's cost is known when it is compiled and none is tracked while
// it runs. The dearest of ours is below 1,000.
const costLimit = 20_000

// program is one condition. Its CEL program is made when it is first needed where a snapshot has vouched for the
// condition, else at once.
type program struct {
	quick quick
	cel   func() (cel.Program, error)
}

// compiler makes every CEL program of a set of packs.
type compiler struct {
	schema  *Schema
	env     func() (*cel.Env, error)
	snap    *snapshot        // what was found out when the packs were last compiled; nil: compile
	exprs   map[string]quick // guarded by mu
	sets    map[string][]string
	derived map[string]int // the place of each derived fact: it may use those above it
	jobs    []func() error // conditions still to compile, in the order their errors are told

	mu         sync.Mutex     // guards what follows: conditions are compiled side by side
	used       [2]uint64      // facts some condition reads
	thresholds map[ID][]int64 // what int facts are compared with
	fthreshold map[ID][]float64
	slots      map[string]int
}

func newCompiler(s *Schema, sets map[string][]string, derived []string, slots map[string]int) (*compiler, error) {
	var opts []cel.EnvOption
	for i := range s.facts {
		opts = append(opts, cel.Variable(s.facts[i].ID, s.facts[i].celType()))
	}
	for id, members := range sets {
		if _, clash := s.index[id]; clash {
			return nil, fmt.Errorf("set %q has a fact's name", id)
		}
		opts = append(opts, cel.Constant(id, cel.ListType(cel.StringType), types.NewStringList(types.DefaultTypeAdapter, members)))
	}
	order := map[string]int{}
	for i, d := range derived {
		if _, dup := order[d]; dup {
			continue // told with its place by the caller
		}
		order[d] = i
		opts = append(opts, cel.Variable(d, cel.BoolType))
	}
	env := sync.OnceValues(func() (*cel.Env, error) { return cel.NewEnv(opts...) })
	return &compiler{schema: s, env: env, exprs: map[string]quick{}, slots: slots, sets: sets, derived: order,
		thresholds: map[ID][]int64{}, fthreshold: map[ID][]float64{}}, nil
}

// later compiles a condition with the others of its kind, in [compiler.run], into a program that exists
// already. It may use the derived facts before the place above.
func (c *compiler) later(file string, src located[string], above int, into *program) {
	c.jobs = append(c.jobs, func() error {
		if c.snap != nil {
			q, ok := c.snap.Conditions[src.V]
			if !ok {
				return fmt.Errorf("%s:%d:%d: the snapshot lacks a condition", file, src.Line, src.Col)
			}
			*into = program{quick: q, cel: sync.OnceValues(func() (cel.Program, error) {
				p, err := c.program(file, src, above)
				if err != nil {
					return nil, err
				}
				return p.cel()
			})}
			return nil
		}
		p, err := c.program(file, src, above)
		if err == nil {
			*into = *p
		}
		return err
	})
}

// run compiles what [compiler.later] noted, on a few goroutines; the first error in order is told.
func (c *compiler) run() error {
	errs := make([]error, len(c.jobs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs); i = int(next.Add(1)) - 1 {
				errs[i] = c.jobs[i]()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// program is the one constructor of CEL programs: typed, checked against the schema's values, partial evaluation on
// (without it an unknown is false), cost bounded. The error names the column inside the expression.
func (c *compiler) program(file string, src located[string], above int) (*program, error) {
	at := func(line, col int, format string, a ...any) error {
		// The expression's own line and column, seen from the file; exact for a condition written on one line.
		if line <= 1 {
			// CEL places a dotted name at its dot; ours begin at the first letter.
			for col > 0 && col < len(src.V) && isWord(src.V[col]) && isWord(src.V[col-1]) {
				col--
			}
			line, col = src.Line, src.Col+col
		} else {
			line, col = src.Line+line-1, col+1
		}
		return fmt.Errorf("%s:%d:%d: %w", file, line, col, fmt.Errorf(format, a...))
	}
	if src.V == "" {
		return nil, at(0, 0, "a condition is missing")
	}
	if len(src.V) > 4096 {
		return nil, at(0, 0, "a condition of %d bytes; at most 4096 are read", len(src.V))
	}
	env, err := c.env()
	if err != nil {
		return nil, fmt.Errorf("make the CEL environment: %w", err)
	}
	checked, iss := env.Compile(src.V)
	if iss.Err() != nil {
		first := iss.Errors()[0]
		msg := first.Message
		if _, rest, ok := strings.Cut(msg, "undeclared reference to '"); ok {
			name, _, _ := strings.Cut(rest, "'")
			msg = fmt.Sprintf("no fact %q", name)
			if near := nearest(dotted(src.V, first.Location.Column(), name), c.schema.names()); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
		}
		return nil, at(first.Location.Line(), first.Location.Column(), "%s", msg)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, at(0, 0, "a condition must be true or false, not %s", checked.OutputType())
	}
	w := walker{c: c, scope: map[string]*Fact{}, times: 1, above: above}
	w.expr(checked.NativeRep().Expr())
	if w.err != nil {
		loc := checked.NativeRep().SourceInfo().GetStartLocation(w.at)
		return nil, at(loc.Line(), loc.Column(), "%w", w.err)
	}
	if w.cost > costLimit {
		return nil, at(0, 0, "the condition costs %d comparisons, at most %d are allowed", w.cost, costLimit)
	}
	p, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize|cel.OptPartialEval))
	if err != nil {
		return nil, at(0, 0, "plan the condition: %w", err)
	}
	q := quickOf(checked.NativeRep().Expr(), c.slots, c.sets)
	c.mu.Lock()
	c.exprs[src.V] = q
	c.mu.Unlock()
	return &program{q, func() (cel.Program, error) { return p, nil }}, nil
}

// dotted widens a name CEL complained about to the whole dotted word in the source.
func dotted(src string, col int, name string) string {
	i := strings.Index(src, name)
	if col >= 0 && col < len(src) {
		if j := strings.Index(src[max(0, col-len(name)):], name); j >= 0 {
			i = j + max(0, col-len(name))
		}
	}
	if i < 0 {
		return name
	}
	end := i
	for end < len(src) && isWord(src[end]) {
		end++
	}
	return src[i:end]
}

// isWord says whether a byte may stand in a fact's name.
func isWord(b byte) bool {
	return b == '.' || b == '_' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9'
}

// walker checks a typed expression against the schema: only comparisons with literals the facts can have. What it
// lets through can be bucketed exactly.
type walker struct {
	c     *compiler
	scope map[string]*Fact // the variable of all/exists: a member of a list fact
	err   error
	at    int64
	cost  int // so far, in comparisons
	above int // derived facts before this place may be used
	times int // how often the present term runs: list members, inside all and exists
}

func (w *walker) fail(id int64, format string, a ...any) {
	if w.err == nil {
		w.err, w.at = fmt.Errorf(format, a...), id
	}
}

// fact gives the fact an expression names, and its handle where it is not a member of a list fact.
func (w *walker) fact(e ast.Expr) *Fact {
	if e.Kind() != ast.IdentKind {
		return nil
	}
	if f, ok := w.scope[e.AsIdent()]; ok {
		return f
	}
	if id, ok := w.c.schema.index[e.AsIdent()]; ok {
		w.c.mu.Lock()
		w.c.used[id>>6] |= 1 << (id & 63)
		w.c.mu.Unlock()
		return &w.c.schema.facts[id]
	}
	return nil
}

func (w *walker) expr(e ast.Expr) {
	if w.err != nil {
		return
	}
	w.cost += w.times
	switch e.Kind() {
	case ast.LiteralKind:
		if _, ok := e.AsLiteral().(types.Bool); !ok {
			w.fail(e.ID(), "a literal may only be compared with a fact")
		}
	case ast.IdentKind:
		name := e.AsIdent()
		f := w.fact(e)
		switch {
		case f != nil && f.Type != Bool && f.Type != Done:
			w.fail(e.ID(), "fact %s may only be compared with its values", f.ID)
		case f == nil && !w.declared(name) && !strings.HasPrefix(name, "@"):
			w.fail(e.ID(), "%q may not be used here", name)
		}
	case ast.CallKind:
		w.call(e)
	case ast.ComprehensionKind:
		comp := e.AsComprehension()
		f := w.fact(comp.IterRange())
		if f == nil || f.Type != List && f.Type != Places {
			w.fail(e.ID(), "all and exists may only run over a list fact")
			return
		}
		w.scope[comp.IterVar()] = f
		w.times *= maxList
		w.expr(comp.LoopStep())
		w.times /= maxList
		delete(w.scope, comp.IterVar())
	default:
		w.fail(e.ID(), "this form is not used in conditions")
	}
}

// declared says whether a name is a derived fact that may be used here.
func (w *walker) declared(name string) bool {
	place, ok := w.c.derived[name]
	return ok && place < w.above
}

func (w *walker) call(e ast.Expr) {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.NotStrictlyFalse:
		for _, a := range args {
			w.expr(a)
		}
	case operators.Equals, operators.NotEquals:
		w.compare(e, args[0], args[1], false)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		w.compare(e, args[0], args[1], true)
	case operators.In:
		w.in(e, args[0], args[1])
	default:
		w.fail(e.ID(), "function %s is not used in conditions", call.FunctionName())
	}
}

func (w *walker) compare(e, a, b ast.Expr, ordered bool) {
	f, lit := w.fact(a), b
	if f == nil {
		f, lit = w.fact(b), a
	}
	if f == nil {
		// two boolean terms may be compared with each other
		if !ordered {
			w.expr(a)
			w.expr(b)
			return
		}
		w.fail(e.ID(), "one side of a comparison must be a fact")
		return
	}
	if ordered && f.Type != Int && f.Type != Number && f.Type != Date {
		w.fail(e.ID(), "fact %s has no order", f.ID)
		return
	}
	if lit.Kind() != ast.LiteralKind {
		if f.Type == Bool && !ordered {
			w.expr(lit)
			return
		}
		w.fail(lit.ID(), "fact %s may only be compared with a literal", f.ID)
		return
	}
	w.literal(f, lit)
}

func (w *walker) in(e, elem, list ast.Expr) {
	switch {
	case list.Kind() == ast.ListKind:
		w.cost += w.times * list.AsList().Size()
	case list.Kind() == ast.IdentKind:
		w.cost += w.times * max(maxList, len(w.c.sets[list.AsIdent()]))
	}
	if f := w.fact(elem); f != nil {
		if list.Kind() == ast.IdentKind {
			members, ok := w.c.sets[list.AsIdent()]
			if !ok {
				w.fail(list.ID(), "%q is no set", list.AsIdent())
			}
			for _, m := range members {
				w.member(list.ID(), f, m)
			}
			return
		}
		if list.Kind() != ast.ListKind || list.AsList().Size() == 0 {
			w.fail(list.ID(), "want a list of literals or a set")
			return
		}
		for _, m := range list.AsList().Elements() {
			if m.Kind() != ast.LiteralKind {
				w.fail(m.ID(), "want a literal")
				return
			}
			w.literal(f, m)
		}
		return
	}
	f := w.fact(list)
	if f == nil || elem.Kind() != ast.LiteralKind {
		w.fail(e.ID(), "in wants a fact in a list of literals, or a literal in a list fact")
		return
	}
	w.literal(f, elem)
}

// literal checks one literal against the fact's values and notes thresholds.
func (w *walker) literal(f *Fact, e ast.Expr) {
	id := w.c.schema.index[f.ID]
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	switch v := e.AsLiteral().(type) {
	case types.String:
		w.member(e.ID(), f, string(v))
	case types.Int:
		if f.Type != Int {
			w.fail(e.ID(), "fact %s is no whole number", f.ID)
		}
		w.c.thresholds[id] = append(w.c.thresholds[id], int64(v))
	case types.Double:
		if f.Type != Number {
			w.fail(e.ID(), "fact %s is no number with a fraction", f.ID)
		}
		w.c.fthreshold[id] = append(w.c.fthreshold[id], float64(v))
	case types.Bool:
		if f.Type != Bool && f.Type != Done {
			w.fail(e.ID(), "fact %s is not true or false", f.ID)
		}
	default:
		w.fail(e.ID(), "a literal of type %s is not used in conditions", e.AsLiteral().Type())
	}
}

func (w *walker) member(id int64, f *Fact, s string) {
	switch f.Type {
	case Place, Places:
		if len(s) != 2 || strings.ToUpper(s) != s {
			w.fail(id, "%q is no ISO 3166-1 code in upper case", s)
		}
	case Date:
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			w.fail(id, "%q is no day as 2026-11-22", s)
		}
	case String, List:
		if len(f.Values) > 0 && !slices.Contains(f.Values, s) && !(f.Open && s == "") { // "": not given
			hint := ""
			if near := nearest(s, f.Values); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			w.fail(id, "%q is no value of fact %s%s", s, f.ID, hint)
		}
	}
}

// activation is one vector as CEL sees it. Slots 0..n-1 are the schema's facts, then the derived facts.
type activation struct {
	e     *Engine
	refs  []ref.Val                   // nil: unknown
	masks []*cel.AttributePatternType // one for each unknown slot that a condition reads
	needs [][]string                  // for an unknown derived slot: the facts it lacks

	celAlone bool // tests only: leave every condition to CEL
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	slot, ok := a.e.slots[name]
	if !ok || a.refs[slot] == nil {
		return nil, false
	}
	return a.refs[slot], true
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// UnknownAttributePatterns implements cel.PartialActivation: the masks that make a missing fact unknown.
func (a *activation) UnknownAttributePatterns() []*cel.AttributePatternType { return a.masks }

// AsPartialActivation lets the interpreter find the masks.
func (a *activation) AsPartialActivation() (cel.PartialActivation, bool) { return a, true }
