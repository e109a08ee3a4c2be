package policy

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// guard is one term of a condition's outermost conjunction that can be tested without CEL: a fact or its negation, or a
// fact compared with a literal. In CEL `false && x` is false whatever x is, unknown or failing, so a guard that is
// false makes the condition false. A guard that is true or unknown says nothing: then CEL answers. Most rows end
// here, which is what keeps a cold decision in microseconds; a test proves both ways give the same answers.
type guard struct {
	slot   int
	op     guardOp
	n      int64
	member []string
}

type guardOp uint8

const (
	guardTrue guardOp = iota
	guardFalse
	guardIn
	guardNotIn
	guardLess
	guardLessEq
	guardGreater
	guardGreaterEq
)

// rejects says whether the term is known and false.
func (g *guard) rejects(v ref.Val) bool {
	switch x := v.(type) {
	case types.Bool:
		switch g.op {
		case guardTrue:
			return !bool(x)
		case guardFalse:
			return bool(x)
		}
	case types.String:
		switch g.op {
		case guardIn:
			return !slices.Contains(g.member, string(x))
		case guardNotIn:
			return slices.Contains(g.member, string(x))
		}
	case types.Int:
		switch g.op {
		case guardIn:
			return int64(x) != g.n
		case guardNotIn:
			return int64(x) == g.n
		case guardLess:
			return int64(x) >= g.n
		case guardLessEq:
			return int64(x) > g.n
		case guardGreater:
			return int64(x) <= g.n
		case guardGreaterEq:
			return int64(x) < g.n
		}
	}
	return false
}

// guards reads the terms out of a checked expression; slots maps names to their places.
func guards(e ast.Expr, slots map[string]int, sets map[string][]string) []guard {
	var out []guard
	var term func(e ast.Expr, neg bool)
	term = func(e ast.Expr, neg bool) {
		if e.Kind() == ast.IdentKind {
			if slot, ok := slots[e.AsIdent()]; ok {
				op := guardTrue
				if neg {
					op = guardFalse
				}
				out = append(out, guard{slot: slot, op: op})
			}
			return
		}
		if e.Kind() != ast.CallKind {
			return
		}
		args := e.AsCall().Args()
		switch fn := e.AsCall().FunctionName(); fn {
		case operators.LogicalAnd:
			if !neg {
				for _, a := range args {
					term(a, false)
				}
			}
		case operators.LogicalOr: // !(a || b) is !a && !b
			if neg {
				for _, a := range args {
					term(a, true)
				}
			}
		case operators.LogicalNot:
			term(args[0], !neg)
		default:
			if g, ok := comparison(fn, args, neg, slots, sets); ok {
				out = append(out, g)
			}
		}
	}
	term(e, false)
	return out
}

// comparison reads `fact op literal` with the fact on the left, the form the tables use; others are left to CEL.
func comparison(fn string, args []ast.Expr, neg bool, slots map[string]int, sets map[string][]string) (guard, bool) {
	if len(args) != 2 || args[0].Kind() != ast.IdentKind {
		return guard{}, false
	}
	slot, ok := slots[args[0].AsIdent()]
	if !ok {
		return guard{}, false
	}
	g := guard{slot: slot}
	lit := args[1]
	if fn == operators.In {
		g.op = guardIn
		switch lit.Kind() {
		case ast.IdentKind:
			g.member = sets[lit.AsIdent()]
		case ast.ListKind:
			for _, m := range lit.AsList().Elements() {
				s, ok := m.AsLiteral().(types.String)
				if !ok {
					return guard{}, false
				}
				g.member = append(g.member, string(s))
			}
		}
		if g.member == nil {
			return guard{}, false
		}
	} else {
		if lit.Kind() != ast.LiteralKind {
			return guard{}, false
		}
		switch v := lit.AsLiteral().(type) {
		case types.String:
			if fn != operators.Equals && fn != operators.NotEquals {
				return guard{}, false
			}
			g.member = []string{string(v)}
		case types.Int:
			g.n = int64(v)
		default:
			return guard{}, false
		}
		switch fn {
		case operators.Equals:
			g.op = guardIn
		case operators.NotEquals:
			g.op = guardNotIn
		case operators.Less:
			g.op = guardLess
		case operators.LessEquals:
			g.op = guardLessEq
		case operators.Greater:
			g.op = guardGreater
		case operators.GreaterEquals:
			g.op = guardGreaterEq
		default:
			return guard{}, false
		}
	}
	if neg {
		g.op = [...]guardOp{guardTrue: guardFalse, guardFalse: guardTrue, guardIn: guardNotIn, guardNotIn: guardIn,
			guardLess: guardGreaterEq, guardLessEq: guardGreater, guardGreater: guardLessEq, guardGreaterEq: guardLess}[g.op]
	}
	return g, true
}
