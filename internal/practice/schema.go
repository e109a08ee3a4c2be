package practice

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Errors of instance; their text goes to the client, so it holds nothing of the schema.
var (
	errBadSchema     = errors.New("schema 无效；the schema is not a valid JSON Schema")
	errUnsatisfiable = errors.New("练习上游未能造出符合 schema 的实例；practice found no instance of the schema")
)

// maxDepth and maxSteps bound the work: a schema that requires itself has no finite instance, and a small one can ask for a
// huge one.
const (
	maxDepth = 32
	maxSteps = 20_000
)

// instance makes a small value that the schema allows: required members only, the first of alternatives, the least of
// ranges. Free text becomes word; with sign, where no text was free and the root is an open object, a member "practice" holds
// word. The value has been validated against the schema. References outside the schema are not followed.
func instance(schema json.RawMessage, word string, sign bool) ([]byte, error) {
	if len(schema) == 0 || string(schema) == "null" {
		schema = json.RawMessage(`{"type":"object"}`)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, errBadSchema
	}
	comp := jsonschema.NewCompiler()
	comp.UseLoader(noLoader{})
	comp.AssertFormat()
	const name = "practice:schema"
	if err := comp.AddResource(name, doc); err != nil {
		return nil, errBadSchema
	}
	compiled, err := comp.Compile(name)
	if err != nil {
		return nil, errBadSchema
	}
	m := &maker{root: doc, word: word}
	v, ok := m.make(doc, 0)
	if !ok {
		return nil, errUnsatisfiable
	}
	if o, isObject := v.(object); isObject && sign && !m.said {
		v = withWord(o, word, compiled)
	}
	b := encode(v)
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil || compiled.Validate(plain) != nil {
		return nil, errUnsatisfiable
	}
	return b, nil
}

// withWord adds the member "practice" where the schema lets it.
func withWord(o object, word string, s *jsonschema.Schema) object {
	if slices.ContainsFunc(o, func(m member) bool { return m.name == Model }) {
		return o
	}
	marked := append(slices.Clip(o), member{Model, word})
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(encode(marked)))
	if err != nil || s.Validate(plain) != nil {
		return o
	}
	return marked
}

// noLoader keeps a client's schema from naming a file or a host.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errBadSchema }

// object keeps its members in order, which a map would not.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, encode(m.name)...), ':'), v...)
	}
	return append(b, '}'), nil
}

// maker builds an instance; said tells that word stands in it.
type maker struct {
	root any
	word string
	said bool

	steps int
}

// make returns a value for schema s; false when it finds none. Its guesses are validated in the end by instance.
func (m *maker) make(s any, depth int) (any, bool) {
	if m.steps++; depth > maxDepth || m.steps > maxSteps {
		return nil, false
	}
	schema, ok := s.(map[string]any)
	if !ok {
		return nil, s == true // true allows null, false nothing
	}
	if ref, ok := schema["$ref"].(string); ok {
		target, ok := m.resolve(ref)
		if !ok {
			return nil, false
		}
		return m.make(merge(target, without(schema, "$ref")), depth+1)
	}
	if all, ok := schema["allOf"].([]any); ok && len(all) > 0 {
		merged := any(without(schema, "allOf"))
		for _, part := range all {
			if p, ok := part.(map[string]any); ok {
				if ref, ok := p["$ref"].(string); ok {
					if part, ok = m.resolve(ref); !ok {
						return nil, false
					}
				}
			}
			merged = merge(merged, part)
		}
		return m.make(merged, depth+1)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		alternatives, ok := schema[key].([]any)
		if !ok {
			continue
		}
		for _, alt := range alternatives {
			if v, ok := m.make(merge(without(schema, key), alt), depth+1); ok {
				return v, true
			}
		}
		return nil, false
	}
	if c, ok := schema["const"]; ok {
		return c, true
	}
	if e, ok := schema["enum"].([]any); ok && len(e) > 0 {
		return e[0], true
	}
	switch typeOf(schema) {
	case "object":
		return m.object(schema, depth)
	case "array":
		return m.array(schema, depth)
	case "string":
		return m.text(schema)
	case "integer", "number":
		return number(schema)
	case "boolean":
		return true, true
	case "null":
		return nil, true
	}
	return nil, false
}

// typeOf is the schema's type: of several the first that is not null, and without any, what its keywords speak of.
func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if one != "null" {
				name, _ := one.(string)
				return name
			}
		}
		return "null"
	}
	for _, hint := range []struct{ key, kind string }{
		{"properties", "object"}, {"required", "object"}, {"items", "array"}, {"prefixItems", "array"},
		{"pattern", "string"}, {"minLength", "string"}, {"maxLength", "string"}, {"format", "string"},
		{"minimum", "number"}, {"maximum", "number"}, {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"},
		{"multipleOf", "number"},
	} {
		if _, ok := s[hint.key]; ok {
			return hint.kind
		}
	}
	return "object"
}

func (m *maker) object(s map[string]any, depth int) (any, bool) {
	o := object{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		p, ok := properties[name]
		if !ok {
			p = any(map[string]any{"type": "string"})
		}
		v, ok := m.make(p, depth+1)
		if !ok {
			return nil, false
		}
		o = append(o, member{name, v})
	}
	return o, true
}

func (m *maker) array(s map[string]any, depth int) (any, bool) {
	out := []any{}
	prefix, _ := s["prefixItems"].([]any)
	n := max(count(s, "minItems"), 0)
	if n > 1000 {
		return nil, false
	}
	for i := range n {
		items, ok := s["items"]
		if i < len(prefix) {
			items, ok = prefix[i], true
		}
		if !ok {
			items = true
		}
		v, ok := m.make(items, depth+1)
		if !ok {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

// formats is one valid value of each format; example.com and 192.0.2.1 are reserved for documentation.
var formats = map[string]string{
	"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "time": "00:00:00Z", "duration": "P1D",
	"email": "practice@example.com", "idn-email": "practice@example.com", "hostname": "example.com", "idn-hostname": "example.com",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.com/practice", "url": "https://example.com/practice",
	"iri": "https://example.com/practice", "uri-reference": "practice", "iri-reference": "practice", "regex": "practice",
	"uuid": "00000000-0000-4000-8000-000000000000", "json-pointer": "/practice", "relative-json-pointer": "0",
	"uri-template": "https://example.com/practice",
}

func (m *maker) text(s map[string]any) (any, bool) {
	if f, ok := s["format"].(string); ok && formats[f] != "" {
		return formats[f], true
	}
	least, most := max(count(s, "minLength"), 0), count(s, "maxLength")
	if p, ok := s["pattern"].(string); ok {
		re, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			return nil, false
		}
		var b strings.Builder
		if !match(&b, re.Simplify()) {
			return nil, false
		}
		return b.String(), true
	}
	if m.steps += max(least, 0) / 16; m.steps > maxSteps {
		return nil, false
	}
	word := strings.Repeat(m.word, max(1, (least+utf8.RuneCountInString(m.word)-1)/utf8.RuneCountInString(m.word)))
	if runes := []rune(word); most >= 0 && len(runes) > most {
		word = string(runes[:max(least, most)])
	}
	m.said = m.said || strings.HasPrefix(word, m.word)
	return word, true
}

// match writes a short text that the expression matches. Conditions on places (^, $, \b) are left to validation.
func match(b *strings.Builder, re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return false
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return false
		}
		r := re.Rune[0]
		for i := 0; i < len(re.Rune); i += 2 { // a letter or digit reads better than a control character
			for _, want := range "a0A" {
				if re.Rune[i] <= want && want <= re.Rune[i+1] {
					r = want
				}
			}
		}
		b.WriteRune(r)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('a')
	case syntax.OpCapture, syntax.OpPlus:
		return match(b, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !match(b, sub) {
				return false
			}
		}
	case syntax.OpAlternate:
		return match(b, re.Sub[0])
	case syntax.OpRepeat:
		for range re.Min {
			if !match(b, re.Sub[0]) {
				return false
			}
		}
	}
	return true // star, quest and empty matches need nothing
}

// number is 0 or the number nearest to it that the bounds and multipleOf allow, computed exactly.
func number(s map[string]any) (any, bool) {
	step := rational(s, "multipleOf")
	whole := typeOf(s) == "integer"
	if step == nil && whole {
		step = big.NewRat(1, 1)
	}
	lo, loOpen := bound(s, "minimum", "exclusiveMinimum", 1)
	hi, hiOpen := bound(s, "maximum", "exclusiveMaximum", -1)
	v := new(big.Rat)
	switch {
	case lo != nil && (lo.Sign() > 0 || lo.Sign() == 0 && loOpen):
		v = nextTo(lo, loOpen, step, hi, 1)
	case hi != nil && (hi.Sign() < 0 || hi.Sign() == 0 && hiOpen):
		v = nextTo(hi, hiOpen, step, lo, -1)
	}
	if v.IsInt() {
		return json.Number(v.Num().String()), true
	}
	f, _ := v.Float64()
	if math.IsInf(f, 0) {
		return nil, false
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), true
}

// nextTo is the number at edge or, if open or off the steps, the next in direction dir; without steps, half-way to the
// other bound or 1 further.
func nextTo(edge *big.Rat, open bool, step, other *big.Rat, dir int64) *big.Rat {
	d := big.NewRat(dir, 1)
	if step == nil {
		switch {
		case !open:
			return edge
		case other != nil:
			sum := new(big.Rat).Add(edge, other)
			return sum.Mul(sum, big.NewRat(1, 2))
		}
		return new(big.Rat).Add(edge, d)
	}
	q := new(big.Rat).Mul(new(big.Rat).Quo(edge, step), d) // in direction dir the wanted multiple is the ceiling
	k := new(big.Int).Div(q.Num(), q.Denom())              // floor
	if open || !q.IsInt() {
		k.Add(k, big.NewInt(1))
	}
	v := new(big.Rat).Mul(new(big.Rat).SetInt(k), step)
	return v.Mul(v, d)
}

// bound reads an inclusive and an exclusive bound and keeps the tighter; side is 1 for lower bounds, -1 for upper.
func bound(s map[string]any, inclusive, exclusive string, side int) (at *big.Rat, open bool) {
	in, ex := rational(s, inclusive), rational(s, exclusive)
	if ex != nil && (in == nil || ex.Cmp(in)*side >= 0) {
		return ex, true
	}
	return in, false
}

// rational reads a number of moderate size; nil if absent or outlandish.
func rational(s map[string]any, key string) *big.Rat {
	n, ok := s[key].(json.Number)
	if !ok || len(n) > 64 {
		return nil
	}
	if f, err := n.Float64(); err != nil || math.Abs(f) > 1e300 {
		return nil
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok || key == "multipleOf" && r.Sign() <= 0 {
		return nil
	}
	return r
}

// count reads a length keyword; -1 if absent.
func count(s map[string]any, key string) int {
	n, ok := s[key].(json.Number)
	if !ok {
		return -1
	}
	i, err := strconv.Atoi(string(n))
	if err != nil {
		return -1
	}
	return i
}

// resolve follows a reference inside the schema: # or a JSON pointer #/….
func (m *maker) resolve(ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	at := m.root
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "" {
			break
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch node := at.(type) {
		case map[string]any:
			at, ok = node[step]
		case []any:
			i, err := strconv.Atoi(step)
			if ok = err == nil && i >= 0 && i < len(node); ok {
				at = node[i]
			}
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	return at, true
}

// merge lays schema b over a: properties and required are joined, other keywords of b win.
func merge(a, b any) any {
	am, ok := a.(map[string]any)
	if !ok {
		return b
	}
	bm, ok := b.(map[string]any)
	if !ok {
		if b == false {
			return false
		}
		return a
	}
	out := without(am, "")
	for k, v := range bm {
		switch old := out[k].(type) {
		case map[string]any:
			if vm, ok := v.(map[string]any); ok && k == "properties" {
				joined := without(old, "")
				for name, p := range vm {
					joined[name] = p
				}
				v = joined
			}
		case []any:
			if vl, ok := v.([]any); ok && k == "required" {
				v = append(slices.Clip(old), slices.DeleteFunc(slices.Clone(vl), func(x any) bool { return slices.Contains(old, x) })...)
			}
		}
		out[k] = v
	}
	return out
}

// without is a shallow copy less one key.
func without(m map[string]any, key string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}
