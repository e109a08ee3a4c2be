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
	if len(a.ModelRules.params) == 0 && a.only == nil {
		return nil
	}
	for _, f := range a.req.Fields {
		p := a.rule(f.Name)
		if p == nil {
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
	for _, name := range a.adds {
		if a.req.Endpoint != openai.Chat || a.req.Has(name) {
			continue
		}
		if p := a.rule(name); p != nil && p.value != nil {
			a.patch().Set(name, p.value)
			a.report(name, "set")
		}
	}
	if a.only != nil && a.req.Endpoint == openai.Chat {
		for _, f := range a.req.Fields {
			if a.only[f.Name] || a.ModelRules.params[f.Name] != nil || slices.Contains(ownSteps, f.Name) ||
				a.facts.Reasoning.Control != "" && slices.Contains(reasoningFields, f.Name) {
				continue
			}
			a.patch().Drop(f.Name)
			a.lost("", f.Name)
		}
	}
	return nil
}

// The fields that other steps than params settle, so that `only` leaves them alone.
var (
	ownSteps = []string{"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "response_format",
		"functions", "function_call"}
	reasoningFields = []string{"reasoning_effort", "thinking", "enable_thinking"}
)

// plainName is a field's name as a report may show it: names that a client made up could hold anything.
func plainName(name string) string {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9') {
			return "unknown_field"
		}
	}
	if len(name) > 32 || len(name) == 0 {
		return "unknown_field"
	}
	return name
}

// rule is the one that holds for the field in this request, nil for none.
func (a *adapter) rule(name string) *param {
	for _, p := range a.ModelRules.params[name] {
		if a.when(p.When) {
			return p
		}
	}
	return nil
}

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
		a.patch().Rename(p.name, p.To)
		a.renamed(p.name, p.To)
	case "drop":
		if n, err := strconv.ParseFloat(string(v), 64); err == nil && (p.Min != nil || p.Max != nil) && !p.outside(n) {
			return nil
		}
		a.drop(p.name)
	case "inert":
		a.report(p.name, "inert")
	case "refuse":
		return a.paramRefuse(p, v)
	case "clamp":
		a.clamp(p, v)
	case "map":
		if to, ok := p.values[string(v)]; ok && !bytes.Equal(to, v) {
			a.patch().Set(p.name, to)
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
	if n, err := strconv.ParseFloat(string(v), 64); err == nil && p.outside(n) {
		return unsupportedValue(p.name)
	}
	if p.MaxItems > 0 && v[0] == '[' && len(openai.Elements(v, openai.Span{End: len(v)})) > p.MaxItems {
		return unsupportedValue(p.name)
	}
	return nil
}

func (p *param) outside(n float64) bool {
	return p.Min != nil && n < *p.Min || p.Max != nil && n > *p.Max
}

func (a *adapter) clamp(p *param, v []byte) {
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return // not a number: the provider says so better
	}
	to := n
	switch {
	case n == 0 && p.zeroSet != nil:
		a.patch().Drop(p.name)
		for _, m := range p.zeroSet {
			a.patch().Set(m.name, m.value)
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
		a.patch().Set(p.name, number(to))
		a.report(p.name, "clamped")
	}
}

// hash shortens an identifier that is too long to its own digest: distinct stays distinct, and the same stays the same.
func (a *adapter) hash(p *param, v []byte) {
	s := text(v)
	if len(s) > p.MaxChars {
		sum := sha256.Sum256([]byte("homeport user\x00" + s))
		short := hex.EncodeToString(sum[:])
		a.patch().Set(p.name, openai.Quote(nil, short[:min(p.MaxChars, len(short))]))
		a.report(p.name, "hashed")
	}
	if p.To != "" {
		a.patch().Rename(p.name, p.To)
		a.renamed(p.name, p.To)
	}
}

// tokenLimit gives the output limit the one name that the target knows.
func (a *adapter) tokenLimit() {
	name := a.facts.TokenLimit
	if name == "" {
		return
	}
	old, now := a.value("max_tokens") != nil, a.value("max_completion_tokens") != nil
	if old && now {
		a.drop("max_tokens") // max_completion_tokens is what OpenAI goes by
	}
	switch {
	case name == "either":
	case now && name != "max_completion_tokens":
		a.patch().Rename("max_completion_tokens", name)
		a.renamed("max_completion_tokens", name)
	case old && !now && name != "max_tokens":
		a.patch().Rename("max_tokens", name)
		a.renamed("max_tokens", name)
	}
}
