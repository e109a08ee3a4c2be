package policy

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// quick is a condition as a tree of and, or, not and comparisons of one fact with literals. It answers only where the
// answer is certain from known facts; anything else (a fact that is unknown and matters, a form it does not have) is
// left to CEL, which then names what is missing. In CEL as here `false && x` is false and `true || x` is true
// whatever x is. It keeps a cold decision in microseconds; a test proves that CEL alone gives the same answers.
type quick struct {
	op   quickOp
	neg  bool // the answer is turned round
	args []quick
	slot int
	set  []string
	n    int64
	x    float64
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
)

// eval gives isTrue or isFalse where that is certain, else isUnknown.
func (q *quick) eval(refs []ref.Val) truth {
	out := q.raw(refs)
	if q.neg && out != isUnknown {
		return isTrue - out
	}
	return out
}

func (q *quick) raw(refs []ref.Val) truth {
	switch q.op {
	case quickOpaque:
		return isUnknown
	case quickAnd, quickOr:
		ends := isFalse // the answer of one argument that settles it
		if q.op == quickOr {
			ends = isTrue
		}
		out := isTrue - ends
		for i := range q.args {
			switch q.args[i].eval(refs) {
			case ends:
				return ends
			case isUnknown:
				out = isUnknown
			}
		}
		return out
	}
	switch v := refs[q.slot].(type) {
	case types.Bool:
		if q.op == quickBool {
			return truthOf(bool(v))
		}
	case types.String:
		if q.op == quickIn {
			return truthOf(slices.Contains(q.set, string(v)))
		}
	case types.Int:
		return compare(q.op, int64(v), q.n)
	case types.Double:
		return compare(q.op, float64(v), q.x)
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
			return quick{op: quickBool, slot: slot}
		}
		return quick{}
	}
	if e.Kind() != ast.CallKind {
		return quick{}
	}
	args := e.AsCall().Args()
	switch fn := e.AsCall().FunctionName(); fn {
	case operators.LogicalAnd, operators.LogicalOr:
		q := quick{op: quickAnd}
		if fn == operators.LogicalOr {
			q.op = quickOr
		}
		for _, a := range args {
			q.args = append(q.args, quickOf(a, slots, sets))
		}
		return q
	case operators.LogicalNot:
		q := quickOf(args[0], slots, sets)
		q.neg = !q.neg
		return q
	default:
		return quickComparison(fn, args, slots, sets)
	}
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
	q := quick{slot: slot}
	lit := args[1]
	if fn == operators.In {
		switch lit.Kind() {
		case ast.IdentKind:
			q.set = sets[lit.AsIdent()]
		case ast.ListKind:
			for _, m := range lit.AsList().Elements() {
				s, ok := m.AsLiteral().(types.String)
				if !ok {
					return quick{}
				}
				q.set = append(q.set, string(s))
			}
		}
		if q.set == nil {
			return quick{}
		}
		q.op = quickIn
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
		q.set = []string{string(v)}
	case types.Int:
		q.n = int64(v)
	case types.Double:
		q.x = float64(v)
	default:
		return quick{}
	}
	switch fn {
	case operators.Equals:
		q.op = quickIn
	case operators.NotEquals:
		q.op, q.neg = quickIn, true
	case operators.Less:
		q.op = quickLess
	case operators.LessEquals:
		q.op = quickLessEq
	case operators.Greater:
		q.op = quickGreater
	case operators.GreaterEquals:
		q.op = quickGreaterEq
	}
	return q
}
