package provider

import (
	"bytes"

	"homeport/internal/openai"
)

// What a model is told where the wire has no switch for it.
const (
	hintJSON   = "Answer in JSON."
	hintSchema = "Answer with one JSON object that conforms to this JSON Schema, and with nothing else. JSON Schema: "
)

var (
	formatObject    = []byte(`{"type":"json_object"}`)
	formatAnyObject = []byte(`{"type":"json_schema","json_schema":{"name":"json_object","schema":{"type":"object"}}}`)
)

// responseFormat carries structured output over: native, in words with the answer checked (emulated), or refused; never ignored.
func (a *adapter) responseFormat() *openai.Error {
	f, ok := a.req.Field("response_format")
	raw := a.req.Raw
	if !ok || raw[f.Value.Start] != '{' {
		return nil
	}
	kind, _ := openai.Member(raw, f.Value, "type")
	switch openai.Str(raw, kind) {
	case "json_object":
		return a.jsonObject()
	case "json_schema":
		return a.jsonSchema(f)
	}
	return nil
}

func (a *adapter) jsonObject() *openai.Error {
	r := &a.facts.ResponseFormat
	switch {
	case r.AsSchema:
		a.patch().Set("response_format", formatAnyObject)
		a.report("response_format", "mapped")
	case a.endpoints.JSONObject == No:
		return unsupportedValue("response_format")
	case r.Word && !a.mentionsJSON():
		a.say(hintJSON)
		a.report("messages", "json_hint")
	}
	return nil
}

func (a *adapter) jsonSchema(f openai.Field) *openai.Error {
	raw := a.req.Raw
	inner, _ := openai.Member(raw, f.Value, "json_schema")
	if a.endpoints.JSONSchema != No {
		if _, ok := openai.Member(raw, inner, "strict"); ok && a.facts.ResponseFormat.Strict == "drop" {
			p := openai.NewPatch(inner, openai.Members(raw, inner))
			p.Drop("strict")
			a.patch().Set("response_format", within(raw, f.Value, p.Edits(nil)))
			a.report("response_format.strict", "dropped")
		}
		if schema, ok := openai.Member(raw, inner, "schema"); ok && a.endpoints.JSONSchema == Partial && !a.hasTools {
			// Taken, not promised: the answer is held against it.
			if err := a.check(schema.Of(raw)); err != nil {
				return err
			}
			a.report("response_format", "checked")
		}
		return nil
	}
	schema, ok := openai.Member(raw, inner, "schema")
	if a.t.JSONSchema == "refuse" || !ok {
		return unsupportedValue("response_format")
	}
	if err := a.check(schema.Of(raw)); err != nil {
		return err
	}
	a.say(hintSchema + string(a.plan.Schema))
	switch a.endpoints.JSONObject {
	case Yes, ByModel:
		a.patch().Set("response_format", formatObject)
	default:
		a.patch().Drop("response_format")
	}
	a.report("response_format", "emulated")
	return nil
}

// check has the answer held against schema. One that cannot be checked is refused now, before anything is paid for.
func (a *adapter) check(schema []byte) *openai.Error {
	s, en, zh := compileSchema(schema)
	if s == nil {
		return refuse("response_format", "invalid_schema", "The JSON schema in 'response_format' "+en+".", "response_format 中的 JSON Schema "+zh+"。")
	}
	a.plan.Schema, a.plan.schema = schema, s
	return nil
}

func (a *adapter) say(hint string) {
	if a.hint != "" {
		a.hint += "\n\n"
	}
	a.hint += hint
}

// mentionsJSON reports whether the word JSON, in any case, is in the content of the messages.
func (a *adapter) mentionsJSON() bool {
	for _, t := range a.req.Texts {
		if !t.Content {
			continue
		}
		b := t.Of(a.req.Raw)
		for {
			i := bytes.IndexAny(b, "jJ")
			if i < 0 || i+4 > len(b) {
				break
			}
			if bytes.EqualFold(b[i:i+4], []byte("json")) {
				return true
			}
			b = b[i+1:]
		}
	}
	return false
}
