package provider

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"homeport/internal/openai"
)

// Target is one place a request can go to: what the configuration says of it.
type Target struct {
	// Model is the name sent upstream: a model id, or Azure's deployment name.
	Model string
	// BaseModel is the model's own name where Model is a deployment or an endpoint id; it selects the rules. Empty: Model.
	BaseModel string
	// Rules are the precomputed [Wire.For] the base model; nil computes them on each call.
	Rules *ModelRules
	// APIVersion is Azure's api-version for AzureStyle "deployments".
	APIVersion string
	// AzureStyle is "deployments" or "v1" (the default).
	AzureStyle string
	// JSONSchema says what to do where json_schema is not known: "emulate" (the default) or "refuse".
	JSONSchema string
	// ToolChoice says what to do where required or named is not taken: "refuse" (the default) or "auto".
	ToolChoice string
}

// Plan is a request as one target takes it.
type Plan struct {
	Path  string // appended to the base URL; escaped
	Query string // without "?"; empty for none
	// Edits turn the request's raw bytes into the body, with [openai.Apply].
	Edits []openai.Edit
	// Adapted names everything that changed but the model's name and the question for usage.
	Adapted []Adaptation

	Model  string // the name the target goes by: in the body, or in Azure's path
	Stream bool
	// NamedModel: the body's model was set to Model. Not where it is that already, or where only the path tells.
	NamedModel bool
	// WantUsage: the client asked for a usage chunk. AskedUsage: only Homeport did, and the client must not see it.
	WantUsage, AskedUsage bool
	// Schema is the JSON schema that the provider is only asked in words to follow, or that it does not promise to follow;
	// the answer is validated against it.
	Schema []byte
	schema *answerSchema
	// Thinking is whether the answer will be thought over: on, off, or empty for not known.
	Thinking string
	// ReencodeEmbeddings: the client asked for base64 and floats are asked for upstream.
	ReencodeEmbeddings bool
	// LegacyFunctions: the client speaks functions; tool_calls of the answer must become function_call.
	LegacyFunctions bool
}

// Adaptation is one change to a request. Its text is short ASCII, for x-homeport-adapted and events; it holds no values.
type Adaptation struct {
	Param  string
	Action string // renamed, clamped, dropped, mapped, set, emulated, folded, merged, flattened, cut, off, inert …
	To     string // the new name, of renamed
}

// String is "a>b" for a new name, else "param:action".
func (a Adaptation) String() string {
	if a.To != "" {
		return a.Param + ">" + a.To
	}
	return a.Param + ":" + a.Action
}

// AppendAdapted appends the list as x-homeport-adapted shows it, comma-separated.
func AppendAdapted(dst []byte, list []Adaptation) []byte {
	for i, a := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, a.String()...)
	}
	return dst
}

// adapter carries one request through the translation.
type adapter struct {
	*ModelRules
	req  *openai.Request
	t    Target
	p    *openai.Patch
	plan Plan
	// splices are edits of the model's name and inside messages: the patch touches neither.
	splices []openai.Edit

	choice   string // the tool_choice kind as it will be sent; see tools.go
	hasTools bool
	level    string   // the reasoning_effort that goes upstream
	inside   []member // set in the one top-level object that switches thinking
	// hint is what must be said to the model in a system message.
	hint string
}

// Adapt says how req must change for t, or, as an error with status 400 that names the field, that t cannot take it.
// It is pure, and req stays as it is. req must be the view of the bytes that will be sent: mask first, parse again, then adapt.
func (w *Wire) Adapt(req *openai.Request, t Target) (Plan, *openai.Error) {
	rules := t.Rules
	if rules == nil {
		rules = w.For(or(t.BaseModel, t.Model))
	}
	a := adapter{ModelRules: rules, req: req, t: t}
	a.plan = Plan{Model: t.Model, Stream: req.Stream, WantUsage: req.Stream && req.IncludeUsage}
	if err := a.route(); err != nil {
		return Plan{}, err
	}
	a.name()
	var err *openai.Error
	switch req.Endpoint {
	case openai.Chat:
		err = a.chat()
	case openai.Completions:
		err = a.completions()
	case openai.Embeddings:
		err = a.embeddings()
	}
	if err != nil {
		return Plan{}, err
	}
	a.plan.Edits = a.splices
	if a.p != nil {
		a.plan.Edits = a.p.Edits(a.splices)
	}
	return a.plan, nil
}

// patch collects the changes to top-level members; most requests need none but the model's name.
func (a *adapter) patch() *openai.Patch {
	if a.p == nil {
		a.p = openai.NewPatch(a.req.Object, a.req.Fields)
	}
	return a.p
}

// route settles path and query, and refuses an endpoint the provider does not have.
func (a *adapter) route() *openai.Error {
	w := a.wire
	var have Support
	var p, op string
	switch a.req.Endpoint {
	case openai.Chat:
		have, p, op = a.endpoints.Chat, w.Paths.Chat, "/chat/completions"
	case openai.Completions:
		have, p, op = a.endpoints.Completions, w.Paths.Completions, "/completions"
	case openai.Embeddings:
		have, p, op = a.endpoints.Embeddings, w.Paths.Embeddings, "/embeddings"
	default:
		return refuse("", "unsupported_endpoint", "This target does not offer this endpoint.", "此目标不提供该接口。")
	}
	switch {
	case w.Status == "retired":
		return refuse("model", "unsupported_endpoint", "This provider's service has stopped.", "该服务已停止。")
	case have == No:
		return refuse("model", "unsupported_endpoint", "This target does not offer "+a.req.Endpoint.String()+".", "此目标不提供该接口："+a.req.Endpoint.String()+"。")
	case a.req.Stream && a.endpoints.Stream == No && a.req.Endpoint != openai.Embeddings:
		return unsupported("stream")
	}
	if w.Dialect == DialectAzure {
		if a.t.AzureStyle == "deployments" {
			a.plan.Path = "/openai/deployments/" + url.PathEscape(a.t.Model) + op
			a.plan.Query = "api-version=" + url.QueryEscape(a.t.APIVersion)
			return nil
		}
		a.plan.Path = "/openai/v1" + op
		return nil
	}
	a.plan.Path = or(p, op)
	return nil
}

// name puts the target's own name in. Azure's deployment path ignores the body's.
func (a *adapter) name() {
	if a.req.Model == a.t.Model && a.req.ModelSpan.Len() > 0 || a.wire.Dialect == DialectAzure && a.t.AzureStyle == "deployments" {
		return
	}
	a.plan.NamedModel = true
	name := a.quoted
	if a.t.Model != a.ModelRules.model {
		name = openai.Quote(make([]byte, 0, len(a.t.Model)+2), a.t.Model)
	}
	if a.req.ModelSpan.Len() == 0 {
		a.patch().Set("model", name)
		return
	}
	a.splices = append(make([]openai.Edit, 0, 2), openai.Edit{Span: a.req.ModelSpan, New: name})
}

func (a *adapter) chat() *openai.Error {
	a.hasTools = a.req.Has("tools") || a.req.Has("functions")
	if a.hasTools && a.endpoints.Tools == No {
		return unsupported("tools")
	}
	if a.endpoints.ParallelTools == No && a.value("parallel_tool_calls") != nil {
		a.drop("parallel_tool_calls")
	}
	// The order matters: functions and tool_choice settle what thinking must bow to, thinking settles which rules on
	// parameters hold, and the format's words go into the messages.
	if err := a.functions(); err != nil {
		return err
	}
	if err := a.toolChoice(); err != nil {
		return err
	}
	if err := a.reasoning(); err != nil {
		return err
	}
	if err := a.params(); err != nil {
		return err
	}
	a.tokenLimit()
	if err := a.responseFormat(); err != nil {
		return err
	}
	if err := a.messages(); err != nil {
		return err
	}
	a.streamOptions()
	return nil
}

func (a *adapter) completions() *openai.Error {
	if err := a.params(); err != nil {
		return err
	}
	a.streamOptions()
	return nil
}

// streamOptions asks for usage wherever that is not refused: metering rests on it. Not reported (DESIGN 5.1).
func (a *adapter) streamOptions() {
	f, given := a.req.Field("stream_options")
	null := given && isNull(f.Value.Of(a.req.Raw))
	switch {
	case !a.req.Stream:
	case a.facts.StreamUsage == "never" || a.only != nil && !a.only["stream_options"]:
		if given {
			a.drop("stream_options")
		}
	case a.req.IncludeUsage:
	case null:
		a.plan.AskedUsage = true
		a.patch().Set("stream_options", []byte(`{"include_usage":true}`))
	case given:
		a.plan.AskedUsage = true
		a.patch().Set("stream_options", setMembers(a.req.Raw, f.Value, member{"include_usage", jsonTrue}))
	default:
		a.plan.AskedUsage = true
		// A splice at the end beside the patch's own: the object is never empty, so the comma is right.
		end := a.req.Object.End - 1
		a.splices = append(a.splices, openai.Edit{Span: openai.Span{Start: end, End: end}, New: includeUsage})
	}
}

var (
	jsonTrue     = []byte("true")
	jsonFalse    = []byte("false")
	includeUsage = []byte(`,"stream_options":{"include_usage":true}`)
)

// setMembers returns the object at span with members set.
func setMembers(raw []byte, span openai.Span, members ...member) []byte {
	p := openai.NewPatch(span, openai.Members(raw, span))
	for _, m := range members {
		p.Set(m.name, m.value)
	}
	return within(raw, span, p.Edits(nil))
}

// within returns the bytes of span with edits, absolute in raw, applied.
func within(raw []byte, span openai.Span, edits []openai.Edit) []byte {
	moved := make([]openai.Edit, len(edits))
	for i, e := range edits {
		moved[i] = openai.Edit{Span: openai.Span{Start: e.Start - span.Start, End: e.End - span.Start}, New: e.New}
	}
	return openai.Apply(nil, span.Of(raw), moved)
}

func (a *adapter) report(param, action string) {
	a.plan.Adapted = append(a.plan.Adapted, Adaptation{Param: param, Action: action})
}

func (a *adapter) renamed(from, to string) {
	a.plan.Adapted = append(a.plan.Adapted, Adaptation{Param: from, Action: "renamed", To: to})
}

func (a *adapter) drop(name string) {
	a.patch().Drop(name)
	a.report(name, "dropped")
}

// value is the raw value of a top-level field, nil when absent or null.
func (a *adapter) value(name string) []byte {
	v := a.req.Value(name)
	if isNull(v) {
		return nil
	}
	return v
}

func isNull(v []byte) bool { return v == nil || bytes.Equal(v, []byte("null")) }

func refuse(param, code, en, zh string) *openai.Error {
	return &openai.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: en + " " + zh}
}

func unsupported(param string) *openai.Error {
	return refuse(param, "unsupported_parameter", "'"+param+"' is not supported by this target.", "此目标不支持 "+param+"。")
}

func unsupportedValue(param string) *openai.Error {
	return refuse(param, "unsupported_value", "This target does not take the given value of '"+param+"'.", "此目标不接受 "+param+" 的这个取值。")
}

func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }

// text is the unquoted text of a raw JSON string, "" for anything else.
func text(v []byte) string {
	if !isString(v) {
		return ""
	}
	b, err := openai.Unquote(v)
	if err != nil {
		return ""
	}
	return string(b)
}

func isHTTP(s string) bool {
	return len(s) > 5 && (strings.EqualFold(s[:5], "http:") || len(s) > 6 && strings.EqualFold(s[:6], "https:"))
}
