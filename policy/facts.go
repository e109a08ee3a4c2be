package policy

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Provenance says where a fact's value comes from.
type Provenance uint8

// Assumed: the schema's default. Declared: somebody answered for it, in the configuration or a record. Measured: seen
// by Homeport itself in this request.
const (
	Assumed Provenance = iota
	Declared
	Measured
)

// String gives the word used in events.
func (p Provenance) String() string {
	switch p {
	case Declared:
		return "declared"
	case Measured:
		return "measured"
	}
	return "assumed"
}

// value is one fact's value. Which members count depends on the fact's type: n holds a bool, an int, the bits of a
// number or a day; on and until (days, 0: open) belong to Done.
type value struct {
	known     bool
	from      Provenance
	on, until int32
	n         int64
	s         string
	list      []string
}

// same says whether two values of one fact are equal, provenance aside.
func (v *value) same(o *value) bool {
	return v.known == o.known && v.n == o.n && v.s == o.s && v.on == o.on && v.until == o.until && slices.Equal(v.list, o.list)
}

// native is the value as a JSON encoder would take it; nil when unknown.
func (v value) native(t Type) any {
	if !v.known {
		return nil
	}
	switch t {
	case Bool:
		return v.n != 0
	case Int:
		return v.n
	case Number:
		return math.Float64frombits(uint64(v.n))
	case List, Places:
		return slices.Clone(v.list)
	case Done:
		if v.on == 0 && v.until == 0 {
			return v.n != 0
		}
		m := map[string]any{"state": v.n != 0}
		if v.on != 0 {
			m["on"] = dayString(v.on)
		}
		if v.until != 0 {
			m["until"] = dayString(v.until)
		}
		return m
	}
	return v.s
}

// cel is the value as CEL sees it on the given day (0: day not known); nil is unknown.
func (v value) cel(t Type, day int32) ref.Val {
	if !v.known {
		return nil
	}
	switch t {
	case Bool:
		return types.Bool(v.n != 0)
	case Int:
		return types.Int(v.n)
	case Number:
		return types.Double(math.Float64frombits(uint64(v.n)))
	case List, Places:
		return types.NewStringList(types.DefaultTypeAdapter, v.list)
	case Done:
		if v.n == 0 || (v.on == 0 && v.until == 0) {
			return types.Bool(v.n != 0)
		}
		if day == 0 {
			return nil // in date or not cannot be said without a day
		}
		return types.Bool((v.on == 0 || v.on <= day) && (v.until == 0 || day <= v.until))
	}
	return types.String(v.s)
}

// Base is a full vector of facts, frozen: what is known of one app and one target before a request is read. It is
// immutable and safe for concurrent use.
type Base struct {
	schema *Schema
	seq    uint64 // unique within the schema: names this vector in a memory's key
	vals   []value
	refs   []ref.Val // as CEL sees them, dated Done facts left nil
	json   [][]byte  // one member each, ready to be joined
}

// finish fills what is derived from vals.
func (b *Base) finish() *Base {
	b.seq = b.schema.seq.Add(1)
	b.refs = make([]ref.Val, len(b.vals))
	b.json = make([][]byte, len(b.vals))
	for i := range b.vals {
		f := &b.schema.facts[i]
		b.refs[i] = b.vals[i].cel(f.Type, 0)
		b.json[i] = appendMember(nil, f, b.vals[i])
	}
	return b
}

// Facts starts a vector that equals the base.
func (b *Base) Facts() *Facts { return &Facts{base: b} }

// Facts is a vector of facts under judgement: a base and what differs from it. It belongs to one goroutine.
type Facts struct {
	base  *Base
	dirty [2]uint64 // which facts are in over
	over  []override

	key    []byte  // a memory's key under construction, kept for its storage
	tail   []byte  // what over contributes to a key
	tailOf *Engine // whose thresholds made tail; nil: tail is stale
}

type override struct {
	id ID
	v  value
}

// New gives facts at their assumed values; those without one are unknown.
func (s *Schema) New() *Facts { return s.base.Facts() }

// FromMap sets facts from nested maps as YAML and JSON decode them ({service: {audience: internal}}) or from full
// names, on top of the assumed values. Null makes a fact unknown.
func (s *Schema) FromMap(m map[string]any, from Provenance) (*Facts, error) {
	f := s.New()
	if err := f.SetMap(m, from); err != nil {
		return nil, err
	}
	return f, nil
}

// SetMap sets facts as [Schema.FromMap] does.
func (f *Facts) SetMap(m map[string]any, from Provenance) error { return f.setMap("", m, from) }

func (f *Facts) setMap(prefix string, m map[string]any, from Provenance) error {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // so that of several errors always the same one is reported
	for _, k := range keys {
		name, v := prefix+k, m[k]
		id, ok := f.base.schema.ID(name)
		if ok {
			if err := f.Set(id, v, from); err != nil {
				return err
			}
			continue
		}
		sub, isMap := v.(map[string]any)
		if !isMap {
			return f.base.schema.noSuchFact(name)
		}
		if err := f.setMap(name+".", sub, from); err != nil {
			return err
		}
	}
	return nil
}

// Schema is the schema the facts were made from.
func (f *Facts) Schema() *Schema { return f.base.schema }

// Rebase puts another base under the facts; what was set since stays. It is how one request's measurements are
// judged for several targets without copying anything.
func (f *Facts) Rebase(b *Base) { f.base = b }

// Reset drops what was set and puts the base under the facts, keeping the memory for reuse.
func (f *Facts) Reset(b *Base) {
	f.base, f.dirty, f.tailOf = b, [2]uint64{}, nil
	f.over = f.over[:0]
}

// Clone gives an independent copy.
func (f *Facts) Clone() *Facts {
	return &Facts{base: f.base, dirty: f.dirty, over: slices.Clone(f.over)}
}

// Freeze makes a base of the facts as they are.
func (f *Facts) Freeze() *Base {
	b := &Base{schema: f.base.schema, vals: slices.Clone(f.base.vals)}
	for _, o := range f.over {
		b.vals[o.id] = o.v
	}
	return b.finish()
}

// Set gives a fact a value as decoded from YAML or JSON (bool, int, float64, string, []any, map for done facts; nil
// is unknown). The error names the fact and what is allowed.
func (f *Facts) Set(id ID, v any, from Provenance) error {
	if int(id) >= len(f.base.schema.facts) {
		return fmt.Errorf("set fact: no fact with handle %d", id)
	}
	if v == nil {
		f.put(id, value{from: from})
		return nil
	}
	fact := &f.base.schema.facts[id]
	val, err := fact.parse(v)
	if err != nil {
		return fmt.Errorf("fact %s: %w", fact.ID, err)
	}
	val.from = from
	f.put(id, val)
	return nil
}

// SetName is [Facts.Set] by full name.
func (f *Facts) SetName(name string, v any, from Provenance) error {
	id, ok := f.base.schema.ID(name)
	if !ok {
		return f.base.schema.noSuchFact(name)
	}
	return f.Set(id, v, from)
}

// Value is a fact's value parsed beforehand, for a fact that is the same over many requests, as the day.
type Value struct {
	id ID
	v  value
}

// Prepare parses a value as [Facts.Set] takes it.
func (s *Schema) Prepare(id ID, v any) (Value, error) {
	if int(id) >= len(s.facts) {
		return Value{}, fmt.Errorf("prepare fact: no fact with handle %d", id)
	}
	if v == nil {
		return Value{id: id}, nil
	}
	val, err := s.facts[id].parse(v)
	if err != nil {
		return Value{}, fmt.Errorf("fact %s: %w", s.facts[id].ID, err)
	}
	return Value{id, val}, nil
}

// Put sets a prepared value of the same schema without parsing or allocating.
func (f *Facts) Put(v Value, from Provenance) {
	v.v.from = from
	f.put(v.id, v.v)
}

// SetInt sets a fact of type int without allocating; a negative count is clamped to 0.
// A handle of another type makes the fact unknown: the strict side.
func (f *Facts) SetInt(id ID, n int64, from Provenance) {
	f.put(id, value{known: f.base.schema.facts[id].Type == Int, from: from, n: max(n, 0)})
}

// SetBool sets a fact of type bool without allocating. A handle of another type makes the fact unknown.
func (f *Facts) SetBool(id ID, b bool, from Provenance) {
	v := value{known: f.base.schema.facts[id].Type == Bool, from: from}
	if b {
		v.n = 1
	}
	f.put(id, v)
}

// Unknown makes a fact unknown, whatever is assumed of it.
func (f *Facts) Unknown(id ID) { f.put(id, value{}) }

func (f *Facts) put(id ID, v value) {
	f.tailOf = nil
	w, bit := id>>6, uint64(1)<<(id&63)
	if f.dirty[w]&bit != 0 {
		for i := range f.over {
			if f.over[i].id == id {
				f.over[i].v = v
				return
			}
		}
	}
	f.dirty[w] |= bit
	f.over = append(f.over, override{id, v})
}

// get gives a fact's value. It does not copy for the caller's sake: treat as read-only.
func (f *Facts) get(id ID) *value {
	if f.dirty[id>>6]&(1<<(id&63)) != 0 {
		for i := range f.over {
			if f.over[i].id == id {
				return &f.over[i].v
			}
		}
	}
	return &f.base.vals[id]
}

// Value gives a fact as a JSON encoder would take it (nil: unknown) and where it comes from.
func (f *Facts) Value(id ID) (any, Provenance) {
	v := f.get(id)
	return v.native(f.base.schema.facts[id].Type), v.from
}

// ascending calls fn for each overriding fact in the schema's order.
func (f *Facts) ascending(fn func(id ID, v *value)) {
	for w, word := range f.dirty {
		for word != 0 {
			id := ID(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
			fn(id, f.get(id))
		}
	}
}
