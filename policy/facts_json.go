package policy

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"strconv"
)

// appendMember writes `"name":{"value":…,"from":"…"}`. An unknown fact has value null and from "unknown".
func appendMember(dst []byte, f *Fact, v value) []byte {
	dst, _ = jsontext.AppendQuote(dst, f.ID)
	dst = append(dst, `:{"value":`...)
	switch {
	case v.known && f.Type == Bool: // what a request measures: written without allocating
		dst = strconv.AppendBool(dst, v.n != 0)
	case v.known && f.Type == Int:
		dst = strconv.AppendInt(dst, v.n, 10)
	case !v.known:
		dst = append(dst, "null"...)
	default:
		raw, err := json.Marshal(v.native(f.Type), json.Deterministic(true))
		if err != nil { // only strings that are not UTF-8 can fail
			raw = []byte("null")
		}
		dst = append(dst, raw...)
	}
	from := "unknown"
	if v.known {
		from = v.from.String()
	}
	dst = append(dst, `,"from":"`...)
	dst = append(dst, from...)
	return append(dst, `"}`...)
}

// AppendJSON writes the facts as one JSON object in the schema's order, {"service.audience":{"value":"internal",
// "from":"declared"},…}. With brief set, facts at the schema's own assumption are left out: the pack's digest implies them.
func (f *Facts) AppendJSON(dst []byte, brief bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range f.base.vals {
		id := ID(i)
		over := f.dirty[id>>6]&(1<<(id&63)) != 0
		v := f.get(id)
		if brief && (v.from == Assumed || !v.known) && v.same(&f.base.schema.base.vals[i]) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if over {
			dst = appendMember(dst, &f.base.schema.facts[i], *v)
		} else {
			dst = append(dst, f.base.json[i]...)
		}
	}
	return append(dst, '}')
}

// MarshalJSON writes all facts.
func (f *Facts) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil, false), nil }

// ParseFacts reads what [Facts.AppendJSON] wrote, in either form, so that a decision can be judged again.
func (s *Schema) ParseFacts(raw []byte) (*Facts, error) {
	var m map[string]struct {
		Value any    `json:"value"`
		From  string `json:"from"`
	}
	if err := json.Unmarshal(raw, &m, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("parse facts: %w", err)
	}
	f := s.New()
	for name, e := range m {
		id, ok := s.ID(name)
		if !ok {
			return nil, fmt.Errorf("parse facts: %w", s.noSuchFact(name))
		}
		var from Provenance
		switch e.From {
		case "assumed":
		case "declared":
			from = Declared
		case "measured":
			from = Measured
		case "unknown":
			if e.Value != nil {
				return nil, fmt.Errorf("parse facts: %s is unknown and has a value", name)
			}
		default:
			return nil, fmt.Errorf("parse facts: %s: unknown provenance", name)
		}
		if err := f.Set(id, e.Value, from); err != nil {
			return nil, fmt.Errorf("parse facts: %w", err)
		}
	}
	return f, nil
}
