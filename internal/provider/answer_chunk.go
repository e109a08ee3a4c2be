package provider

import (
	"bytes"
	"encoding/json/jsontext"
	"strconv"

	"homeport/internal/openai"
)

// event reads one event in full.
func (a *Answer) event(name string, data []byte) (out []byte, emit, done bool, err *openai.Error) {
	isError := name == "error" || name == "session.error"
	if !validJSON(data) || data[0] != '{' {
		d, said := readFailure(data, isError)
		if !said {
			d = &failure{code: "invalid_event"}
		}
		return nil, false, false, a.fail(d)
	}
	if bytes.IndexByte(data, '\n') >= 0 { // an event of ours is one line
		data = bytes.Clone(data)
		v := jsontext.Value(data)
		if v.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil {
			data = v
		}
	}
	t := &reading{a: a, raw: data, stream: true, edits: a.edits[:0]}
	t.read()
	if d := t.failure(isError); d != nil {
		return a.broken(d)
	}
	emit, d, class := t.chunk()
	a.edits = t.edits[:0]
	switch {
	case d != nil:
		return a.broken(d)
	case class != "":
		return a.brokenClass(class)
	case !emit:
		return nil, false, false, nil
	}
	a.emitted = true
	t.learn()
	if len(t.edits) == 0 {
		return data, true, false, nil
	}
	a.buf = openai.Apply(a.buf[:0], data, t.edits)
	return a.buf, true, false, nil
}

// broken ends a stream on a failure. A review that stops an answer which had begun is an end, not an error: what was sent
// stands, and the choices close with content_filter.
func (a *Answer) broken(d *failure) ([]byte, bool, bool, *openai.Error) {
	err := a.fail(d)
	if a.class == ClassSafety && a.Relayed() > 0 {
		a.close()
		return nil, false, true, nil
	}
	return nil, false, false, err
}

func (a *Answer) brokenClass(c Class) ([]byte, bool, bool, *openai.Error) {
	if c == ClassSafety && a.Relayed() > 0 {
		a.close()
		return nil, false, true, nil
	}
	return nil, false, false, a.failClass(c, "")
}

func (a *Answer) close() {
	a.class, a.done, a.blocked = "", true, true
	a.note("finish_reason:content_filter")
}

// reading is the reading of one chunk or one whole body.
type reading struct {
	a      *Answer
	raw    []byte
	stream bool

	top                                         []openai.Field
	id, object, created, model, choices, usage_ int // indexes into top, -1 when absent
	edits                                       []openai.Edit
	inserted                                    []byte
}

func (t *reading) read() {
	t.top = openai.Members(t.raw, openai.Span{End: len(t.raw)})
	t.id, t.object, t.created, t.model, t.choices, t.usage_ = -1, -1, -1, -1, -1, -1
	for i, f := range t.top {
		switch f.Name {
		case "id":
			t.id = i
		case "object":
			t.object = i
		case "created":
			t.created = i
		case "model":
			t.model = i
		case "choices":
			t.choices = i
		case "usage":
			t.usage_ = i
		}
	}
}

// value is the raw value of the top-level member at index i; nil when it is absent or null.
func (t *reading) value(i int) []byte {
	if i < 0 {
		return nil
	}
	if v := t.top[i].Value.Of(t.raw); string(v) != "null" {
		return v
	}
	return nil
}

// failure looks for an error in place of, or beside, an answer.
func (t *reading) failure(isError bool) *failure {
	d := &failure{}
	if d.object(t.raw, t.top, isError) || isError {
		return d
	}
	return nil
}

// flags looks for members that are true when the answer was blocked.
func (t *reading) flags(fields []openai.Field) Class {
	if len(t.a.rules.Flags) == 0 {
		return ""
	}
	for _, f := range fields {
		if c, ok := t.a.rules.Flags[f.Name]; ok && string(f.Value.Of(t.raw)) == "true" {
			t.a.note(f.Name + ":blocked")
			return c
		}
	}
	return ""
}

// chunk collects the edits of a stream's event. emit is false for an event the client does not get.
func (t *reading) chunk() (emit bool, d *failure, c Class) {
	a := t.a
	if c := t.flags(t.top); c != "" {
		return false, nil, c
	}
	choices := t.value(t.choices)
	elements := openai.Elements(t.raw, t.spanOf(t.choices))
	hasUsage := t.value(t.usage_) != nil
	if len(elements) == 0 {
		if !hasUsage && t.has("prompt_filter_results") {
			if a.opt.Azure {
				return true, nil, ""
			}
			a.note("prompt_filter_results:dropped")
			return false, nil, ""
		}
		if !hasUsage && choices == nil {
			a.note("event:dropped") // neither choices nor usage nor error: no chunk of this API
			return false, nil, ""
		}
	}
	top := openai.NewPatch(openai.Span{End: len(t.raw)}, t.top)
	t.identity(top)
	t.dropRuled(top)
	for i, e := range elements {
		if c := t.choice(e, int64(i)); c != "" {
			return false, nil, c
		}
	}
	if hasUsage {
		if u, ok := a.readUsage(t.raw, t.spanOf(t.usage_)); ok {
			a.figures = append(a.figures[:0], u...)
		}
		if len(elements) == 0 {
			if a.figures != nil {
				top.Set("usage", bytes.Clone(a.figures))
			}
			top.Set("choices", []byte("[]"))
			t.finishEdits(top)
			a.closing = openai.Apply(a.closing[:0], t.raw, t.edits)
			return false, nil, ""
		}
		if a.opt.WantUsage {
			top.Set("usage", []byte("null"))
		} else {
			top.Drop("usage")
		}
	}
	t.finishEdits(top)
	return true, nil, ""
}

func (t *reading) finishEdits(top *openai.Patch) {
	t.edits = top.Edits(t.edits)
	if len(t.inserted) > 0 {
		at := bytes.IndexByte(t.raw, '{') + 1
		t.edits = append(t.edits, openai.Edit{Span: openai.Span{Start: at, End: at}, New: t.inserted})
	}
}

func (t *reading) spanOf(i int) openai.Span {
	if i < 0 {
		return openai.Span{}
	}
	return t.top[i].Value
}

func (t *reading) has(name string) bool {
	for _, f := range t.top {
		if f.Name == name {
			return true
		}
	}
	return false
}

func (t *reading) dropRuled(top *openai.Patch) {
	for _, name := range t.a.rules.Drop {
		if t.has(name) {
			top.Drop(name)
			t.a.note(name + ":dropped")
		}
	}
}

// identity completes and pins what names the answer: an id that never changes, object, created, model.
func (t *reading) identity(top *openai.Patch) {
	a := t.a
	put := func(at int, name string, value []byte) {
		a.note(name + ":set")
		if at >= 0 {
			top.Set(name, value)
			return
		}
		t.inserted = append(append(append(openai.Quote(t.inserted, name), ':'), value...), ',')
	}
	if a.opt.Endpoint != openai.Embeddings {
		id := t.text(t.id)
		if a.id == "" {
			a.id = id
			if a.id == "" {
				a.id = a.opt.ID
			}
		}
		if id != a.id && a.id != "" {
			put(t.id, "id", openai.Quote(nil, a.id))
		}
		if want := t.kind(); t.text(t.object) != want {
			put(t.object, "object", openai.Quote(nil, want))
		}
		if v := t.value(t.created); v != nil {
			if n, ok := count(v); ok && a.created == 0 {
				a.created = n
			}
		} else if a.created != 0 || a.opt.Created != 0 {
			if a.created == 0 {
				a.created = a.opt.Created
			}
			put(t.created, "created", strconv.AppendInt(nil, a.created, 10))
		}
	}
	model := t.text(t.model)
	switch {
	case a.opt.Model != "" && model != a.opt.Model && (model == "" || a.rules.Model == "client"):
		model = a.opt.Model
		put(t.model, "model", openai.Quote(nil, model))
	}
	a.model = model
}

// text is the top-level string at index i.
func (t *reading) text(i int) string {
	if i < 0 {
		return ""
	}
	return openai.Str(t.raw, t.top[i].Value)
}

// kind is the value of "object" that clients expect.
func (t *reading) kind() string {
	switch {
	case t.a.opt.Endpoint == openai.Completions:
		return "text_completion"
	case t.stream:
		return "chat.completion.chunk"
	}
	return "chat.completion"
}

// maxHead bounds the memory for a chunk's head.
const maxHead = 4 << 10

// learn keeps the head and tail of an event that was read in full, so that the next ones like it need not be.
func (t *reading) learn() {
	a := t.a
	at := t.spanOf(t.choices)
	if at.Len() < 3 || at.Start > maxHead || a.cumulative {
		a.head = a.head[:0]
		return
	}
	var head []openai.Edit
	tailEdited := false
	for _, e := range t.edits {
		switch {
		case e.End <= at.Start:
			head = append(head, e)
		case e.Start >= at.End:
			tailEdited = true
		}
	}
	a.head = append(a.head[:0], t.raw[:at.Start]...)
	a.newHead = nil
	if len(head) > 0 {
		a.newHead = openai.Apply(nil, a.head, head)
	}
	a.headWhole = true
	for _, i := range [...]int{t.id, t.object, t.created, t.model} {
		if i > t.choices {
			a.headWhole = false
		}
	}
	a.tail = a.tail[:0]
	if !tailEdited && len(t.raw)-at.End <= maxHead {
		a.tail = append(a.tail, t.raw[at.End:]...)
	}
}
