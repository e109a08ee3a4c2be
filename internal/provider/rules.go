package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"homeport/internal/openai"
)

// RequestFacts is the `request:` section of a catalog file: what holds for every model, then what differs by model.
type RequestFacts struct {
	RequestRules `yaml:",inline"`
	// Models are applied in order to the models they match; later entries win over earlier ones, field by field.
	Models []ModelFacts `yaml:"models"`
}

// ModelFacts is what differs for the models whose name matches one of Match (globs, `*` and `?`, over the whole name).
type ModelFacts struct {
	Match        []string `yaml:"match"`
	Why          string   `yaml:"why"`
	RequestRules `yaml:",inline"`
}

// RequestRules are the ways a request must change. Every field left empty means: as OpenAI.
type RequestRules struct {
	// Params are rules by name of a top-level field.
	Params map[string]Rule `yaml:"params"`
	// Only lists every field the provider takes in chat, after translation; others are dropped. Empty: others pass.
	Only []string `yaml:"only"`
	// Roles maps a role the provider does not know: developer to system, system to user (folded into the first user turn).
	Roles map[string]string `yaml:"roles"`
	// Content says what message content may be.
	Content Content `yaml:"content"`
	// Order is "system_first": one system message, first; turns of one side are merged; the last is user's or a tool's.
	Order string `yaml:"order"`
	// TokenLimit is the one name of the output limit: max_tokens, max_completion_tokens, or either (not both).
	TokenLimit string `yaml:"token_limit"`
	// StreamUsage is "never" where stream_options is refused; else usage is always asked for.
	StreamUsage string `yaml:"stream_usage"`
	// Reasoning says how thinking is switched and replayed.
	Reasoning Reasoning `yaml:"reasoning"`
	// ToolChoice says what becomes of auto, none, required and named: see the choice actions below.
	ToolChoice map[string]string `yaml:"tool_choice"`
	// Functions is "tools" where the legacy functions and function_call must be translated, "refuse", or empty to pass.
	Functions string `yaml:"functions"`
	// ResponseFormat says what json_object and json_schema need.
	ResponseFormat ResponseFormat `yaml:"response_format"`
	// Embedding holds the limits of /embeddings.
	Embedding Embedding `yaml:"embedding"`
	// Endpoints overrides the provider's functions for some models.
	Endpoints Endpoints `yaml:"endpoints"`
}

// Content limits what message content may be.
type Content struct {
	Parts  string `yaml:"parts"`  // "flatten": text parts become one string, other parts are refused
	Images string `yaml:"images"` // "data": only data: URLs and the provider's own file ids, no http(s)
}

// Reasoning says how a provider's thinking is controlled.
type Reasoning struct {
	// Control is the switch: effort (reasoning_effort), thinking ({"type":…}), enable_thinking (boolean), template
	// (chat_template_kwargs.enable_thinking). Empty: nothing is known, every such field passes.
	Control string   `yaml:"control"`
	On      string   `yaml:"on"`      // thinking.type when on; default "enabled"
	Also    []string `yaml:"also"`    // other values of thinking.type that pass as they are
	Default string   `yaml:"default"` // on or off when the request says nothing; empty: not known
	Always  bool     `yaml:"always"`  // thinking cannot be turned off
	// Efforts maps OpenAI's reasoning_effort to the provider's level, or to on, off or refuse. A value that is not listed
	// is refused when the map is not empty.
	Efforts map[string]string `yaml:"efforts"`
	// StreamOnly: thinking works only in streams.
	StreamOnly bool `yaml:"stream_only"`
	// Replay of earlier turns' reasoning_content: keep (the default), strip, or keep_thinking: the provider strips it itself
	// unless thinking.clear_thinking is false.
	Replay string `yaml:"replay"`
}

// ResponseFormat says what structured output needs, beside endpoints.json_object and endpoints.json_schema.
type ResponseFormat struct {
	Word     bool   `yaml:"word"`      // json_object needs the word JSON in the messages
	AsSchema bool   `yaml:"as_schema"` // json_object is sent as a json_schema that takes any object
	Strict   string `yaml:"strict"`    // "drop": json_schema.strict is not known
}

// Embedding holds the limits of /embeddings; dimensions by model are a rule on `dimensions`.
type Embedding struct {
	MaxItems int    `yaml:"max_items"` // most inputs per request; 0: no known limit
	Tokens   string `yaml:"tokens"`    // "refuse": token arrays are not taken
	Base64   string `yaml:"base64"`    // "yes": encoding_format base64 is known; else floats are asked for and re-encoded
}

// Rule is what happens to one top-level field.
type Rule struct {
	// Action: pass; rename (to); clamp (min, max, zero); drop (always, or outside
	// min and max); refuse (always, or outside min, max, values, max_items);
	// set (value, when absent); map (values); hash (to, max_chars); inert (passes, but has no effect there).
	Action string   `yaml:"action"`
	To     string   `yaml:"to"`
	Min    *float64 `yaml:"min"`
	Max    *float64 `yaml:"max"`
	// Zero replaces 0 where the provider refuses it.
	Zero *float64 `yaml:"zero"`
	// ZeroSet replaces the field, when it is 0, by these.
	ZeroSet map[string]any `yaml:"zero_set"`
	// Value is what set sends.
	Value any `yaml:"value"`
	// Default is sent when the request does not have the field.
	Default any `yaml:"default"`
	// Values of map: from → to, as JSON texts of scalars. Values not listed pass.
	Values map[string]any `yaml:"values"`
	// Allow lists values that pass as they are, whatever the action.
	Allow []any `yaml:"allow"`
	// Same lists values that refuse drops instead: they say what the provider does anyway.
	Same []any `yaml:"same"`
	// MaxItems bounds an array; a value that is not an array counts as one.
	MaxItems int    `yaml:"max_items"`
	MaxChars int    `yaml:"max_chars"`
	When     When   `yaml:"when"`
	Why      string `yaml:"why"`
}

// When narrows a rule; empty members hold always.
type When struct {
	Stream   *bool  `yaml:"stream"`
	Tools    *bool  `yaml:"tools"`
	Thinking string `yaml:"thinking"` // on or off: what the request comes to; unknown counts as neither
}

// Choice actions of tool_choice.
const (
	choicePass       = "pass"
	choiceDrop       = "drop"        // the same as the provider's default
	choiceRefuse     = "refuse"      // or auto, when the target declares that
	choiceNoThinking = "no_thinking" // only without thinking, which is turned off
	choiceSingle     = "single"      // required with one tool becomes that tool by name; with more it is refused
	choiceStripTools = "strip_tools" // none: the tools are not sent
)

// ModelRules are the rules of one wire for one model, ready for use. Immutable; make them once per target with [Wire.For].
type ModelRules struct {
	wire      *Wire
	model     string
	quoted    []byte // the model as a JSON string
	endpoints Endpoints
	params    map[string][]*param // by field; the first whose condition holds counts
	adds      []string            // fields with rules that act on absence, in order of name
	only      map[string]bool
	facts     RequestRules
	// touchMessages is set when any rule looks into messages.
	touchMessages bool
}

type param struct {
	Rule
	name    string
	value   []byte            // of set or default, JSON
	zeroSet []member          // of zero_set
	values  map[string][]byte // JSON → JSON
	allow   []string          // JSON
	same    []string
}

type member struct {
	name  string
	value []byte
}

// For returns the rules for a model, by the name its maker gives it (not a deployment's name).
func (w *Wire) For(model string) *ModelRules {
	m := &ModelRules{wire: w, model: model, quoted: openai.Quote(nil, model), endpoints: w.Endpoints, facts: w.Request.RequestRules, params: map[string][]*param{}}
	f := &m.facts
	m.add(f.Params)
	for _, o := range w.Request.Models {
		if matches(o.Match, model) {
			f.overlay(o.RequestRules)
			overlaySupport(&m.endpoints, o.Endpoints)
			m.add(o.Params)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.params)) {
		if slices.ContainsFunc(m.params[name], func(p *param) bool { return p.value != nil }) {
			m.adds = append(m.adds, name)
		}
	}
	if len(f.Only) > 0 {
		m.only = map[string]bool{}
		for _, n := range f.Only {
			m.only[n] = true
		}
	}
	m.touchMessages = len(f.Roles) > 0 || f.Content != (Content{}) || f.Order != "" || f.Reasoning.Replay == "strip" ||
		m.endpoints.Vision == No || f.Functions != "" || f.Reasoning.Replay == "keep_thinking"
	return m
}

// add puts rules before those there are: one with a condition leaves the others to hold where it does not.
func (m *ModelRules) add(rules map[string]Rule) {
	for name, rule := range rules {
		p, err := compile(name, rule)
		switch {
		case err != nil: // check has refused the file
		case rule.When == (When{}):
			m.params[name] = []*param{p}
		default:
			m.params[name] = append([]*param{p}, m.params[name]...)
		}
	}
}

func matches(globs []string, model string) bool {
	for _, g := range globs {
		if glob(g, model) {
			return true
		}
	}
	return false
}

// glob matches s against a pattern of `*` (any run, slashes too) and `?` (one byte).
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func (f *RequestRules) overlay(o RequestRules) {
	if o.Only != nil {
		f.Only = o.Only
	}
	f.Roles = merged(f.Roles, o.Roles)
	f.ToolChoice = merged(f.ToolChoice, o.ToolChoice)
	f.Content.Parts = or(o.Content.Parts, f.Content.Parts)
	f.Content.Images = or(o.Content.Images, f.Content.Images)
	f.Order = or(o.Order, f.Order)
	f.TokenLimit = or(o.TokenLimit, f.TokenLimit)
	f.StreamUsage = or(o.StreamUsage, f.StreamUsage)
	f.Functions = or(o.Functions, f.Functions)
	r, q := &f.Reasoning, o.Reasoning
	r.Control, r.On, r.Default, r.Replay = or(q.Control, r.Control), or(q.On, r.On), or(q.Default, r.Default), or(q.Replay, r.Replay)
	r.Always = r.Always || q.Always
	r.StreamOnly = r.StreamOnly || q.StreamOnly
	if q.Also != nil {
		r.Also = q.Also
	}
	if q.Efforts != nil {
		r.Efforts = q.Efforts
	}
	f.ResponseFormat.Word = f.ResponseFormat.Word || o.ResponseFormat.Word
	f.ResponseFormat.AsSchema = f.ResponseFormat.AsSchema || o.ResponseFormat.AsSchema
	f.ResponseFormat.Strict = or(o.ResponseFormat.Strict, f.ResponseFormat.Strict)
	if o.Embedding.MaxItems > 0 {
		f.Embedding.MaxItems = o.Embedding.MaxItems
	}
	f.Embedding.Tokens = or(o.Embedding.Tokens, f.Embedding.Tokens)
	f.Embedding.Base64 = or(o.Embedding.Base64, f.Embedding.Base64)
}

func merged(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, over)
	return out
}

func overlaySupport(dst *Endpoints, src Endpoints) {
	to := dst.all()
	for name, v := range src.all() {
		if *v != "" {
			*to[name] = *v
		}
	}
}

func compile(name string, r Rule) (*param, error) {
	p := &param{Rule: r, name: name}
	var err error
	enc := func(v any) []byte {
		b, e := json.Marshal(v)
		if e != nil && err == nil {
			err = fmt.Errorf("params %s: %w", name, e)
		}
		return b
	}
	if r.Value != nil {
		p.value = enc(r.Value)
	}
	if r.Default != nil {
		p.value = enc(r.Default)
	}
	for _, k := range slices.Sorted(maps.Keys(r.ZeroSet)) {
		p.zeroSet = append(p.zeroSet, member{k, enc(r.ZeroSet[k])})
	}
	if len(r.Values) > 0 {
		p.values = map[string][]byte{}
		for k, v := range r.Values {
			p.values[k] = enc(v)
			p.values[string(enc(k))] = enc(v)
		}
	}
	for _, v := range r.Allow {
		p.allow = append(p.allow, string(enc(v)))
	}
	for _, v := range r.Same {
		p.same = append(p.same, string(enc(v)))
	}
	return p, err
}

func number(f float64) []byte { return strconv.AppendFloat(nil, f, 'g', -1, 64) }

// check refuses values outside their lists; it runs once per file.
func (w *Wire) check() error {
	var bad []string
	in := func(what, v string, list ...string) {
		if !slices.Contains(list, v) {
			bad = append(bad, fmt.Sprintf("%s: %q is not one of %q", what, v, list))
		}
	}
	in("dialect", w.Dialect, DialectOpenAI, DialectAzure, DialectNone)
	in("auth.scheme", w.Auth.Scheme, "bearer", "api_key", "none")
	in("status", w.Status, "", "retired")
	if w.Auth.Scheme == "api_key" && w.Auth.Header == "" {
		bad = append(bad, "auth.header: api_key needs one")
	}
	for name, v := range w.Endpoints.all() {
		in("endpoints."+name, string(*v), "yes", "no", "model", "partial", "unknown")
	}
	rules := func(at string, f RequestRules) {
		for name, r := range f.Params {
			at := at + "params." + name
			in(at+".action", r.Action, "pass", "rename", "clamp", "drop", "refuse", "set", "map", "hash", "inert")
			in(at+".when.thinking", r.When.Thinking, "", "on", "off")
			switch {
			case r.Action == "rename" && r.To == "", r.Action == "set" && r.Value == nil, r.Action == "map" && len(r.Values) == 0,
				r.Action == "hash" && r.MaxChars < 16,
				r.Action == "clamp" && r.Min == nil && r.Max == nil && r.Zero == nil && r.ZeroSet == nil:
				bad = append(bad, at+": the action lacks what it needs")
			case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
				bad = append(bad, at+": min is above max")
			}
			if _, err := compile(name, r); err != nil {
				bad = append(bad, err.Error())
			}
		}
		for role, to := range f.Roles {
			in(at+"roles", role, "developer", "system")
			in(at+"roles."+role, to, "system", "user")
		}
		for kind, do := range f.ToolChoice {
			in(at+"tool_choice", kind, "auto", "none", "required", "named")
			in(at+"tool_choice."+kind, do, choicePass, choiceDrop, choiceRefuse, choiceNoThinking, choiceSingle, choiceStripTools)
		}
		in(at+"content.parts", f.Content.Parts, "", "flatten")
		in(at+"content.images", f.Content.Images, "", "data")
		in(at+"order", f.Order, "", "system_first")
		in(at+"token_limit", f.TokenLimit, "", "max_tokens", "max_completion_tokens", "either")
		in(at+"stream_usage", f.StreamUsage, "", "never")
		in(at+"functions", f.Functions, "", "tools", "refuse")
		in(at+"reasoning.control", f.Reasoning.Control, "", controlEffort, controlThinking, controlEnable, controlTemplate)
		in(at+"reasoning.default", f.Reasoning.Default, "", "on", "off")
		in(at+"reasoning.replay", f.Reasoning.Replay, "", "keep", "strip", "keep_thinking")
		for effort := range f.Reasoning.Efforts {
			in(at+"reasoning.efforts", effort, "none", "minimal", "low", "medium", "high", "xhigh", "max")
		}
		in(at+"response_format.strict", f.ResponseFormat.Strict, "", "drop")
		in(at+"embedding.tokens", f.Embedding.Tokens, "", "refuse")
		in(at+"embedding.base64", f.Embedding.Base64, "", "yes")
	}
	rules("request.", w.Request.RequestRules)
	for i, m := range w.Request.Models {
		at := fmt.Sprintf("request.models[%d].", i)
		if len(m.Match) == 0 {
			bad = append(bad, at+"match: empty")
		}
		for name, v := range m.Endpoints.all() {
			in(at+"endpoints."+name, string(*v), "", "yes", "no", "model", "partial", "unknown")
		}
		rules(at, m.RequestRules)
	}
	for _, p := range []string{w.Paths.Chat, w.Paths.Completions, w.Paths.Embeddings, w.Paths.Models, w.Paths.ModelsAtRoot} {
		if p != "" && path.Clean(p) != p {
			bad = append(bad, "paths: "+p+" is not a clean path")
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return fmt.Errorf("%s", bad[0])
	}
	return nil
}
