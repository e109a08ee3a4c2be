package provider

import (
	"strings"

	"homeport/internal/openai"
)

// schemaHolds checks an answer against the schema that the upstream was only asked for in words. A schema that cannot be
// compiled never holds, nor does an answer too costly to check: unchecked is not passed on as checked.
func (a *Answer) schemaHolds(answer []byte) bool {
	if a.schema == nil {
		s := a.opt.schema
		if s == nil {
			if s, _, _ = compileSchema(a.opt.SchemaEmulated); s == nil {
				return false
			}
		}
		s.left, s.patterns = maxChecks, 0
		a.schema = s
	}
	return a.schema.holds(answer)
}

// checked reports whether an answer that ended for this reason must hold to a schema. One that was cut short, blocked or
// calls tools does not hold with OpenAI either, and says so by its reason.
func (a *Answer) checked(reason string) bool {
	return a.opt.SchemaEmulated != nil && !a.blocked && (reason == "stop" || reason == "")
}

// checkBody holds every choice of a whole answer against the schema, taking a Markdown fence off first.
func (a *Answer) checkBody(body []byte) ([]byte, *openai.Error) {
	var edits []openai.Edit
	choices, _ := openai.Member(body, openai.Span{End: len(body)}, "choices")
	for _, e := range openai.Elements(body, choices) {
		message, ok := openai.Member(body, e, "message")
		if !ok {
			continue
		}
		if !a.checked(strMember(body, e, "finish_reason")) {
			continue
		}
		at, ok := openai.Member(body, message, "content")
		if !ok || body[at.Start] != '"' {
			continue // a tool call or a refusal
		}
		given := openai.Str(body, at)
		text := unfence(given)
		if !a.schemaHolds([]byte(text)) {
			return nil, a.failClass(ClassSchema, "")
		}
		if text != given {
			a.note("content:unfenced")
			edits = append(edits, openai.Edit{Span: at, New: openai.Quote(nil, text)})
		}
	}
	if len(edits) > 0 {
		body = openai.Apply(nil, body, edits)
	}
	return body, nil
}

// unfence takes the text out of a Markdown code fence that surrounds all of it.
func unfence(s string) string {
	t := strings.TrimSpace(s)
	if !strings.HasPrefix(t, "```") || !strings.HasSuffix(t, "```") || len(t) < 7 {
		return s
	}
	t = strings.TrimSuffix(t, "```")
	if _, rest, ok := strings.Cut(t, "\n"); ok {
		return strings.TrimSpace(rest)
	}
	return s
}
