package policy

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// quick is a condition as a tree of and, or, not and comparisons of one fact with literals. It answers only where the
// answer is certain from known facts; anything else (a fact that is unknown and matters, a form it does not have) is
// left to CEL, which then names what is missing. In CEL as here `false && x` is false and `true || x` is true
// whatever x is. It keeps a cold decision in microseconds; a test proves that CEL alone gives the same answers.
// Its fields are exported for the snapshot's sake.
type quick struct {
	Op   quickOp  `json:",omitzero"`
	Neg  bool     `json:",omitzero"` // the answer is turned round
	Args []quick  `json:",omitempty"`
	Slot int      `json:",omitzero"`
	Set  []string `json:",omitempty"`
	N    int64    `json:",omitzero"`
	X    float64  `json:",omitzero"`
}

type quickOp uint8

const (
	quickOpaque quickOp = iota // left to CEL
	quickAnd
	quickOr
	quickBool
	quickIn // the fact is in set, or equals n or x
	quickLess
	quickLessEq
	quickGreater
	quickGreaterEq
	quickAll // every member of the list fact equals the one word in set
)

// eval gives isTrue or isFalse where that is certain, else isUnknown.
func (q *quick) eval(refs []ref.Val) truth {
	out := q.raw(refs)
	if q.Neg && out != isUnknown {
		return isTrue - out
	}
	return out
}

func (q *quick) raw(refs []ref.Val) truth {
	switch q.Op {
	case quickOpaque:
		return isUnknown
	case quickAnd, quickOr:
		ends := isFalse // the answer of one argument that settles it
		if q.Op == quickOr {
			ends = isTrue
		}
		out := isTrue - ends
		for i := range q.Args {
			switch q.Args[i].eval(refs) {
			case ends:
				return ends
			case isUnknown:
				out = isUnknown
			}
		}
		return out
	}
	switch v := refs[q.Slot].(type) {
	case types.Bool:
		if q.Op == quickBool {
			return truthOf(bool(v))
		}
	case types.String:
		if q.Op == quickIn {
			return truthOf(slices.Contains(q.Set, string(v)))
		}
	case traits.Lister:
		if words, ok := v.Value().([]string); ok && q.Op == quickAll {
			return truthOf(!slices.ContainsFunc(words, func(w string) bool { return w != q.Set[0] }))
		}
	case types.Int:
		return compare(q.Op, int64(v), q.N)
	case types.Double:
		return compare(q.Op, float64(v), q.X)
	}
	return isUnknown
}

func compare[T int64 | float64](op quickOp, a, b T) truth {
	switch op {
	case quickIn:
		return truthOf(a == b)
	case quickLess:
		return truthOf(a < b)
	case quickLessEq:
		return truthOf(a <= b)
	case quickGreater:
		return truthOf(a > b)
	case quickGreaterEq:
		return truthOf(a >= b)
	}
	return isUnknown
}

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// quickOf reads a checked expression; slots maps names to their places.
func quickOf(e ast.Expr, slots map[string]int, sets map[string][]string) quick {
	if e.Kind() == ast.IdentKind {
		if slot, ok := slots[e.AsIdent()]; ok {
			return quick{Op: quickBool, Slot: slot}
		}
		return quick{}
	}
	if e.Kind() == ast.ComprehensionKind {
		return quickAllOf(e.AsComprehension(), slots)
	}
	if e.Kind() != ast.CallKind {
		return quick{}
	}
	args := e.AsCall().Args()
	switch fn := e.AsCall().FunctionName(); fn {
	case operators.LogicalAnd, operators.LogicalOr:
		q := quick{Op: quickAnd}
		if fn == operators.LogicalOr {
			q.Op = quickOr
		}
		for _, a := range args {
			q.Args = append(q.Args, quickOf(a, slots, sets))
		}
		return q
	case operators.LogicalNot:
		q := quickOf(args[0], slots, sets)
		q.Neg = !q.Neg
		return q
	default:
		return quickComparison(fn, args, slots, sets)
	}
}

// quickAllOf reads `list.all(p, p == "word")`, which CEL's macro spells as a loop that starts true and ands each step.
func quickAllOf(c ast.ComprehensionExpr, slots map[string]int) quick {
	if c.IterRange().Kind() != ast.IdentKind || c.LoopStep().Kind() != ast.CallKind || c.AccuInit().Kind() != ast.LiteralKind ||
		c.AccuInit().AsLiteral() != types.True || c.Result().Kind() != ast.IdentKind {
		return quick{}
	}
	slot, ok := slots[c.IterRange().AsIdent()]
	step := c.LoopStep().AsCall()
	if !ok || step.FunctionName() != operators.LogicalAnd || len(step.Args()) != 2 || step.Args()[1].Kind() != ast.CallKind {
		return quick{}
	}
	eq := step.Args()[1].AsCall()
	if eq.FunctionName() != operators.Equals || eq.Args()[0].Kind() != ast.IdentKind || eq.Args()[0].AsIdent() != c.IterVar() ||
		eq.Args()[1].Kind() != ast.LiteralKind {
		return quick{}
	}
	word, ok := eq.Args()[1].AsLiteral().(types.String)
	if !ok {
		return quick{}
	}
	return quick{Op: quickAll, Slot: slot, Set: []string{string(word)}}
}

// quickComparison reads `fact op literal` with the fact on the left, the form the tables use.
func quickComparison(fn string, args []ast.Expr, slots map[string]int, sets map[string][]string) quick {
	if len(args) != 2 || args[0].Kind() != ast.IdentKind {
		return quick{}
	}
	slot, ok := slots[args[0].AsIdent()]
	if !ok {
		return quick{}
	}
	q := quick{Slot: slot}
	lit := args[1]
	if fn == operators.In {
		switch lit.Kind() {
		case ast.IdentKind:
			q.Set = sets[lit.AsIdent()]
		case ast.ListKind:
			for _, m := range lit.AsList().Elements() {
				s, ok := m.AsLiteral().(types.String)
				if !ok {
					return quick{}
				}
				q.Set = append(q.Set, string(s))
			}
		}
		if q.Set == nil {
			return quick{}
		}
		q.Op = quickIn
		return q
	}
	if lit.Kind() != ast.LiteralKind {
		return quick{}
	}
	equality := fn == operators.Equals || fn == operators.NotEquals
	switch v := lit.AsLiteral().(type) {
	case types.String:
		if !equality {
			return quick{} // days are ordered as text; CEL does it
		}
		q.Set = []string{string(v)}
	case types.Int:
		q.N = int64(v)
	case types.Double:
		q.X = float64(v)
	default:
		return quick{}
	}
	switch fn {
	case operators.Equals:
		q.Op = quickIn
	case operators.NotEquals:
		q.Op, q.Neg = quickIn, true
	case operators.Less:
		q.Op = quickLess
	case operators.LessEquals:
		q.Op = quickLessEq
	case operators.Greater:
		q.Op = quickGreater
	case operators.GreaterEquals:
		q.Op = quickGreaterEq
	}
	return q
}
