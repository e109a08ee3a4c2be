package openai

import (
	"bytes"
	"cmp"
	"encoding/json/jsontext"
	"slices"
)

// Span is a half-open range of bytes in a raw body.
type Span struct{ Start, End int }

// Len is the number of bytes in the span.
func (s Span) Len() int { return s.End - s.Start }

// Of returns the bytes of the span in raw.
func (s Span) Of(raw []byte) []byte { return raw[s.Start:s.End] }

// Edit replaces the bytes of Span by New. An empty Span inserts.
type Edit struct {
	Span
	New []byte
}

// Apply appends raw with edits spliced in to dst. Edits may come in any order but must not overlap; inserts at one place
// keep their order. Bytes outside the edits are copied untouched.
func Apply(dst, raw []byte, edits []Edit) []byte {
	if !slices.IsSortedFunc(edits, byStart) {
		edits = slices.Clone(edits)
		slices.SortStableFunc(edits, byStart)
	}
	at := 0
	for _, e := range edits {
		dst = append(dst, raw[at:e.Start]...)
		dst = append(dst, e.New...)
		at = e.End
	}
	return append(dst, raw[at:]...)
}

func byStart(a, b Edit) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) }

// Patch collects changes to the members of one JSON object and turns them into edits.
// Commas are taken care of; members not named stay byte for byte as they are.
type Patch struct {
	obj    Span
	fields []Field
	ops    []patchOp
	adds   []patchAdd
}

type patchOp struct {
	field int // index into fields
	drop  bool
	name  string // new name, when renamed
	value []byte // new value, when set
}

type patchAdd struct {
	name  string
	value []byte
}

// NewPatch starts a patch of the object at obj, whose members are fields in order of appearance.
func NewPatch(obj Span, fields []Field) *Patch { return &Patch{obj: obj, fields: fields} }

func (p *Patch) op(name string) *patchOp {
	for i, f := range p.fields {
		if f.Name != name {
			continue
		}
		for j := range p.ops {
			if p.ops[j].field == i {
				return &p.ops[j]
			}
		}
		p.ops = append(p.ops, patchOp{field: i})
		return &p.ops[len(p.ops)-1]
	}
	return nil
}

// Set gives the member name the raw JSON value, adding it when it is absent.
func (p *Patch) Set(name string, value []byte) {
	if o := p.op(name); o != nil {
		o.value, o.drop = value, false
		return
	}
	for i := range p.adds {
		if p.adds[i].name == name {
			p.adds[i].value = value
			return
		}
	}
	p.adds = append(p.adds, patchAdd{name, value})
}

// Drop removes the member name, if present.
func (p *Patch) Drop(name string) {
	if o := p.op(name); o != nil {
		o.drop = true
		return
	}
	p.adds = slices.DeleteFunc(p.adds, func(a patchAdd) bool { return a.name == name })
}

// Rename gives the member from the name to, keeping its value.
func (p *Patch) Rename(from, to string) {
	if o := p.op(from); o != nil {
		o.name = to
	}
}

// Empty reports whether nothing changes.
func (p *Patch) Empty() bool { return len(p.ops) == 0 && len(p.adds) == 0 }

// Edits appends the edits of the patch to dst, in order and without overlap.
func (p *Patch) Edits(dst []Edit) []Edit {
	dropped := make([]bool, len(p.fields))
	left := len(p.fields)
	for _, o := range p.ops {
		if o.drop {
			dropped[o.field] = true
			left--
		}
	}
	// A dropped member takes the comma before it along; a run of dropped members at the start takes the one after.
	lastKept := -1
	for i := range p.fields {
		if !dropped[i] {
			lastKept = i
			continue
		}
		j := i
		for j+1 < len(p.fields) && dropped[j+1] {
			j++
		}
		switch {
		case lastKept >= 0 && i == lastKept+1:
			dst = append(dst, Edit{Span: Span{p.fields[lastKept].Value.End, p.fields[j].Value.End}})
		case lastKept < 0 && i == 0 && j+1 < len(p.fields):
			dst = append(dst, Edit{Span: Span{p.fields[0].NameSpan.Start, p.fields[j+1].NameSpan.Start}})
		case lastKept < 0 && i == 0:
			dst = append(dst, Edit{Span: Span{p.fields[0].NameSpan.Start, p.fields[j].Value.End}})
		}
	}
	for _, o := range p.ops {
		if o.drop {
			continue
		}
		f := p.fields[o.field]
		if o.name != "" {
			dst = append(dst, Edit{Span: f.NameSpan, New: Quote(nil, o.name)})
		}
		if o.value != nil {
			dst = append(dst, Edit{Span: f.Value, New: o.value})
		}
	}
	if len(p.adds) > 0 {
		var b []byte
		for i, a := range p.adds {
			if i > 0 || left > 0 {
				b = append(b, ',')
			}
			b = append(Quote(b, a.name), ':')
			b = append(b, a.value...)
		}
		end := p.obj.End - 1
		dst = append(dst, Edit{Span: Span{end, end}, New: b})
	}
	slices.SortStableFunc(dst, byStart)
	return dst
}

// Quote appends s as a JSON string to dst. Invalid UTF-8 becomes U+FFFD.
func Quote(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		out, _ = jsontext.AppendQuote(dst, string(bytes.ToValidUTF8([]byte(s), []byte("\uFFFD"))))
	}
	return out
}

// Unquote returns the text of a raw JSON string, quotes included in raw. Without escapes the result aliases raw.
func Unquote(raw []byte) ([]byte, error) {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return jsontext.AppendUnquote(nil, raw)
}
