package provider

import (
	"homeport/internal/openai"
)

// reorder repairs the order of turns where the provider documents one, and folds the system's words into the first user
// turn where it has no system role. It reports whether the messages were written anew.
func (a *adapter) reorder(turns []outMessage, once func(param, action string)) (bool, *openai.Error) {
	fold := a.facts.Roles["system"] == "user"
	if !fold && a.facts.Order == "" {
		return false, nil
	}
	raw := a.req.Raw
	if a.facts.Order == "system_first" && a.inOrder(turns) {
		return false, nil
	}
	var system []byte // the words of all system messages
	var rest []outMessage
	var merged []*openai.Message // written anew, so that only their words go on
	for _, t := range turns {
		if t.role != "system" {
			rest = append(rest, t)
			continue
		}
		s, ok := a.words(t.m)
		if !ok {
			return false, refuse("messages", "unsupported_value", "This target takes system messages of text only.", "此目标的系统消息只接受文本。")
		}
		if s != "" {
			system = appendParagraph(system, s)
		}
		merged = append(merged, t.m)
	}
	hasSystem := len(merged) > 0
	if a.facts.Order == "system_first" {
		if len(rest) == 0 {
			fold = true // nothing but instructions: they are the user's turn
		} else if last := rest[len(rest)-1]; last.role == "assistant" && !a.partial(last.m) {
			return false, refuse("messages", "unsupported_value", "This target wants the last message from the user or a tool.", "此目标要求最后一条消息来自用户或工具。")
		}
	}
	if fold && !hasSystem && a.hint == "" {
		return false, nil
	}
	if a.hint != "" {
		system = appendParagraph(system, a.hint)
		hasSystem = true
	}
	moved := hasSystem && (len(turns) != len(rest)+1 || turns[0].role != "system")
	bodies := make([][]byte, 0, len(rest)+1)
	if hasSystem && !fold {
		bodies = append(bodies, systemMessage(string(system)))
	}
	for i := 0; i < len(rest); i++ {
		t := rest[i]
		body := within(raw, t.m.Span, t.edits)
		if a.facts.Order == "system_first" && t.role == "user" {
			first := i
			words, ok := "", len(t.m.Fields) == 2 && i+1 < len(rest) && rest[i+1].role == "user"
			if ok {
				words, ok = a.words(t.m)
			}
			said := []byte(words)
			for ok && i+1 < len(rest) && rest[i+1].role == "user" {
				more, text := a.words(rest[i+1].m)
				if !text || len(rest[i+1].m.Fields) > 2 {
					break // parts other than text, and turns with names, stay apart
				}
				said = append(append(said, "\n\n"...), more...)
				i++
			}
			if i > first {
				moved = true
				for _, t := range rest[first : i+1] {
					merged = append(merged, t.m)
				}
				body = append(openai.Quote([]byte(`{"role":"user","content":`), string(said)), '}')
			}
		}
		if fold && t.role == "user" && len(system) > 0 {
			folded, ok := foldInto(raw, t, string(system))
			if !ok {
				return false, refuse("messages", "unsupported_value", "This target has no system role, and the first user message is not text.", "此目标没有系统角色，且首条用户消息不是文本。")
			}
			body, system = folded, nil
		}
		bodies = append(bodies, body)
	}
	if fold && len(system) > 0 {
		body := append(openai.Quote([]byte(`{"role":"user","content":`), string(system)), '}')
		bodies = append([][]byte{body}, bodies...)
	}
	if !moved && !fold {
		return false, nil // what is out of order cannot be merged: as it came
	}
	b := []byte{'['}
	for i, body := range bodies {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, body...)
	}
	a.patch().Set("messages", append(b, ']'))
	if fold {
		once("messages.role.system", "folded")
	} else {
		once("messages", "merged")
	}
	for _, m := range merged {
		a.lostIn(m)
	}
	return true, nil
}

// appendParagraph appends s as a paragraph of its own.
func appendParagraph(dst []byte, s string) []byte {
	if len(dst) > 0 {
		dst = append(dst, "\n\n"...)
	}
	return append(dst, s...)
}

// lostIn reports what a message had besides its role and its words, which were all that went on (invariant 6).
func (a *adapter) lostIn(m *openai.Message) {
	for _, f := range m.Fields {
		switch f.Name {
		case "role":
		case "content":
			for _, part := range openai.Elements(a.req.Raw, f.Value) {
				a.lostInPart(openai.Members(a.req.Raw, part))
			}
		default:
			a.lost("messages.", f.Name)
		}
	}
}

func (a *adapter) lostInPart(members []openai.Field) {
	for _, f := range members {
		if f.Name != "type" && f.Name != "text" {
			a.lost("messages.content.", f.Name)
		}
	}
}

// maxReported is the number of reports from which on a client's own names are told together: they go into a header.
const maxReported = 32

// lost reports, once, that a member of the client's own naming does not go on.
func (a *adapter) lost(under, name string) {
	name = plainName(name)
	if len(a.plan.Adapted) >= maxReported {
		name = "unknown_field"
	}
	for _, have := range a.plan.Adapted {
		if have.Action == "dropped" && len(have.Param) == len(under)+len(name) && have.Param[:len(under)] == under && have.Param[len(under):] == name {
			return
		}
	}
	a.report(under+name, "dropped")
}

// inOrder: at most one system message, first, no two user turns in a row, the last turn not the assistant's own.
func (a *adapter) inOrder(turns []outMessage) bool {
	for i, t := range turns {
		if i > 0 && (t.role == "system" || t.role == "user" && turns[i-1].role == "user") {
			return false
		}
	}
	last := turns[len(turns)-1]
	return last.role != "system" && (last.role != "assistant" || a.partial(last.m))
}

// partial reports whether an assistant's message asks to be continued.
func (a *adapter) partial(m *openai.Message) bool {
	f, ok := m.Field("partial")
	return ok && string(f.Value.Of(a.req.Raw)) == "true"
}

// words is the text of a message whose content is a string or text parts only.
func (a *adapter) words(m *openai.Message) (string, bool) {
	raw := a.req.Raw
	f, ok := m.Field("content")
	if !ok {
		return "", true
	}
	switch raw[f.Value.Start] {
	case '"':
		return openai.Str(raw, f.Value), true
	case '[':
		var s []byte
		for _, part := range openai.Elements(raw, f.Value) {
			kind, _ := openai.Member(raw, part, "type")
			words, ok := openai.Member(raw, part, "text")
			if !ok || openai.Str(raw, kind) != "text" {
				return "", false
			}
			if len(s) > 0 {
				s = append(s, '\n')
			}
			s = append(s, openai.Str(raw, words)...)
		}
		return string(s), true
	}
	return "", string(f.Value.Of(raw)) == "null"
}

// foldInto puts the system's words before a user's own.
func foldInto(raw []byte, t outMessage, system string) ([]byte, bool) {
	f, ok := t.m.Field("content")
	if !ok {
		return nil, false
	}
	var e openai.Edit
	at := openai.Span{Start: f.Value.Start + 1, End: f.Value.Start + 1}
	switch raw[f.Value.Start] {
	case '"':
		q := openai.Quote(nil, system+"\n\n")
		e = openai.Edit{Span: at, New: q[1 : len(q)-1]}
	case '[':
		b := append(openai.Quote([]byte(`{"type":"text","text":`), system), '}')
		if len(openai.Elements(raw, f.Value)) > 0 {
			b = append(b, ',')
		}
		e = openai.Edit{Span: at, New: b}
	default:
		return nil, false
	}
	for _, x := range t.edits {
		if x.Start <= at.Start && at.Start < x.End {
			return nil, false // the content is rewritten already
		}
	}
	return within(raw, t.m.Span, append(t.edits, e)), true
}
