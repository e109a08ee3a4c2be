package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"homeport/internal/openai"
)

// Bounds of a schema that the gateway itself holds answers against. A schema is the client's, and so, in effect, is the
// answer: without bounds a few hundred bytes of references that double at each step cost seconds, and one that refers to
// itself twice costs as much as the answer is deep.
const (
	maxSchemaBytes    = 64 << 10
	maxSchemaValues   = 10_000  // JSON values as written
	maxSchemaObjects  = 2_000   // of them, those that can be schemas: compiling is quadratic in them
	maxSchemaRefs     = 100_000 // different references times such values: the library may copy its list of places for each
	maxSchemaExpanded = 20_000  // subschemas with each reference written out, a recursive one once
	maxSchemaDepth    = 100     // of the same
	maxPattern        = 1 << 10 // bytes of one regular expression
	maxPatterns       = 40_000  // instructions of all of them; the library compiles each twice
	maxNumber         = 400     // digits or decimal exponent of a number: exact arithmetic writes them out
	// maxChecks bounds the work on one answer, all choices together, in steps of well under a microsecond.
	maxChecks = 1_000_000
)

const schemaAt = "mem:///schema.json"

// answerSchema is a compiled schema that counts the steps its checks take. One goroutine at a time may use it.
type answerSchema struct {
	compiled *jsonschema.Schema
	left     int // steps
	depth    int // of the answer that is being checked
	patterns int // instructions, while compiling
}

// outOfSteps is thrown through the library, which has no other way to stop, and caught in holds.
type outOfSteps struct{}

// compileSchema compiles a client's schema, or says in English and Chinese why it will not do. The reasons quote nothing.
func compileSchema(raw []byte) (s *answerSchema, en, zh string) {
	const tooLarge, tooLargeZH = "is larger, deeper or expands further than can be checked", "过大、过深，或展开后过大，无法校验"
	if len(raw) > maxSchemaBytes {
		return nil, tooLarge, tooLargeZH
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, "is not JSON", "不是 JSON"
	}
	written := census{refs: map[string]struct{}{}}
	written.count(doc)
	if written.values > maxSchemaValues || written.schemas > maxSchemaObjects || len(written.refs)*written.schemas > maxSchemaRefs || !modestNumbers(doc) {
		return nil, tooLarge, tooLargeZH
	}
	s = &answerSchema{}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(s.pattern)
	if err := c.AddResource(schemaAt, doc); err != nil {
		return nil, "does not compile", "无法编译"
	}
	if s.compiled, err = c.Compile(schemaAt); err != nil {
		return nil, "does not compile, or refers to something outside itself", "无法编译，或引用了自身以外的内容"
	}
	w := schemaWalk{s: s, seen: map[*jsonschema.Schema]extent{}}
	e := w.visit(s.compiled)
	switch {
	case w.outside:
		return nil, "refers to something outside itself", "引用了自身以外的内容"
	case w.dynamic:
		return nil, "uses $dynamicRef or $recursiveRef, which are not checked here", "使用了此处不支持的 $dynamicRef 或 $recursiveRef"
	case e.nodes > maxSchemaExpanded || e.depth > maxSchemaDepth:
		return nil, tooLarge, tooLargeZH
	}
	return s, "", ""
}

// noLoader keeps a client's schema from making us open files or addresses.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references outside the schema are not followed")
}

// extent is how large a schema is with its references written out.
type extent struct{ nodes, depth int }

// schemaWalk goes once over every compiled subschema, measures it and puts the counter in.
type schemaWalk struct {
	s                *answerSchema
	seen             map[*jsonschema.Schema]extent
	outside, dynamic bool
}

func (w *schemaWalk) visit(x *jsonschema.Schema) extent {
	if e, ok := w.seen[x]; ok {
		return e
	}
	own := extent{1, 1}
	w.seen[x] = own // a way back to here counts once: how often it is really gone is counted at the answer
	if !strings.HasPrefix(x.Location, schemaAt) {
		w.outside = true
		return own
	}
	w.dynamic = w.dynamic || x.DynamicRef != nil || x.RecursiveRef != nil
	below := subschemas(x)
	for _, sub := range below {
		e := w.visit(sub)
		own.nodes = min(own.nodes+e.nodes, maxSchemaExpanded+1)
		own.depth = min(max(own.depth, e.depth+1), maxSchemaDepth+1)
	}
	w.seen[x] = own
	w.s.meter(x, len(below))
	return own
}

// subschemas are all schemas that x applies.
func subschemas(x *jsonschema.Schema) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	add := func(list ...*jsonschema.Schema) {
		for _, s := range list {
			if s != nil {
				out = append(out, s)
			}
		}
	}
	loose := func(v any) {
		switch v := v.(type) {
		case *jsonschema.Schema:
			add(v)
		case []*jsonschema.Schema:
			add(v...)
		}
	}
	add(x.Ref, x.Not, x.If, x.Then, x.Else, x.PropertyNames, x.UnevaluatedProperties, x.Contains, x.Items2020, x.UnevaluatedItems, x.ContentSchema)
	add(x.AllOf...)
	add(x.AnyOf...)
	add(x.OneOf...)
	add(x.PrefixItems...)
	for _, s := range x.Properties {
		add(s)
	}
	for _, s := range x.PatternProperties {
		add(s)
	}
	for _, s := range x.DependentSchemas {
		add(s)
	}
	for _, v := range x.Dependencies {
		loose(v)
	}
	loose(x.AdditionalProperties)
	loose(x.Items)
	loose(x.AdditionalItems)
	return out
}

// meter makes each application of x count its steps. The format is what the library looks at before it goes any deeper.
func (s *answerSchema) meter(x *jsonschema.Schema, below int) {
	if x.Bool != nil {
		return // answered at once; whoever applies it has counted it
	}
	own := 1 + below + len(x.Required)
	equal := x.UniqueItems || x.Const != nil
	if x.Enum != nil {
		own += len(x.Enum.Values)
		equal = true
	}
	format := x.Format
	x.Format = &jsonschema.Format{Name: "metered", Validate: func(v any) error {
		s.spend(own + s.depth/4) // the library notes for each mismatch the way to it
		switch v := v.(type) {
		case map[string]any:
			s.spend(len(v) * (1 + len(x.PatternProperties)))
		case []any:
			s.spend(len(v))
			if x.UniqueItems {
				s.spend(len(v) * min(len(v), 20))
			}
		case string:
			s.spend(len(v) / 64)
		}
		if equal {
			s.spendAll(v)
		}
		switch {
		case format == nil:
			return nil
		case format.Name == "regex":
			if expr, ok := v.(string); ok {
				_, err := s.pattern(expr)
				return err
			}
			return nil
		}
		return format.Validate(v)
	}}
}

func (s *answerSchema) spend(steps int) {
	if s.left -= steps; s.left < 0 {
		panic(outOfSteps{})
	}
}

// spendAll counts what comparing v as a whole costs.
func (s *answerSchema) spendAll(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			s.spend(1)
			s.spendAll(x)
		}
	case []any:
		for _, x := range v {
			s.spend(1)
			s.spendAll(x)
		}
	}
}

// holds reports whether answer is one JSON value that conforms. An answer that would take more steps than are left does not.
func (s *answerSchema) holds(answer []byte) (held bool) {
	if !openai.Valid(answer) {
		return false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil || !modestNumbers(value) {
		return false
	}
	s.depth = depth(value)
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case outOfSteps:
			held = false
		default:
			panic(r)
		}
	}()
	return s.compiled.Validate(value) == nil
}

// census counts a schema as it is written.
type census struct {
	values  int
	schemas int                 // objects and booleans
	refs    map[string]struct{} // different ones
}

func (c *census) count(v any) {
	c.values++
	switch v := v.(type) {
	case map[string]any:
		c.schemas++
		for _, x := range v {
			c.count(x)
		}
		if ref, ok := v["$ref"].(string); ok {
			c.refs[ref] = struct{}{}
		}
	case []any:
		for _, x := range v {
			c.count(x)
		}
	case bool:
		c.schemas++
	}
}

// depth is how deep v nests.
func depth(v any) int {
	below := 0
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			below = max(below, depth(x))
		}
	case []any:
		for _, x := range v {
			below = max(below, depth(x))
		}
	}
	return below + 1
}

// modestNumbers reports whether exact arithmetic on the numbers in v stays cheap.
func modestNumbers(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			if !modestNumbers(x) {
				return false
			}
		}
	case []any:
		for _, x := range v {
			if !modestNumbers(x) {
				return false
			}
		}
	case json.Number:
		digits := string(v)
		if i := strings.IndexAny(digits, "eE"); i >= 0 {
			e, err := strconv.Atoi(digits[i+1:])
			if err != nil || e > maxNumber || e < -maxNumber {
				return false
			}
		}
		return len(digits) <= maxNumber
	}
	return true
}

// pattern compiles one regular expression of a schema, within bounds on the size of all.
func (s *answerSchema) pattern(expr string) (jsonschema.Regexp, error) {
	if len(expr) > maxPattern {
		return nil, errors.New("pattern too long")
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, errors.New("pattern is no regular expression")
	}
	size := instructions(tree)
	if s.patterns += size; s.patterns > maxPatterns {
		return nil, errors.New("patterns too large")
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, errors.New("pattern is no regular expression")
	}
	return &meteredPattern{s: s, size: size, Regexp: re}, nil
}

type meteredPattern struct {
	*regexp.Regexp
	s    *answerSchema
	size int
}

// MatchString counts the text times the size of the expression: the most that matching takes.
func (p *meteredPattern) MatchString(text string) bool {
	p.s.spend(len(text)*p.size/16 + 1)
	return p.Regexp.MatchString(text)
}

// instructions estimates from above, capped, how large an expression is when compiled: repetitions are written out.
func instructions(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n = min(n+instructions(sub), maxPatterns+1)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Min, re.Max, 1), maxPatterns+1)
	}
	return n
}
