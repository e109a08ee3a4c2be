package provider

import (
	"bytes"
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"homeport/internal/openai"
)

// schemaHolds checks an answer against the schema that the upstream was only asked for in words. A schema that cannot be
// compiled, or that refers to anything outside itself, never holds: unchecked is not passed on as checked.
func (a *Answer) schemaHolds(answer []byte) bool {
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.opt.SchemaEmulated))
	if err != nil {
		return false
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource("mem:///schema.json", schema); err != nil {
		return false
	}
	compiled, err := c.Compile("mem:///schema.json")
	if err != nil {
		return false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	return err == nil && compiled.Validate(value) == nil
}

// noLoader keeps a client's schema from making us open files or addresses.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references outside the schema are not followed")
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
			return nil, a.failClass(ClassUpstream, "schema_not_met")
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
