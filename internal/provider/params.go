package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"homeport/internal/openai"
)

// params applies the rules on single fields, in the order the fields came, then those on absence by name.
func (a *adapter) params() *openai.Error {
	if len(a.facts.Params) == 0 && a.only == nil {
		return nil
	}
	for _, f := range a.req.Fields {
		p := a.ModelRules.params[f.Name]
		if p == nil || !a.when(p.When) {
			continue
		}
		v := f.Value.Of(a.req.Raw)
		if isNull(v) {
			continue
		}
		if err := a.param(p, v); err != nil {
			return err
		}
	}
	for _, p := range a.adds {
		if a.req.Endpoint == openai.Chat && !a.req.Has(p.name) && a.when(p.When) {
			a.p.Set(p.name, p.value)
			a.report(p.name, "set")
		}
	}
	if a.only != nil && a.req.Endpoint == openai.Chat {
		for _, f := range a.req.Fields {
			if !a.only[f.Name] && a.ModelRules.params[f.Name] == nil && !ownSteps[f.Name] {
				a.drop(f.Name)
			}
		}
	}
	return nil
}

// ownSteps are the fields that other steps than params settle, so `only` leaves them alone.
var ownSteps = map[string]bool{"model": true, "messages": true, "stream": true, "stream_options": true, "max_tokens": true,
	"max_completion_tokens": true, "response_format": true, "functions": true, "function_call": true, "reasoning_effort": true,
	"tool_choice": true, "thinking": true, "enable_thinking": true}

func (a *adapter) when(w When) bool {
	return (w.Stream == nil || *w.Stream == a.req.Stream) && (w.Tools == nil || *w.Tools == a.hasTools) &&
		(w.Thinking == "" || w.Thinking == a.plan.Thinking)
}

func (a *adapter) param(p *param, v []byte) *openai.Error {
	if slices.ContainsFunc(p.allow, func(s string) bool { return equal(v, s) }) {
		return nil
	}
	switch p.Action {
	case "rename":
		a.p.Rename(p.name, p.To)
		a.renamed(p.name, p.To)
	case "drop":
		a.drop(p.name)
	case "inert":
		a.report(p.name, "inert")
	case "refuse":
		return a.paramRefuse(p, v)
	case "clamp":
		a.clamp(p, v)
	case "map":
		if to, ok := p.values[string(v)]; ok && !bytes.Equal(to, v) {
			a.p.Set(p.name, to)
			a.report(p.name, "mapped")
		}
	case "hash":
		a.hash(p, v)
	}
	return nil
}

// equal compares a raw value with a JSON text; numbers by value, so 1 and 1.0 are one.
func equal(v []byte, s string) bool {
	if string(v) == s {
		return true
	}
	if len(v) == 0 || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return false
	}
	x, err1 := strconv.ParseFloat(string(v), 64)
	y, err2 := strconv.ParseFloat(s, 64)
	return err1 == nil && err2 == nil && x == y
}

func (a *adapter) paramRefuse(p *param, v []byte) *openai.Error {
	if slices.ContainsFunc(p.same, func(s string) bool { return equal(v, s) }) {
		a.drop(p.name)
		return nil
	}
	bounded := p.Min != nil || p.Max != nil || p.MaxItems > 0
	if !bounded {
		if len(p.allow)+len(p.same) > 0 {
			return unsupportedValue(p.name)
		}
		return unsupported(p.name)
	}
	if n, err := strconv.ParseFloat(string(v), 64); err == nil && (p.Min != nil && n < *p.Min || p.Max != nil && n > *p.Max) {
		return unsupportedValue(p.name)
	}
	if p.MaxItems > 0 && v[0] == '[' && len(openai.Elements(v, openai.Span{End: len(v)})) > p.MaxItems {
		return unsupportedValue(p.name)
	}
	return nil
}

func (a *adapter) clamp(p *param, v []byte) {
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return // not a number: the provider says so better
	}
	to := n
	switch {
	case n == 0 && p.zeroSet != nil:
		a.p.Drop(p.name)
		for _, m := range p.zeroSet {
			a.p.Set(m.name, m.value)
			a.renamed(p.name, m.name)
		}
		return
	case n == 0 && p.Zero != nil:
		to = *p.Zero
	case p.Min != nil && n < *p.Min:
		to = *p.Min
	case p.Max != nil && n > *p.Max:
		to = *p.Max
	}
	if to != n {
		a.p.Set(p.name, number(to))
		a.report(p.name, "clamped")
	}
}

// hash shortens an identifier that is too long to its own digest: distinct stays distinct, and the same stays the same.
func (a *adapter) hash(p *param, v []byte) {
	s := text(v)
	if len(s) > p.MaxChars {
		sum := sha256.Sum256([]byte("homeport user\x00" + s))
		short := hex.EncodeToString(sum[:])
		a.p.Set(p.name, openai.Quote(nil, short[:min(p.MaxChars, len(short))]))
		a.report(p.name, "hashed")
	}
	if p.To != "" {
		a.p.Rename(p.name, p.To)
		a.renamed(p.name, p.To)
	}
}

// tokenLimit gives the output limit the one name that the target knows.
func (a *adapter) tokenLimit() *openai.Error {
	name := a.facts.TokenLimit
	if name == "" {
		return nil
	}
	old, now := a.value("max_tokens") != nil, a.value("max_completion_tokens") != nil
	if old && now {
		a.drop("max_tokens") // max_completion_tokens is what OpenAI goes by
	}
	switch {
	case name == "either":
	case now && name != "max_completion_tokens":
		if old {
			a.p.Drop("max_tokens")
		}
		a.p.Rename("max_completion_tokens", name)
		a.renamed("max_completion_tokens", name)
	case old && !now && name != "max_tokens":
		a.p.Rename("max_tokens", name)
		a.renamed("max_tokens", name)
	}
	return nil
}
