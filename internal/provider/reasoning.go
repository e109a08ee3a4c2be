package provider

import (
	"slices"

	"homeport/internal/openai"
)

// The switches of thinking.
const (
	controlEffort   = "effort"
	controlThinking = "thinking"
	controlEnable   = "enable_thinking"
	controlTemplate = "template"
)

const (
	on  = "on"
	off = "off"
)

// switchField is the top-level field that holds each switch, and how reports name it.
func switchField(control string) (field, shown string) {
	switch control {
	case controlThinking:
		return "thinking", "thinking.type"
	case controlEnable:
		return "enable_thinking", "enable_thinking"
	case controlTemplate:
		return "chat_template_kwargs", "chat_template_kwargs.enable_thinking"
	}
	return "reasoning_effort", "reasoning_effort"
}

// switchOf reads a client's own switch: on, off or "" from a field's raw value.
func (a *adapter) switchOf(field string) string {
	f, ok := a.req.Field(field)
	if !ok {
		return ""
	}
	raw := a.req.Raw
	v := f.Value.Of(raw)
	switch field {
	case "thinking":
		s, _ := openai.Member(raw, f.Value, "type")
		switch openai.Str(raw, s) {
		case "enabled", "adaptive", "auto":
			return on
		case "disabled":
			return off
		}
		return ""
	case "chat_template_kwargs":
		s, ok := openai.Member(raw, f.Value, "enable_thinking")
		if !ok {
			return ""
		}
		v = s.Of(raw)
	}
	switch string(v) {
	case "true":
		return on
	case "false":
		return off
	}
	return ""
}

// reasoning settles whether the model thinks, from reasoning_effort, the switches other providers know, and what tools and
// streams demand; it puts the target's own switch in where that differs from the target's default.
func (a *adapter) reasoning() *openai.Error {
	r := &a.facts.Reasoning
	a.plan.Thinking = r.Default
	if r.Always {
		a.plan.Thinking = on
	}
	if r.Control == "" {
		if r.Always && a.switchOf("thinking")+a.switchOf("enable_thinking") == off {
			return unsupportedValue("thinking")
		}
		return a.demands("", "")
	}
	own, shown := switchField(r.Control)
	want, from := a.switchOf(own), own
	if r.Control == controlEffort {
		want = ""
	}
	native := want != ""
	if native && r.Control == controlThinking {
		f, _ := a.req.Field("thinking")
		s, _ := openai.Member(a.req.Raw, f.Value, "type")
		if kind := openai.Str(a.req.Raw, s); kind != "disabled" && kind != or(r.On, "enabled") && !slices.Contains(r.Also, kind) {
			a.setSwitch(true) // a neighbour's word for on
			a.report("thinking.type", "mapped")
		}
	}
	shift := "" // the field whose meaning the target's own switch takes over
	for _, field := range [...]string{"thinking", "enable_thinking"} {
		if field == own || a.value(field) == nil {
			continue
		}
		a.patch().Drop(field)
		if s := a.switchOf(field); s != "" && want == "" {
			want, from, shift = s, field, field
		} else {
			a.report(field, "dropped")
		}
	}
	level := ""
	if e := a.value("reasoning_effort"); e != nil {
		effort := text(e)
		to, known := r.Efforts[effort]
		switch {
		case !known && len(r.Efforts) > 0 || to == "refuse":
			return unsupportedValue("reasoning_effort")
		case !known && effort == "none" && r.Control != controlEffort:
			to = off
		case !known:
			to = effort
		}
		switch {
		case to != on && to != off:
			level, a.level = to, to
			if to != effort {
				a.patch().Set("reasoning_effort", openai.Quote(nil, to))
				a.report("reasoning_effort", "mapped")
			}
			if want == "" {
				want, from = on, "reasoning_effort"
				if to == "none" {
					want = off
				}
			}
		case want != "":
			a.drop("reasoning_effort")
		default:
			a.patch().Drop("reasoning_effort")
			want, from, shift = to, "reasoning_effort", "reasoning_effort"
		}
	}
	if want == off && r.Always {
		return unsupportedValue(from)
	}
	if want != "" {
		a.plan.Thinking = want
	}
	return a.carry(want, from, shift, level, native, shown)
}

// carry puts the target's own switch in where the request's wish needs it, and says what became of the field shift.
func (a *adapter) carry(want, from, shift, level string, native bool, shown string) *openai.Error {
	r := &a.facts.Reasoning
	needless := want == off && r.Default == off || want == on && (r.Always || level != "" && r.Default == on)
	if r.Control == controlEffort {
		needless = needless || want == on || level != ""
		if !needless && want == off && len(r.Efforts) > 0 && r.Efforts["none"] != "none" {
			return unsupportedValue(from)
		}
	}
	if want != "" && !native && !needless {
		a.setSwitch(want == on)
		if shift != "" {
			a.renamed(shift, shown)
			shift = ""
		} else {
			a.report(shown, want)
		}
	}
	if shift != "" {
		a.report(shift, "dropped")
	}
	return a.demands(want, from)
}

// demands turns thinking off where a non-streamed call or a forced tool is refused while thinking.
func (a *adapter) demands(want, from string) *openai.Error {
	r := &a.facts.Reasoning
	thinks := a.plan.Thinking == on
	canStop := r.Control != "" && !r.Always && (r.Control != controlEffort || r.Efforts["none"] == "none")
	if r.StreamOnly && !a.req.Stream && thinks {
		if want == on {
			return unsupportedValue(from)
		}
		if !canStop {
			return unsupportedValue("stream")
		}
		a.stopThinking()
		thinks = false
	}
	do := a.facts.ToolChoice[a.choice]
	if (do == choiceNoThinking || do == choiceSingle) && thinks {
		if !canStop {
			return a.refuseChoice()
		}
		a.stopThinking()
	}
	return nil
}

func (a *adapter) stopThinking() {
	if a.facts.Reasoning.Control != controlEffort && a.level != "" {
		a.drop("reasoning_effort")
	}
	a.setSwitch(false)
	a.plan.Thinking = off
	_, shown := switchField(a.facts.Reasoning.Control)
	a.report(shown, off)
}

// setSwitch puts the target's own switch in, keeping what else a client's object of that name holds.
func (a *adapter) setSwitch(think bool) {
	r := &a.facts.Reasoning
	v := jsonFalse
	if think {
		v = jsonTrue
	}
	switch r.Control {
	case controlThinking:
		kind := "disabled"
		if think {
			kind = or(r.On, "enabled")
		}
		a.setIn("thinking", member{"type", openai.Quote(nil, kind)})
	case controlEnable:
		a.patch().Set("enable_thinking", v)
	case controlTemplate:
		a.setIn("chat_template_kwargs", member{"enable_thinking", v})
	case controlEffort:
		if !think {
			a.patch().Set("reasoning_effort", []byte(`"none"`))
		}
	}
}

// setIn sets one member of a top-level object, beside those set before and those the client sent.
func (a *adapter) setIn(field string, m member) {
	i := slices.IndexFunc(a.inside, func(x member) bool { return x.name == m.name })
	if i >= 0 {
		a.inside[i] = m
	} else {
		a.inside = append(a.inside, m)
	}
	if f, ok := a.req.Field(field); ok && a.req.Raw[f.Value.Start] == '{' {
		a.patch().Set(field, setMembers(a.req.Raw, f.Value, a.inside...))
		return
	}
	empty := []byte("{}")
	a.patch().Set(field, setMembers(empty, openai.Span{End: 2}, a.inside...))
}

// keepThinking asks a provider that strips earlier turns' reasoning by default to read it, when the client sends it back.
func (a *adapter) keepThinking() {
	f, _ := a.req.Field("thinking")
	if _, given := openai.Member(a.req.Raw, f.Value, "clear_thinking"); given {
		return
	}
	for i := range a.req.Messages {
		if _, ok := a.req.Messages[i].Field("reasoning_content"); ok {
			a.setIn("thinking", member{"clear_thinking", jsonFalse})
			a.report("thinking.clear_thinking", "set")
			return
		}
	}
}
