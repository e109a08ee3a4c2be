package provider

import (
	"bytes"
	"encoding/json/jsontext"
	"slices"
	"strconv"

	"homeport/internal/openai"
)

// choice collects the edits of one element of "choices", at place n of the array. A class is returned when the choice is a
// failure in disguise.
func (t *reading) choice(at openai.Span, n int64) Class {
	a := t.a
	if t.raw[at.Start] != '{' {
		return ClassUpstream
	}
	fields := openai.Members(t.raw, at)
	if c := t.flags(fields); c != "" {
		return c
	}
	patch := openai.NewPatch(at, fields)
	index, body, bodyName := n, openai.Span{}, ""
	var finish openai.Span
	for _, f := range fields {
		null := string(f.Value.Of(t.raw)) == "null"
		switch f.Name {
		case "index":
			if i, ok := count(f.Value.Of(t.raw)); ok {
				index = i
			}
		case "delta":
			if !null {
				body, bodyName = f.Value, f.Name
			}
		case "message":
			if !null && (bodyName == "" || !t.stream) {
				body, bodyName = f.Value, f.Name
			}
		case "finish_reason":
			finish = f.Value
		case "usage": // Kimi: the chunk that ends the choice
			if !null {
				if u, ok := a.readUsage(t.raw, f.Value); ok {
					a.figures = append(a.figures[:0], u...)
				}
				patch.Drop("usage")
			}
		case "content_filter_results":
			if _, unchecked := openai.Member(t.raw, f.Value, "error"); unchecked {
				a.note("content_filter:unchecked") // Azure's filter was down: the text came through unread
			}
		}
	}
	st := a.choice(index)
	if !hasField(fields, "index") {
		patch.Set("index", appendInt(nil, index))
		a.note("index:set")
	}
	reason, class := t.finish(patch, finish)
	if class != "" {
		return class
	}
	ending := reason != ""
	if ending {
		st.finished, st.reason = true, reason
	}
	switch {
	case a.opt.Endpoint == openai.Completions:
		t.completionText(patch, fields, st)
	case t.stream && bodyName == "message":
		// A last event with the whole message again (MiniMax): the text is already out. Without an earlier one it is the text.
		a.note("message>delta")
		if st.text {
			patch.Drop("message")
			t.flushInto(patch, "delta", st, ending)
		} else {
			patch.Rename("message", "delta")
			t.message(body, st, ending)
		}
	case bodyName != "":
		t.message(body, st, ending)
	case t.stream && !a.opt.Azure: // Azure's asynchronous filter: a choice without delta
		t.flushInto(patch, "delta", st, ending)
	case t.stream:
		// Azure's own clients know such events.
	}
	t.edits = patch.Edits(t.edits)
	return ""
}

func hasField(fields []openai.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f openai.Field) bool { return f.Name == name })
}

// flushInto gives the choice a new body with whatever was held back, or an empty one.
func (t *reading) flushInto(patch *openai.Patch, name string, st *choiceState, ending bool) {
	b := []byte{'{'}
	if ending {
		mind, text := st.think.flush()
		b = t.held(b, st, mind, text)
	}
	patch.Set(name, append(b, '}'))
	if len(b) == 1 {
		t.a.note("delta:set")
	}
}

func (t *reading) held(b []byte, st *choiceState, mind, text string) []byte {
	if mind != "" {
		b = openai.Quote(append(b, `"reasoning_content":`...), mind)
		t.say(st, mind)
	}
	if text != "" {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = openai.Quote(append(b, `"content":`...), text)
		t.say(st, text)
		t.collect(st, text)
	}
	return b
}

// say counts decoded text that goes out.
func (t *reading) say(st *choiceState, text string) {
	st.text = st.text || text != ""
	t.a.count.decoded(text)
}

// finish maps the reason a choice ended. It returns OpenAI's reason, "" while the choice goes on.
func (t *reading) finish(patch *openai.Patch, at openai.Span) (string, Class) {
	if at.Len() == 0 || string(at.Of(t.raw)) == "null" {
		return "", ""
	}
	given := openai.Str(t.raw, at)
	if given == "" {
		if at.Len() == 2 { // "" on chunks that are not the last: null
			patch.Set("finish_reason", []byte("null"))
			t.a.note("finish_reason:null")
			return "", ""
		}
		given = "other"
	}
	if c, ok := t.a.rules.FinishError[given]; ok {
		return "", c
	}
	reason := given
	if m, ok := t.a.rules.Finish[given]; ok {
		reason = m
	}
	switch reason {
	case "stop", "length", "tool_calls", "content_filter", "function_call":
	default:
		reason = "stop"
	}
	if reason == "tool_calls" && t.a.opt.LegacyFunctions {
		patch.Set("finish_reason", []byte(`"function_call"`)) // goes with function_call, which the client asked for
	} else if reason != given || at.Of(t.raw)[0] != '"' {
		patch.Set("finish_reason", openai.Quote(nil, reason))
		word := identifier(given)
		if word == "" {
			word = "other"
		}
		t.a.note("finish_reason:" + word + "=" + reason)
	}
	return reason, ""
}

// completionText counts the text of a legacy completion.
func (t *reading) completionText(patch *openai.Patch, fields []openai.Field, st *choiceState) {
	for _, f := range fields {
		if v := f.Value.Of(t.raw); f.Name == "text" && len(v) >= 2 && v[0] == '"' {
			if t.stream && t.a.cumulative {
				text := st.seen.rest(textOf(t.raw, f.Value), t.a)
				patch.Set("text", openai.Quote(nil, text))
				t.say(st, text)
				continue
			}
			t.a.count.text(v[1 : len(v)-1])
			st.text = true
		}
	}
}

// message collects the edits of a delta or message.
func (t *reading) message(at openai.Span, st *choiceState, ending bool) {
	a := t.a
	fields := openai.Members(t.raw, at)
	if fields == nil && (at.Len() == 0 || t.raw[at.Start] != '{') {
		return
	}
	patch := openai.NewPatch(at, fields)
	var content, mind, plain, details, tools openai.Span
	for _, f := range fields {
		v := f.Value
		if string(v.Of(t.raw)) == "null" {
			continue
		}
		switch f.Name {
		case "content":
			content = v
		case "reasoning_content":
			mind = v
		case "reasoning":
			plain = v
		case "reasoning_details":
			details = v
		case "tool_calls":
			tools = v
		case "refusal":
			t.countRaw(v, st)
		case "function_call":
			if s, ok := openai.Member(t.raw, v, "arguments"); ok {
				t.countRaw(s, st)
			}
		}
	}
	t.reasoning(patch, fields, st, mind, plain, details)
	t.content(patch, st, content, mind.Len() > 2 || plain.Len() > 2 || details.Len() > 2, ending)
	if tools.Len() > 0 {
		value, changed := t.toolCalls(tools, st)
		switch {
		case a.opt.LegacyFunctions && value != nil:
			patch.Drop("tool_calls")
			if call := t.legacyCall(value); call != nil {
				patch.Set("function_call", call)
			}
		case changed:
			patch.Set("tool_calls", value)
			a.note("tool_calls:completed")
		}
	}
	t.edits = patch.Edits(t.edits)
}

func (t *reading) countRaw(at openai.Span, st *choiceState) {
	if v := at.Of(t.raw); len(v) > 2 && v[0] == '"' {
		t.a.count.text(v[1 : len(v)-1])
		st.text = true
	}
}

// reasoning brings what the model thought to reasoning_content, whatever the provider calls it.
func (t *reading) reasoning(patch *openai.Patch, fields []openai.Field, st *choiceState, mind, plain, details openai.Span) {
	a := t.a
	switch {
	case mind.Len() > 0:
		if t.stream && a.cumulative && t.raw[mind.Start] == '"' {
			text := st.seenMind.rest(textOf(t.raw, mind), a)
			patch.Set("reasoning_content", openai.Quote(nil, text))
			t.say(st, text)
		} else {
			t.countRaw(mind, st)
		}
		if details.Len() > 0 {
			patch.Drop("reasoning_details")
			a.note("reasoning_details:dropped")
		}
	case plain.Len() == 2:
		patch.Drop("reasoning")
	case plain.Len() > 0 && t.raw[plain.Start] == '"':
		if hasField(fields, "reasoning_content") {
			patch.Set("reasoning_content", plain.Of(t.raw))
			patch.Drop("reasoning")
		} else {
			patch.Rename("reasoning", "reasoning_content")
		}
		if details.Len() > 0 {
			patch.Drop("reasoning_details")
		}
		t.countRaw(plain, st)
		a.note("reasoning>reasoning_content")
	case details.Len() > 0:
		var text []byte
		for _, e := range openai.Elements(t.raw, details) {
			text = append(text, strMember(t.raw, e, "text")...)
		}
		patch.Drop("reasoning_details")
		a.note("reasoning_details>reasoning_content")
		if len(text) > 0 {
			patch.Set("reasoning_content", openai.Quote(nil, string(text)))
			t.say(st, string(text))
		}
	}
}

// content splits <think> tags off, turns repeated text into increments, and flushes what was held back when the choice ends.
func (t *reading) content(patch *openai.Patch, st *choiceState, at openai.Span, hasMind, ending bool) {
	a := t.a
	isText := at.Len() >= 2 && t.raw[at.Start] == '"'
	cumulative := t.stream && a.cumulative && isText
	tags := a.rules.ThinkTags && (isText || ending) && st.think.open()
	if !cumulative && !tags {
		if at.Len() > 0 {
			if isText {
				t.countRaw(at, st)
				t.collect(st, textOf(t.raw, at))
			} else {
				a.count.text(at.Of(t.raw)) // parts: an upper bound
				st.text = true
			}
		}
		return
	}
	given := textOf(t.raw, at)
	text, mind := given, ""
	if cumulative {
		text = st.seen.rest(text, a)
	}
	if tags {
		mind, text = st.think.push(text)
		if ending || !t.stream {
			m, s := st.think.flush()
			mind, text = mind+m, text+s
		}
		if mind != "" && !hasMind {
			a.note("think>reasoning_content")
		}
		if st.think.used && mind == "" && text == "" && given == "" {
			return
		}
	}
	if mind != "" && hasMind { // MiniMax without reasoning_split: the same thought in a field and between tags
		mind = ""
		a.note("think:dropped")
	}
	t.say(st, text)
	t.collect(st, text)
	if text != given {
		patch.Set("content", openai.Quote(nil, text))
	}
	if mind != "" {
		t.say(st, mind)
		patch.Set("reasoning_content", openai.Quote(nil, mind))
	}
}

// collect keeps the answer where it must be checked against a schema.
func (t *reading) collect(st *choiceState, text string) {
	if t.a.opt.SchemaEmulated != nil && t.stream && len(st.answer) <= maxCollected {
		st.answer = append(st.answer, text...)
	}
}

// maxCollected bounds the answer that is checked against a schema; a longer one fails the check.
const maxCollected = 1 << 20

// textOf is the text of the JSON string at span, "" for anything else. Half a surrogate pair, which some servers cut
// between events, becomes U+FFFD rather than nothing.
func textOf(raw []byte, at openai.Span) string {
	v := at.Of(raw)
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
