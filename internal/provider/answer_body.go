package provider

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"homeport/internal/openai"
)

// NeedsWhole reports whether a whole body must be in memory for [Answer.Body]. When it need not, the caller may stream
// it on as it is, after [Answer.Peek] at its first bytes, and give its last bytes to [Answer.Tail].
func (a *Answer) NeedsWhole() bool {
	switch {
	case a.opt.Stream, a.opt.ReencodeBase64, a.opt.SchemaEmulated != nil, a.opt.LegacyFunctions, a.rules.Model == "client", len(a.rules.Flags) > 0, len(a.rules.Drop) > 0:
		return true
	}
	// Vectors have one shape everywhere and may be tens of megabytes; of the rest only a missing model name would be filled in.
	return !a.rules.Plain && a.opt.Endpoint != openai.Embeddings
}

// Body takes a whole answer to a request that was not streamed. out aliases body where nothing changed.
func (a *Answer) Body(body []byte) (out []byte, err *openai.Error) {
	body = bytes.TrimLeft(body, " \t\r\n") // DeepSeek keeps the connection open with blank lines
	if !validJSON(body) || body[0] != '{' {
		d, said := readFailure(body, false)
		if !said {
			d = &failure{code: "invalid_body"}
		}
		return nil, a.fail(d)
	}
	t := &reading{a: a, raw: body}
	t.read()
	if d := t.failure(false); d != nil {
		return nil, a.fail(d)
	}
	if c := t.flags(t.top); c != "" {
		return nil, a.failClass(c, "")
	}
	top := openai.NewPatch(openai.Span{End: len(body)}, t.top)
	t.identity(top)
	t.dropRuled(top)
	if a.opt.Endpoint == openai.Embeddings {
		if !t.has("data") {
			return nil, a.fail(&failure{code: "invalid_body"})
		}
		t.embeddings()
	} else {
		elements := openai.Elements(body, t.spanOf(t.choices))
		if len(elements) == 0 {
			return nil, a.fail(&failure{code: "no_choices"})
		}
		for i, e := range elements {
			if c := t.choice(e, int64(i)); c != "" {
				return nil, a.failClass(c, "")
			}
		}
	}
	if t.value(t.usage_) != nil {
		if u, ok := a.readUsage(body, t.spanOf(t.usage_)); ok {
			if len(u) != t.spanOf(t.usage_).Len() {
				top.Set("usage", u)
			}
		}
	} else if a.figures != nil {
		top.Set("usage", a.figures)
	}
	t.finishEdits(top)
	out = body
	if len(t.edits) > 0 {
		out = openai.Apply(make([]byte, 0, len(body)+256), body, t.edits)
	}
	if a.opt.SchemaEmulated != nil {
		return a.checkBody(out)
	}
	return out, nil
}

// Peek looks at the first bytes of a whole body with status 200 for a failure in place of an answer.
func (a *Answer) Peek(head []byte) *openai.Error {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 {
		return nil
	}
	if validJSON(head) {
		if d, ok := readFailure(head, false); ok {
			return a.fail(d)
		}
		return nil
	}
	if head[0] != '{' {
		return a.fail(&failure{code: "invalid_body"})
	}
	// Cut off: a failure is short, so an answer that does not fit is one only if its first members say so.
	for _, name := range [...]string{`"error"`, `"error_code"`} {
		if bytes.HasPrefix(bytes.TrimLeft(head[1:], " \t\r\n"), []byte(name)) {
			rest := bytes.TrimLeft(head[1+bytes.Index(head[1:], []byte(name))+len(name):], " \t\r\n:")
			if len(rest) > 0 && !bytes.HasPrefix(rest, []byte("null")) && rest[0] != '0' {
				return a.fail(&failure{})
			}
		}
	}
	return nil
}

// embeddings turns vectors of numbers into base64 of little-endian 32-bit floats, where the client asked for that.
func (t *reading) embeddings() {
	if !t.a.opt.ReencodeBase64 {
		return
	}
	data, _ := openai.Member(t.raw, openai.Span{End: len(t.raw)}, "data")
	for _, e := range openai.Elements(t.raw, data) {
		v, ok := openai.Member(t.raw, e, "embedding")
		if !ok || t.raw[v.Start] != '[' {
			continue
		}
		if b, ok := packFloats(v.Of(t.raw)); ok {
			t.edits = append(t.edits, openai.Edit{Span: v, New: b})
			t.a.note("embedding:encoded")
		}
	}
}

// packFloats encodes a JSON array of numbers as a JSON string; false when an element is no number.
func packFloats(array []byte) ([]byte, bool) {
	var floats []byte
	for _, e := range bytes.Split(bytes.Trim(array, "[] \t\r\n"), []byte(",")) {
		f, err := strconv.ParseFloat(string(bytes.TrimSpace(e)), 32)
		if err != nil {
			return nil, false
		}
		floats = binary.LittleEndian.AppendUint32(floats, math.Float32bits(float32(f)))
	}
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(floats))+2)
	out = base64.StdEncoding.AppendEncode(append(out, '"'), floats)
	return append(out, '"'), true
}

// Single takes a whole JSON body that came in answer to a streamed request: a failure, or an answer that becomes one event.
// [Answer.Finish] then gives the rest, as after [DONE].
func (a *Answer) Single(body []byte) (event []byte, err *openai.Error) {
	out, emit, _, err := a.Event("", body)
	if err != nil {
		return nil, err
	}
	if !emit && !a.done {
		return nil, a.fail(&failure{code: "invalid_body"})
	}
	a.done = true
	return bytes.Clone(out), nil
}
