package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cel.dev/cel-go/cel"
)

// ID is a fact's place in its [Schema]: an index, the same for all facts made from one schema.
type ID uint8

// maxFacts bounds the schema: overrides are kept in a two-word bit set.
const maxFacts = 128

// maxList bounds the members of a list fact, and with it the cost of a condition over one.
const maxList = 64

// Type is what a fact's value may be.
type Type uint8

// The types of facts. A Place is an ISO 3166-1 alpha-2 code held upper case; Done is a thing done, with the days
// from and until which it holds.
const (
	Bool Type = iota
	Int
	Number
	String
	Place
	List
	Places
	Date
	Done
)

var typeNames = map[string]Type{"bool": Bool, "int": Int, "number": Number, "string": String, "place": Place,
	"list": List, "places": Places, "date": Date, "done": Done}

// String gives the name used in facts.yaml.
func (t Type) String() string {
	for n, v := range typeNames {
		if v == t {
			return n
		}
	}
	return "unknown type"
}

// Text is a sentence in both languages.
type Text struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// Fact is one entry of the schema: what rules may ask for, and what holds when nobody said.
type Fact struct {
	ID     string
	Type   Type
	Values []string // the enumeration; empty: free
	Open   bool     // other values may be given, but rules name only those in Values
	Assume any      // the value that holds when the fact is not given; nil: unknown
	Why    Text
	By     []string // who can supply it: operator, app, provider, gateway, counsel
}

// factYAML is the form of facts.yaml.
type factYAML struct {
	ID      string   `yaml:"id"`
	Type    string   `yaml:"type"`
	Values  []string `yaml:"values"`
	Open    bool     `yaml:"open"`
	Assume  any      `yaml:"assume"`
	Unknown bool     `yaml:"unknown"`
	Why     Text     `yaml:"why"`
	By      []string `yaml:"by"`
}

var suppliers = []string{"operator", "app", "provider", "gateway", "counsel"}

// Schema is the typed list of facts. It is immutable and safe for concurrent use.
type Schema struct {
	facts []Fact
	index map[string]ID
	base  *Base         // every fact at its assumed value
	seq   atomic.Uint64 // numbers the bases, so that a memory's key can name one in eight bytes
}

// readFacts parses facts.yaml. Errors name file, line and column.
func readFacts(file string, raw []byte) ([]located[factYAML], error) {
	var doc struct {
		Facts []located[factYAML] `yaml:"facts"`
	}
	err := decodeYAML(file, raw, &doc)
	return doc.Facts, err
}

// newSchema checks the entries of facts.yaml.
func newSchema(file string, facts []located[factYAML]) (*Schema, error) {
	s := &Schema{index: map[string]ID{}}
	if len(facts) == 0 || len(facts) > maxFacts {
		return nil, fmt.Errorf("%s: %d facts, want 1 to %d", file, len(facts), maxFacts)
	}
	for _, l := range facts {
		y := l.V
		fail := func(format string, a ...any) error {
			return fmt.Errorf("%s:%d:%d: fact %q: %w", file, l.Line, l.Col, y.ID, fmt.Errorf(format, a...))
		}
		t, ok := typeNames[y.Type]
		switch {
		case !ok:
			return nil, fail("unknown type %q", y.Type)
		case y.ID == "":
			return nil, fail("has no id")
		case y.Why.ZH == "" || y.Why.EN == "":
			return nil, fail("why is missing in zh or en")
		case len(y.By) == 0:
			return nil, fail("by (who can supply it) is missing")
		case y.Unknown == (y.Assume != nil):
			return nil, fail("needs exactly one of assume and unknown: true")
		case len(y.Values) > 0 && t != String && t != List:
			return nil, fail("only a string or a list has values")
		}
		for _, b := range y.By {
			if !slices.Contains(suppliers, b) {
				return nil, fail("by: %q is none of %s", b, strings.Join(suppliers, ", "))
			}
		}
		if _, dup := s.index[y.ID]; dup {
			return nil, fail("is declared twice")
		}
		f := Fact{ID: y.ID, Type: t, Values: y.Values, Open: y.Open, Assume: y.Assume, Why: y.Why, By: y.By}
		if f.Assume != nil {
			if _, err := f.parse(f.Assume); err != nil {
				return nil, fail("assume: %w", err)
			}
		}
		s.index[y.ID] = ID(len(s.facts))
		s.facts = append(s.facts, f)
	}
	b := &Base{schema: s, vals: make([]value, len(s.facts))}
	for i := range s.facts {
		if a := s.facts[i].Assume; a != nil {
			v, _ := s.facts[i].parse(a) // parsed above
			v.from = Assumed
			b.vals[i] = v
		}
	}
	s.base = b.finish()
	return s, nil
}

// ID gives the handle of a fact by its full name, as "data.pi_persons_ytd"; ok is false for a name the schema lacks.
func (s *Schema) ID(name string) (id ID, ok bool) { id, ok = s.index[name]; return id, ok }

// Facts lists the schema in its order.
func (s *Schema) Facts() []Fact { return slices.Clone(s.facts) }

// Fact gives the entry of a name; ok is false for a name the schema lacks.
func (s *Schema) Fact(name string) (Fact, bool) {
	id, ok := s.index[name]
	if !ok {
		return Fact{}, false
	}
	return s.facts[id], true
}

// Check says whether a value, as decoded from YAML or JSON, may be given to a fact. Null is allowed and means unknown.
// The error names the fact and what is allowed, never the value's neighbours.
func (s *Schema) Check(name string, v any) error {
	id, ok := s.index[name]
	if !ok {
		return s.noSuchFact(name)
	}
	if v == nil {
		return nil
	}
	if _, err := s.facts[id].parse(v); err != nil {
		return fmt.Errorf("fact %s: %w", name, err)
	}
	return nil
}

// Assumption is a fact that has a value without anybody having given one.
type Assumption struct {
	Fact  string `json:"fact"`
	Value any    `json:"value"`
}

// Assumed lists what holds when nothing is said, in the schema's order.
func (s *Schema) Assumed() []Assumption {
	var out []Assumption
	for i, f := range s.facts {
		if f.Assume != nil {
			out = append(out, Assumption{f.ID, s.base.vals[i].native(f.Type)})
		}
	}
	return out
}

func (s *Schema) noSuchFact(name string) error {
	if near := nearest(name, s.names()); near != "" {
		return fmt.Errorf("no fact %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("no fact %q", name)
}

func (s *Schema) names() []string {
	n := make([]string, len(s.facts))
	for i := range s.facts {
		n[i] = s.facts[i].ID
	}
	return n
}

// nearest finds the one of names that differs from want by at most two edits.
func nearest(want string, names []string) string {
	best, dist := "", 3
	for _, n := range names {
		if d := editDistance(want, n); d < dist {
			best, dist = n, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, prev+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// celType is the type of the fact's CEL variable.
func (f *Fact) celType() *cel.Type {
	switch f.Type {
	case Bool, Done:
		return cel.BoolType
	case Int:
		return cel.IntType
	case Number:
		return cel.DoubleType
	case List, Places:
		return cel.ListType(cel.StringType)
	}
	return cel.StringType
}

// parse reads a decoded YAML or JSON value; the result has known set and no provenance.
func (f *Fact) parse(v any) (value, error) {
	out := value{known: true}
	wrong := func() (value, error) { return value{}, fmt.Errorf("want a %s, have %T", f.Type, v) }
	switch f.Type {
	case Bool:
		b, ok := v.(bool)
		if !ok {
			return value{}, fmt.Errorf("want true or false, have %T", v)
		}
		if b {
			out.n = 1
		}
	case Int:
		n, ok := asInt(v)
		if !ok {
			return value{}, fmt.Errorf("want a whole number, have %T", v)
		}
		if n < 0 {
			return value{}, fmt.Errorf("want a number of 0 or more")
		}
		out.n = n
	case Number:
		x, ok := asFloat(v)
		if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
			return wrong()
		}
		out.n = int64(math.Float64bits(x + 0)) // + 0 folds the negative zero
	case String, Place:
		s, ok := v.(string)
		if !ok {
			return wrong()
		}
		s, err := f.member(s)
		if err != nil {
			return value{}, err
		}
		out.s = s
	case List, Places:
		items, ok := asStrings(v)
		if !ok {
			return wrong()
		}
		if len(items) == 0 {
			return value{}, fmt.Errorf("an empty list says nothing; leave it out or give null for unknown")
		}
		if len(items) > maxList {
			return value{}, fmt.Errorf("want at most %d members", maxList)
		}
		for _, it := range items {
			s, err := f.member(it)
			if err != nil {
				return value{}, err
			}
			if !slices.Contains(out.list, s) {
				out.list = append(out.list, s)
			}
		}
		slices.Sort(out.list)
	case Date:
		n, err := asDay(v)
		if err != nil {
			return value{}, err
		}
		out.n, out.s = int64(n), dayString(n)
	case Done:
		return parseDone(v)
	}
	return out, nil
}

// member checks one string against the enumeration or the form of a place.
func (f *Fact) member(s string) (string, error) {
	if f.Type == Place || f.Type == Places {
		u := strings.ToUpper(s)
		if len(u) != 2 || u[0] < 'A' || u[0] > 'Z' || u[1] < 'A' || u[1] > 'Z' {
			return "", fmt.Errorf("want a two-letter ISO 3166-1 code, as CN or SE")
		}
		return u, nil
	}
	if len(s) > 256 {
		return "", fmt.Errorf("want at most 256 bytes")
	}
	if len(f.Values) > 0 && !f.Open && !slices.Contains(f.Values, s) {
		hint := ""
		if near := nearest(s, f.Values); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return "", fmt.Errorf("want one of %s%s", strings.Join(f.Values, ", "), hint)
	}
	return s, nil
}

// parseDone reads true, false, a day (done from that day on), or {state, on, until}.
func parseDone(v any) (value, error) {
	out := value{known: true}
	switch x := v.(type) {
	case bool:
		if x {
			out.n = 1
		}
		return out, nil
	case map[string]any:
		state := true
		for k, e := range x {
			var err error
			switch k {
			case "state":
				b, ok := e.(bool)
				if !ok {
					return value{}, fmt.Errorf("state: want true or false, have %T", e)
				}
				state = b
			case "on":
				out.on, err = asDay(e)
			case "until":
				out.until, err = asDay(e)
			default:
				err = fmt.Errorf("no such member; want state, on, until")
			}
			if err != nil {
				return value{}, fmt.Errorf("%s: %w", k, err)
			}
		}
		if out.on != 0 && out.until != 0 && out.until < out.on {
			return value{}, fmt.Errorf("until lies before on")
		}
		if state {
			out.n = 1
		}
		return out, nil
	}
	day, err := asDay(v)
	if err != nil {
		return value{}, fmt.Errorf("want true, false, a day, or {state, on, until}")
	}
	out.n, out.on = 1, day
	return out, nil
}

func asInt(v any) (int64, bool) {
	switch x := v.(type) {
	case int:
		return int64(x), true
	case int64:
		return x, true
	case int32:
		return int64(x), true
	case uint64:
		return int64(x), x <= math.MaxInt64
	case uint32:
		return int64(x), true
	case float64: // a JSON number
		return int64(x), x == math.Trunc(x) && math.Abs(x) <= 1<<53
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	if x, ok := v.(float64); ok {
		return x, true
	}
	n, ok := asInt(v)
	return float64(n), ok
}

func asStrings(v any) ([]string, bool) {
	switch x := v.(type) {
	case string:
		return []string{x}, true
	case []string:
		return x, true
	case []any:
		out := make([]string, len(x))
		for i, e := range x {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out[i] = s
		}
		return out, true
	}
	return nil, false
}

// asDay reads a day as "2026-11-22" or a time, as days since 1970-01-01.
func asDay(v any) (int32, error) {
	var t time.Time
	switch x := v.(type) {
	case time.Time:
		t = x
	case string:
		var err error
		if t, err = time.Parse(time.DateOnly, x); err != nil {
			return 0, fmt.Errorf("want a day as 2026-11-22")
		}
	default:
		return 0, fmt.Errorf("want a day as 2026-11-22, have %T", v)
	}
	y, m, d := t.Date() // the day as written, in whatever zone it was given
	if y < 1971 || y > 9999 {
		return 0, fmt.Errorf("want a day between 1971 and 9999")
	}
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400), nil
}

func dayString(d int32) string {
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}
