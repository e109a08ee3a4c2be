package audit

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
)

// ErrVersion: the event is of a later version of the schema; a newer Homeport
// reads it.
var ErrVersion = errors.New("event of an unknown version")

// Parse decodes one event strictly: unknown and repeated members, missing kind or
// id, bad UTF-8 and trailing bytes are errors. For readers; what was parsed is
// never written again in place of the original bytes.
func Parse(payload []byte) (Event, error) {
	var head prefix
	if err := json.Unmarshal(payload, &head); err != nil {
		return nil, fmt.Errorf("parse event: %w", err)
	}
	if head.V != Version {
		return nil, fmt.Errorf("parse event of version %d: %w", head.V, ErrVersion)
	}
	strict := json.RejectUnknownMembers(true)
	var ev Event
	var err error
	switch head.Kind {
	case KindDecision:
		var w struct {
			prefix
			Decision
		}
		err, ev = json.Unmarshal(payload, &w, strict), &w.Decision
	case KindAttempt:
		var w struct {
			prefix
			Attempt
		}
		err, ev = json.Unmarshal(payload, &w, strict), &w.Attempt
	case KindConclusion:
		var w struct {
			prefix
			Conclusion
		}
		err, ev = json.Unmarshal(payload, &w, strict), &w.Conclusion
	case KindAdmin:
		var w struct {
			prefix
			Admin
		}
		err, ev = json.Unmarshal(payload, &w, strict), &w.Admin
	default:
		return nil, errors.New("parse event: unknown kind")
	}
	if err != nil {
		return nil, fmt.Errorf("parse %s event: %w", head.Kind, err)
	}
	if ev.Common().ID == "" {
		return nil, fmt.Errorf("parse %s event: no id", head.Kind)
	}
	return ev, nil
}

// prefix is the members that say how to read the rest.
type prefix struct {
	V    int  `json:"v"`
	Kind Kind `json:"kind"`
}

// Peek gives kind, id and ref (empty but for attempts and conclusions) of an
// event without parsing the rest, from the fixed order in which this package
// writes; ok is false for anything else, and then only Parse can tell. The
// results share payload's memory.
func Peek(payload []byte) (kind Kind, id, ref []byte, ok bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(`{"v":1,"kind":"`))
	if !ok {
		return "", nil, nil, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","id":"`))
	if !ok {
		return "", nil, nil, false
	}
	switch string(name) {
	case string(KindDecision):
		kind = KindDecision
	case string(KindAttempt):
		kind = KindAttempt
	case string(KindConclusion):
		kind = KindConclusion
	case string(KindAdmin):
		kind = KindAdmin
	default:
		return "", nil, nil, false
	}
	id, rest, ok = cutPlain(rest)
	if !ok {
		return "", nil, nil, false
	}
	if kind == KindAttempt || kind == KindConclusion {
		if rest, ok = bytes.CutPrefix(rest, []byte(`,"ref":"`)); !ok {
			return "", nil, nil, false
		}
		if ref, _, ok = cutPlain(rest); !ok {
			return "", nil, nil, false
		}
	}
	return kind, id, ref, true
}

// cutPlain cuts a string's content off before its closing quotation mark; ok is
// false if it has escapes.
func cutPlain(b []byte) (content, rest []byte, ok bool) {
	i := bytes.IndexAny(b, `"\`)
	if i < 0 || b[i] == '\\' {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

// UnmarshalJSONFrom reads the facts object in its order.
func (f *Facts) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*f = Facts{}
	return readObject(dec, func(name string) error {
		var member struct {
			Value *Value     `json:"value"`
			From  Provenance `json:"from"`
		}
		if err := json.UnmarshalDecode(dec, &member, json.RejectUnknownMembers(true)); err != nil {
			return err
		}
		if member.From == "" {
			return errors.New("fact without provenance")
		}
		fact := Fact{Name: name, From: member.From}
		if member.Value != nil {
			fact.Value = *member.Value
		}
		*f = append(*f, fact)
		return nil
	})
}

// UnmarshalJSONFrom reads the counts object in its order.
func (c *Counts) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*c = Counts{}
	return readObject(dec, func(name string) error {
		var n int64
		if err := json.UnmarshalDecode(dec, &n); err != nil {
			return err
		}
		*c = append(*c, Count{Type: name, N: n})
		return nil
	})
}

// readObject calls member at each name of an object; it must read the value.
func readObject(dec *jsontext.Decoder, member func(name string) error) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '{' {
		return errors.New("not an object")
	}
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(tok.String()); err != nil {
			return err
		}
	}
	_, err = dec.ReadToken()
	return err
}
