package openai

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// MaxDepth is the deepest nesting a request may have.
const MaxDepth = 200

// knownTop are the top-level names that policy or a dialect reads. A name that equals one of them only without regard to
// case is refused: some upstreams match names without case (attack case E1).
var knownTop = []string{"model", "messages", "tools", "stream", "user", "functions", "function_call", "tool_choice",
	"stream_options", "response_format", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens",
	"logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "reasoning_effort", "parallel_tool_calls",
	"metadata", "prompt", "input", "suffix", "dimensions", "encoding_format", "prediction", "modalities", "audio", "store",
	"extra_body", "litellm_params"}

var knownMessage = []string{"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content"}

// routing are the names that would choose a host, a credential or a dialect (attack case A1).
var routing = []string{"api_base", "base_url", "api_key", "api_version", "api_type", "custom_llm_provider", "extra_headers",
	"proxy", "organization", "azure_endpoint", "azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "vertex_credentials"}

// routingInMetadata: metadata is the client's own; only what other gateways read as a host or key is refused there.
var routingInMetadata = []string{"api_base", "base_url", "api_key"}

// Parse reads one request body strictly: one JSON object, names unique at every depth, valid UTF-8, nothing after it,
// nesting at most [MaxDepth]. The returned view points into raw. Every error is a 400 that names field and reason.
func Parse(endpoint Endpoint, raw []byte) (*Request, *Error) {
	p := parsers.Get().(*parser)
	defer func() {
		*p = parser{scanner: scanner{names: p.names[:0]}}
		parsers.Put(p)
	}()
	p.r = &Request{Endpoint: endpoint, Raw: raw}
	p.b = raw
	if !p.top() {
		return nil, p.refusal()
	}
	if err := checkShape(p.r); err != nil {
		return nil, err
	}
	return p.r, nil
}

var parsers = sync.Pool{New: func() any { return &parser{} }}

// parser builds the view while the scanner reads. Its methods return false when reading must stop; why is in refused or,
// for the JSON itself, in the scanner's err.
type parser struct {
	scanner
	r       *Request
	refused *Error
	field   string // top-level member being read
	group   int32
	depth   int
}

// place says what a value is, as far as inspection cares.
type place uint8

const (
	placeOther   place = iota
	placeContent       // message content, prompt, input: its strings are joined with their neighbours
	placeBlob          // text that is not for reading: data URLs, audio, files
)

func (p *parser) refuse(e *Error) bool {
	p.refused = e
	return false
}

func (p *parser) refusal() *Error {
	if p.refused != nil {
		return p.refused
	}
	if p.err.dup {
		return BadRequest(p.field, "duplicate_field", "The request body repeats the name of a field. 请求体中有重复的字段名。")
	}
	return BadRequest(p.field, "invalid_json", fmt.Sprintf("The request body is not strict JSON: %s (byte %d). 请求体不是严格的 JSON。", p.err.reason, p.err.at))
}

// open reads the byte that opens an object or array and returns where it stands.
func (p *parser) open(want byte, field string) (int, bool) {
	if c := p.peek(); c != want {
		if c == 0 || c != '{' && c != '[' && c != '"' && c != '-' && (c < '0' || c > '9') && c != 't' && c != 'f' && c != 'n' {
			return 0, p.unexpected()
		}
		what, zh := "an object", "对象"
		if want == '[' {
			what, zh = "an array", "数组"
		}
		if field == "" {
			return 0, p.refuse(BadRequest("", "invalid_type", "The request body must be "+what+". 请求体必须是"+zh+"。"))
		}
		return 0, p.refuse(BadRequest(field, "invalid_type", "'"+field+"' must be "+what+". "+field+" 必须是"+zh+"。"))
	}
	if p.depth++; p.depth > MaxDepth {
		return 0, p.refuse(BadRequest(p.field, "too_deep", fmt.Sprintf("The request body nests deeper than %d levels. 请求体嵌套过深。", MaxDepth)))
	}
	p.i++
	return p.i - 1, true
}

// members reads an object, calling member for each with its name read and the colon behind; member reads the value.
func (p *parser) members(field string, known []string, member func(*parser, Field) bool) (obj Span, ok bool) {
	start, ok := p.open('{', field)
	if !ok {
		return Span{}, false
	}
	mark := p.begin()
	var seen map[string]struct{}
	for first := true; ; first = false {
		if p.peek() == '}' && first {
			break
		}
		text, escaped, ok := p.str()
		if !ok {
			return Span{}, false
		}
		if !p.unique(mark, name{text, escaped}, &seen) {
			if p.field == "" {
				p.field = shown(p.text(name{text, escaped}))
			}
			return Span{}, false
		}
		f := Field{NameSpan: Span{text.Start - 1, text.End + 1}}
		if escaped {
			f.Name = p.text(name{text, escaped})
		} else {
			f.Name = intern(text.Of(p.b))
		}
		if !p.near(f.Name, known) || !p.take(':') {
			return Span{}, false
		}
		p.space()
		f.Value.Start = p.i
		if !member(p, f) {
			return Span{}, false
		}
		if p.peek() != ',' {
			break
		}
		p.i++
	}
	p.end(mark)
	p.depth--
	ok = p.take('}')
	return Span{start, p.i}, ok
}

// elements reads an array, calling element for each.
func (p *parser) elements(field string, element func(*parser) bool) bool {
	if _, ok := p.open('[', field); !ok {
		return false
	}
	for first := true; ; first = false {
		if p.peek() == ']' && first {
			break
		}
		if !element(p) {
			return false
		}
		if p.peek() != ',' {
			break
		}
		p.i++
	}
	p.depth--
	return p.take(']')
}

// near refuses names that differ from a known one in case only.
func (p *parser) near(n string, known []string) bool {
	for _, k := range known {
		if n == k {
			return true
		}
	}
	for _, k := range known {
		if strings.EqualFold(n, k) {
			return p.refuse(BadRequest(k, "ambiguous_field", "A field name differs from '"+k+"' only in case. 字段名与 "+k+" 仅大小写不同。"))
		}
	}
	return true
}

func (p *parser) noRouting(n string, list []string, param string) bool {
	for _, k := range list {
		if strings.EqualFold(n, k) {
			return p.refuse(BadRequest(param, "unsupported_parameter", "'"+k+"' cannot be set by a request: upstreams come from the gateway's configuration only. 请求不能指定 "+k+"：上游只由网关配置决定。"))
		}
	}
	return true
}

func (p *parser) top() bool {
	p.r.Fields = make([]Field, 0, 12)
	obj, ok := p.members("", knownTop, (*parser).topMember)
	if !ok {
		return false
	}
	p.r.Object = obj
	if p.space(); p.i < len(p.b) {
		return p.refuse(BadRequest("", "trailing_data", "Something follows the JSON object in the request body. 请求体在 JSON 对象之后还有内容。"))
	}
	return true
}

func (p *parser) topMember(f Field) bool {
	p.field = shown(f.Name)
	if !p.noRouting(f.Name, routing, f.Name) {
		return false
	}
	p.group++
	ok := true
	switch f.Name {
	case "messages":
		p.r.Messages = make([]Message, 0, 8)
		ok = p.elements("messages", (*parser).message)
	case "prompt", "input":
		ok = p.inputs()
	case "extra_body", "litellm_params":
		ok = p.guarded(f.Name, routing)
	case "metadata":
		ok = p.guarded(f.Name, routingInMetadata)
	default:
		ok = p.value(placeOther)
	}
	if !ok {
		return false
	}
	f.Value.End = p.i
	p.r.Fields = append(p.r.Fields, f)
	ok = p.settle(f)
	p.field = ""
	return ok
}

// shown is a name as an error may show it.
func shown(n string) string {
	if len(n) > 64 {
		return ""
	}
	return n
}

// settle reads the members the gateway itself acts upon.
func (p *parser) settle(f Field) bool {
	v := f.Value.Of(p.b)
	switch f.Name {
	case "model":
		if v[0] != '"' {
			return p.refuse(BadRequest("model", "invalid_type", "'model' must be a string. model 必须是字符串。"))
		}
		p.r.Model, p.r.ModelSpan = Str(p.b, f.Value), f.Value
	case "stream":
		switch string(v) {
		case "true":
			p.r.Stream = true
		case "false", "null":
		default:
			return p.refuse(BadRequest("stream", "invalid_type", "'stream' must be true or false. stream 必须是布尔值。"))
		}
	case "stream_options":
		if v[0] != '{' && string(v) != "null" {
			return p.refuse(BadRequest("stream_options", "invalid_type", "'stream_options' must be an object. stream_options 必须是对象。"))
		}
		if s, ok := Member(p.b, f.Value, "include_usage"); ok {
			p.r.IncludeUsage = string(s.Of(p.b)) == "true"
		}
	}
	return true
}

// guarded reads an object whose direct members may not look like routing.
func (p *parser) guarded(field string, list []string) bool {
	if p.peek() != '{' {
		return p.value(placeOther)
	}
	_, ok := p.members(field, nil, func(p *parser, f Field) bool {
		p.addName(f)
		return p.noRouting(f.Name, list, field) && p.value(placeOther)
	})
	return ok
}

func (p *parser) message() bool {
	p.group++
	m := Message{Fields: make([]Field, 0, 4)}
	p.r.Messages = append(p.r.Messages, m)
	last := len(p.r.Messages) - 1
	obj, ok := p.members("messages", knownMessage, (*parser).messageMember)
	if !ok {
		return false
	}
	p.r.Messages[last].Span = obj
	return true
}

func (p *parser) messageMember(f Field) bool {
	ok := true
	switch f.Name {
	case "content":
		ok = p.content()
	case "audio":
		p.r.Uninspected++
		ok = p.value(placeOther)
	default:
		ok = p.value(placeOther)
	}
	if !ok {
		return false
	}
	f.Value.End = p.i
	m := &p.r.Messages[len(p.r.Messages)-1]
	if f.Name == "role" {
		if p.b[f.Value.Start] != '"' {
			return p.refuse(BadRequest("messages", "invalid_type", "A message's 'role' must be a string. 消息的 role 必须是字符串。"))
		}
		role, err := Unquote(f.Value.Of(p.b))
		if err != nil {
			return p.unexpected()
		}
		m.Role = intern(role)
	}
	m.Fields = append(m.Fields, f)
	return true
}

// content reads a message's content: a string, null, or an array of parts.
func (p *parser) content() bool {
	if p.peek() != '[' {
		return p.value(placeContent)
	}
	return p.elements("content", func(p *parser) bool {
		if p.peek() != '{' {
			return p.value(placeContent)
		}
		_, ok := p.members("content", nil, (*parser).partMember)
		return ok
	})
}

func (p *parser) partMember(f Field) bool {
	switch f.Name {
	case "text":
		return p.value(placeContent)
	case "image_url", "input_audio", "file", "video_url", "image", "audio":
		p.r.Uninspected++
		return p.value(placeBlob)
	case "type":
		return p.value(placeOther)
	}
	p.addName(f)
	return p.value(placeOther)
}

// inputs reads "prompt" or "input": a string, an array of strings, or token arrays, which cannot be read.
func (p *parser) inputs() bool {
	switch c := p.peek(); {
	case c == '[':
	case c == '-' || c >= '0' && c <= '9':
		p.r.Uninspected++
		return p.value(placeOther)
	default:
		return p.value(placeContent)
	}
	tokens := false
	ok := p.elements("input", func(p *parser) bool {
		switch c := p.peek(); {
		case c == '-' || c >= '0' && c <= '9':
			tokens = true
			_, ok := p.number()
			return ok
		case c == '[':
			p.r.Uninspected++
			return p.value(placeOther)
		}
		p.group++ // inputs are texts apart
		return p.value(placeContent)
	})
	if tokens {
		p.r.Uninspected++
	}
	return ok
}

// value reads any value and notes every text in it.
func (p *parser) value(at place) bool {
	switch c := p.peek(); {
	case c == '"':
		text, escaped, ok := p.str()
		if ok {
			p.addText(text, escaped, at)
		}
		return ok
	case c == '{':
		_, ok := p.members("", nil, func(p *parser, f Field) bool {
			p.addName(f)
			return p.value(at)
		})
		return ok
	case c == '[':
		return p.elements("", func(p *parser) bool { return p.value(at) })
	case c == '-' || c >= '0' && c <= '9':
		n, ok := p.number()
		if ok && n.Len() >= 7 {
			p.r.Texts = append(p.r.Texts, Text{Span: n, Number: true, Group: p.group})
		}
		return ok
	case c == 't' || c == 'f' || c == 'n':
		return p.literal()
	}
	return p.unexpected()
}

func (p *parser) addText(text Span, escaped bool, at place) {
	if at == placeBlob && (text.Len() > 1024 || bytes.HasPrefix(text.Of(p.b), []byte("data:"))) {
		return // counted as uninspected
	}
	t := Text{Span: text, Escaped: escaped, Group: p.group, Content: at == placeContent}
	if t.Content {
		p.r.TextBytes += t.Len()
	}
	p.r.Texts = append(p.r.Texts, t)
}

// addName notes a free-form member name: schemas and arguments can carry text in names.
func (p *parser) addName(f Field) {
	if f.NameSpan.Len() < 8 {
		return // too short for any detector
	}
	t := Text{Span: Span{f.NameSpan.Start + 1, f.NameSpan.End - 1}, Group: p.group}
	t.Escaped = bytes.IndexByte(t.Of(p.b), '\\') >= 0
	p.r.Texts = append(p.r.Texts, t)
}

// checkShape refuses bodies that no target could answer, naming the field.
func checkShape(r *Request) *Error {
	need, zh := "", ""
	switch r.Endpoint {
	case Chat:
		if len(r.Messages) == 0 {
			need, zh = "messages", "messages 不能为空"
		}
	case Completions:
		if !r.Has("prompt") {
			need, zh = "prompt", "缺少 prompt"
		}
	case Embeddings:
		if !r.Has("input") {
			need, zh = "input", "缺少 input"
		}
	}
	if need != "" {
		return BadRequest(need, "missing_required_parameter", "'"+need+"' is required and may not be empty. "+zh+"。")
	}
	for i := range r.Messages {
		if r.Messages[i].Role == "" {
			return BadRequest(fmt.Sprintf("messages[%d].role", i), "missing_required_parameter", "A message has no role. 消息缺少 role。")
		}
	}
	return nil
}

// intern returns the string for b without allocating for names that every request uses.
func intern(b []byte) string {
	switch string(b) {
	case "model":
		return "model"
	case "messages":
		return "messages"
	case "role":
		return "role"
	case "content":
		return "content"
	case "stream":
		return "stream"
	case "stream_options":
		return "stream_options"
	case "temperature":
		return "temperature"
	case "top_p":
		return "top_p"
	case "max_tokens":
		return "max_tokens"
	case "max_completion_tokens":
		return "max_completion_tokens"
	case "tools":
		return "tools"
	case "tool_choice":
		return "tool_choice"
	case "tool_calls":
		return "tool_calls"
	case "tool_call_id":
		return "tool_call_id"
	case "reasoning_content":
		return "reasoning_content"
	case "response_format":
		return "response_format"
	case "type":
		return "type"
	case "text":
		return "text"
	case "name":
		return "name"
	case "function":
		return "function"
	case "arguments":
		return "arguments"
	case "input":
		return "input"
	case "prompt":
		return "prompt"
	case "user":
		return "user"
	case "system":
		return "system"
	case "assistant":
		return "assistant"
	case "tool":
		return "tool"
	}
	return string(b)
}
