package provider

import (
	"fmt"

	"homeport/internal/openai"
)

// messages adapts roles, content and order. Small changes are splices; where turns move, the array is written anew.
func (a *adapter) messages() *openai.Error {
	if a.hint == "" && !a.touchMessages {
		return nil
	}
	if a.facts.Reasoning.Replay == "keep_thinking" {
		a.keepThinking()
	}
	if a.hint == "" && a.nothingToDo() {
		return nil
	}
	turns := make([]outMessage, 0, len(a.req.Messages))
	calls := 0
	seen := map[string]bool{}
	once := func(param, action string) {
		if !seen[param+action] {
			seen[param+action] = true
			a.report(param, action)
		}
	}
	for i := range a.req.Messages {
		m := &a.req.Messages[i]
		p := openai.NewPatch(m.Span, m.Fields)
		role := m.Role
		if role == "developer" && a.facts.Roles["developer"] != "" {
			role = a.facts.Roles["developer"]
			p.Set("role", openai.Quote(nil, role))
			once("messages.role.developer", "system")
		}
		if a.facts.Reasoning.Replay == "strip" {
			if _, ok := m.Field("reasoning_content"); ok {
				p.Drop("reasoning_content")
				once("messages.reasoning_content", "dropped")
			}
		}
		if a.facts.Functions == "tools" && a.legacyTurn(m, p, &calls) {
			a.plan.LegacyFunctions = a.plan.LegacyFunctions || a.value("tools") == nil
			if role == "function" {
				role = "tool"
			}
			once("messages.function_call", "tool_calls")
		}
		flat, err := a.content(m, i)
		if err != nil {
			return err
		}
		if flat != nil {
			p.Set("content", flat)
			once("messages.content", "flattened")
		}
		turns = append(turns, outMessage{m: m, role: role, edits: p.Edits(nil)})
	}
	if changed, err := a.reorder(turns, once); changed || err != nil {
		return err
	}
	for _, t := range turns {
		a.splices = append(a.splices, t.edits...)
	}
	if a.hint != "" {
		a.sayFirst()
	}
	return nil
}

// nothingToDo looks, without allocating, whether every message can go as it came.
func (a *adapter) nothingToDo() bool {
	f := &a.facts
	developer, fold, ordered := f.Roles["developer"], f.Roles["system"] == "user", f.Order != ""
	before := ""
	for i := range a.req.Messages {
		m := &a.req.Messages[i]
		role := m.Role
		if role == "developer" && developer != "" || role == "system" && fold || role == "function" && f.Functions != "" {
			return false
		}
		if ordered && (i > 0 && role == "system" || role == "user" && before == "user") {
			return false
		}
		before = role
		for _, x := range m.Fields {
			switch x.Name {
			case "content":
				if a.req.Raw[x.Value.Start] == '[' {
					return false
				}
			case "reasoning_content":
				if f.Reasoning.Replay == "strip" {
					return false
				}
			case "function_call":
				if f.Functions != "" {
					return false
				}
			}
		}
	}
	return !ordered || before != "assistant" && before != "system"
}

// outMessage is one message on its way out.
type outMessage struct {
	m     *openai.Message
	role  string
	edits []openai.Edit
}

// content refuses what the target cannot take and returns the flattened content where parts are not known, else nil.
func (a *adapter) content(m *openai.Message, i int) ([]byte, *openai.Error) {
	f, ok := m.Field("content")
	raw := a.req.Raw
	if !ok || raw[f.Value.Start] != '[' {
		return nil, nil
	}
	flatten := a.facts.Content.Parts == "flatten"
	if !flatten && a.endpoints.Vision != No && a.facts.Content.Images == "" {
		return nil, nil
	}
	var flat []byte
	for k, part := range openai.Elements(raw, f.Value) {
		members := openai.Members(raw, part)
		var kind string
		var image, words openai.Span
		for _, x := range members {
			switch x.Name {
			case "type":
				kind = openai.Str(raw, x.Value)
			case "image_url":
				image = x.Value
			case "text":
				words = x.Value
			}
		}
		at := func() string { return fmt.Sprintf("messages[%d].content[%d]", i, k) }
		if flatten && kind != "text" {
			return nil, refuse(at(), "unsupported_value", "This target takes text only.", "此目标只接受文本内容。")
		}
		if flatten {
			if len(flat) > 0 {
				flat = append(flat, '\n')
			}
			flat = append(flat, openai.Str(raw, words)...)
			a.lostInPart(members)
		}
		if kind != "image_url" && kind != "image" {
			continue
		}
		if a.endpoints.Vision == No {
			return nil, refuse(at(), "unsupported_value", "This model takes no images.", "该模型不接受图片输入。")
		}
		if a.facts.Content.Images == "data" && isHTTP(imageURL(raw, image)) {
			return nil, refuse(at(), "unsupported_value", "This target takes images as data: URLs only, it fetches none.", "此目标只接受 data: 形式的图片，不会抓取网址。")
		}
	}
	if !flatten {
		return nil, nil
	}
	return openai.Quote(nil, string(flat)), nil
}

// imageURL is the URL of an image part: {"url":…} or a plain string.
func imageURL(raw []byte, span openai.Span) string {
	if span.Len() == 0 {
		return ""
	}
	if raw[span.Start] == '"' {
		return openai.Str(raw, span)
	}
	u, _ := openai.Member(raw, span, "url")
	return openai.Str(raw, u)
}

// sayFirst puts the hint into the system message that opens the conversation, or adds one.
func (a *adapter) sayFirst() {
	raw := a.req.Raw
	first := &a.req.Messages[0]
	if f, ok := first.Field("content"); ok && (first.Role == "system" || first.Role == "developer") {
		for i := range a.splices {
			if e := &a.splices[i]; e.Span == f.Value && len(e.New) > 1 { // flattened to a string before
				q := openai.Quote(nil, "\n\n"+a.hint)
				e.New = append(append(e.New[:len(e.New)-1:len(e.New)-1], q[1:len(q)-1]...), '"')
				return
			}
		}
		if e, ok := appendText(raw, f.Value, a.hint); ok {
			a.splices = append(a.splices, e)
			return
		}
	}
	at := first.Start
	a.splices = append(a.splices, openai.Edit{Span: openai.Span{Start: at, End: at}, New: append(systemMessage(a.hint), ',')})
}

func systemMessage(s string) []byte {
	return append(openai.Quote([]byte(`{"role":"system","content":`), s), '}')
}

// appendText is the edit that adds s as a paragraph at the end of a content value: a string or an array of parts.
func appendText(raw []byte, content openai.Span, s string) (openai.Edit, bool) {
	end := openai.Span{Start: content.End - 1, End: content.End - 1}
	switch raw[content.Start] {
	case '"':
		q := openai.Quote(nil, "\n\n"+s)
		return openai.Edit{Span: end, New: q[1 : len(q)-1]}, true
	case '[':
		var b []byte
		if len(openai.Elements(raw, content)) > 0 {
			b = append(b, ',')
		}
		b = append(openai.Quote(append(b, `{"type":"text","text":`...), s), '}')
		return openai.Edit{Span: end, New: b}, true
	}
	return openai.Edit{}, false
}
