package provider

import (
	"fmt"

	"homeport/internal/openai"
)

// toolChoice settles tool_choice: which kind the client asks for, and what the target makes of it. Turning thinking off for
// a forced tool is left to reasoning, which runs next.
func (a *adapter) toolChoice() *openai.Error {
	f, ok := a.req.Field("tool_choice")
	v := f.Value.Of(a.req.Raw)
	if !ok || isNull(v) {
		if a.choice == "" {
			return nil
		}
		return a.choose(openai.Span{}) // set by functions
	}
	switch {
	case v[0] == '{':
		a.choice = "named"
	case isString(v):
		a.choice = text(v)
	default:
		return refuse("tool_choice", "invalid_type", "'tool_choice' must be a string or an object.", "tool_choice 必须是字符串或对象。")
	}
	return a.choose(f.Value)
}

func (a *adapter) choose(given openai.Span) *openai.Error {
	switch a.facts.ToolChoice[a.choice] {
	case choiceDrop:
		a.patch().Drop("tool_choice")
		a.report("tool_choice", "dropped")
	case choiceStripTools:
		a.patch().Drop("tool_choice")
		a.patch().Drop("tools")
		a.hasTools = false
		a.report("tool_choice", "dropped")
		a.report("tools", "dropped")
	case choiceRefuse:
		return a.refuseChoice()
	case choiceSingle:
		name, ok := a.onlyTool()
		if !ok {
			return a.refuseChoice()
		}
		a.patch().Set("tool_choice", namedChoice(name))
		a.report("tool_choice", "named")
	}
	return nil
}

// refuseChoice refuses a forced tool, or asks for auto where the target's owner has said that this will do.
func (a *adapter) refuseChoice() *openai.Error {
	if a.t.ToolChoice == "auto" && (a.choice == "required" || a.choice == "named") {
		a.choice = "auto"
		switch a.facts.ToolChoice["auto"] {
		case choiceDrop:
			a.patch().Drop("tool_choice")
		default:
			a.patch().Set("tool_choice", []byte(`"auto"`))
		}
		a.report("tool_choice", "auto")
		return nil
	}
	return unsupportedValue("tool_choice")
}

// onlyTool is the name of the one tool of the request.
func (a *adapter) onlyTool() (string, bool) {
	raw := a.req.Raw
	f, ok := a.req.Field("tools")
	if !ok {
		return "", false
	}
	tools := openai.Elements(raw, f.Value)
	if len(tools) != 1 {
		return "", false
	}
	fn, _ := openai.Member(raw, tools[0], "function")
	name, ok := openai.Member(raw, fn, "name")
	return openai.Str(raw, name), ok
}

func namedChoice(name string) []byte {
	b := append([]byte(`{"type":"function","function":{"name":`), openai.Quote(nil, name)...)
	return append(b, "}}"...)
}

// functions translates the legacy fields functions and function_call into tools and tool_choice.
func (a *adapter) functions() *openai.Error {
	do := a.facts.Functions
	if do == "" {
		return nil
	}
	raw := a.req.Raw
	f, hasFunctions := a.req.Field("functions")
	hasFunctions = hasFunctions && raw[f.Value.Start] == '['
	c := a.value("function_call")
	if !hasFunctions && c == nil {
		return nil
	}
	if do == "refuse" {
		return unsupported("functions")
	}
	if a.value("tools") != nil || a.value("tool_choice") != nil {
		return refuse("functions", "invalid_value", "'functions' cannot be combined with 'tools'.", "functions 不能与 tools 同时使用。")
	}
	a.plan.LegacyFunctions = true
	if hasFunctions {
		b := []byte{'['}
		for i, fn := range openai.Elements(raw, f.Value) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, `{"type":"function","function":`...), fn.Of(raw)...), '}')
		}
		a.patch().Drop("functions")
		a.patch().Set("tools", append(b, ']'))
		a.renamed("functions", "tools")
	}
	if c == nil {
		return nil
	}
	a.patch().Drop("function_call")
	a.renamed("function_call", "tool_choice")
	if c[0] == '{' {
		cf, _ := a.req.Field("function_call")
		name, _ := openai.Member(raw, cf.Value, "name")
		a.choice = "named"
		a.patch().Set("tool_choice", namedChoice(openai.Str(raw, name)))
		return nil
	}
	a.choice = text(c)
	a.patch().Set("tool_choice", c)
	return nil
}

// legacyTurn rewrites an assistant's function_call and a function's answer as tool calls. call counts the calls so far:
// a function's answer belongs to the last one.
func (a *adapter) legacyTurn(m *openai.Message, p *openai.Patch, call *int) bool {
	raw := a.req.Raw
	if fc, ok := m.Field("function_call"); ok && m.Role == "assistant" && raw[fc.Value.Start] == '{' {
		*call++
		b := fmt.Appendf(nil, `[{"id":"call_%d","type":"function","function":`, *call)
		b = append(append(b, fc.Value.Of(raw)...), "}]"...)
		p.Drop("function_call")
		p.Set("tool_calls", b)
		return true
	}
	if m.Role == "function" {
		p.Set("role", []byte(`"tool"`))
		p.Set("tool_call_id", fmt.Appendf(nil, `"call_%d"`, max(*call, 1)))
		p.Drop("name")
		return true
	}
	return false
}
