package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"fmt"

	"homeport/internal/openai"
)

// toolState is one tool call of a stream.
type toolState struct {
	index int64
	id    string
	args  bool // arguments have come
}

const maxTools = 256

// toolCalls brings tool calls to OpenAI's shape: an array; in a stream each with an index, and in its first piece an id, a
// type and a name; arguments a string. It reports whether anything had to change; value is then the whole new array.
func (t *reading) toolCalls(at openai.Span, st *choiceState) (value []byte, changed bool) {
	elements := openai.Elements(t.raw, at)
	if t.raw[at.Start] == '{' {
		elements, changed = []openai.Span{at}, true
	}
	value = []byte{'['}
	for i, e := range elements {
		if t.raw[e.Start] != '{' {
			return nil, false
		}
		fields := openai.Members(t.raw, e)
		patch := openai.NewPatch(e, fields)
		var edits []openai.Edit
		id, name, index, hasIndex := "", "", int64(i), false
		var function []openai.Field
		var functionAt, args openai.Span
		for _, f := range fields {
			switch f.Name {
			case "id":
				id = openai.Str(t.raw, f.Value)
			case "index":
				index, hasIndex = count(f.Value.Of(t.raw))
			case "function":
				functionAt = f.Value
				function = openai.Members(t.raw, f.Value)
				for _, g := range function {
					switch g.Name {
					case "name":
						name = openai.Str(t.raw, g.Value)
					case "arguments":
						args = g.Value
					}
				}
			}
		}
		if !t.stream {
			hasIndex, index = true, int64(i)
		}
		if !hasIndex {
			index = st.nextTool(id, name, int64(i))
			patch.Set("index", appendInt(nil, index))
		}
		tool, first := st.tool(index)
		if first || !t.stream {
			if id == "" {
				id = t.madeID(st.index, index)
				patch.Set("id", openai.Quote(nil, id))
			}
			if !hasText(t.raw, fields, "type") {
				patch.Set("type", []byte(`"function"`))
			}
		}
		if tool.id == "" {
			tool.id = id
		}
		if args.Len() > 0 {
			tool.args = true
			switch v := args.Of(t.raw); v[0] {
			case '"':
				t.countRaw(args, st)
			default:
				text := v
				if string(v) == "null" {
					if !first {
						break // a later piece without arguments
					}
					text = nil
				} else if c := jsontext.Value(append([]byte(nil), v...)); c.Compact() == nil {
					text = c
				}
				inner := openai.NewPatch(functionAt, function)
				inner.Set("arguments", openai.Quote(nil, string(text)))
				edits = inner.Edits(edits)
				t.a.count.decoded(string(text))
			}
		} else if functionAt.Len() > 0 && t.raw[functionAt.Start] == '{' && (first || !t.stream) {
			inner := openai.NewPatch(functionAt, function)
			inner.Set("arguments", []byte(`""`))
			edits = inner.Edits(edits)
		}
		st.text = true
		edits = patch.Edits(edits)
		if len(edits) > 0 {
			changed = true
		}
		for k := range edits {
			edits[k].Start -= e.Start
			edits[k].End -= e.Start
		}
		if i > 0 {
			value = append(value, ',')
		}
		value = openai.Apply(value, e.Of(t.raw), edits)
	}
	return append(value, ']'), changed
}

// nextTool finds the call a piece without index belongs to: an id seen before, or a new call when the piece carries a new
// id or a name after arguments; else the last call goes on.
func (st *choiceState) nextTool(id, name string, n int64) int64 {
	if id != "" {
		for _, s := range st.tools {
			if s.id == id {
				return s.index
			}
		}
	}
	if len(st.tools) == 0 {
		return n
	}
	last := st.tools[len(st.tools)-1]
	if id != "" || name != "" && (last.args || n > 0) {
		return last.index + 1
	}
	return last.index
}

// tool returns the state of the call with that index, and whether this is its first piece.
func (st *choiceState) tool(index int64) (*toolState, bool) {
	for i := range st.tools {
		if st.tools[i].index == index {
			return &st.tools[i], false
		}
	}
	if len(st.tools) >= maxTools {
		return &st.tools[len(st.tools)-1], false
	}
	st.tools = append(st.tools, toolState{index: index})
	return &st.tools[len(st.tools)-1], true
}

// madeID makes an id for a call that has none: unique per attempt, the same for the same place in it.
func (t *reading) madeID(choice, index int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", t.a.opt.ID, choice, index))
	return "call_" + hex.EncodeToString(sum[:12])
}

func hasText(raw []byte, fields []openai.Field, name string) bool {
	for _, f := range fields {
		if f.Name == name {
			return openai.Str(raw, f.Value) != ""
		}
	}
	return false
}

// legacyCall makes the function_call that a client of the old functions API reads out of a normalised array of tool calls.
// That API has room for one call: pieces of further ones are left out and reported. Nil when none is for it.
func (t *reading) legacyCall(calls []byte) []byte {
	var call []byte
	for i, e := range openai.Elements(calls, openai.Span{End: len(calls)}) {
		index := int64(i)
		if s, ok := openai.Member(calls, e, "index"); ok {
			index, _ = count(s.Of(calls))
		}
		if index > 0 {
			t.a.note("tool_calls:dropped")
			continue
		}
		t.a.note("tool_calls>function_call")
		if s, ok := openai.Member(calls, e, "function"); ok {
			call = s.Of(calls)
		}
	}
	return call
}
