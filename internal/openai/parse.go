package openai

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
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
		p.r = nil
		p.buf = bytes.Buffer{}
		parsers.Put(p)
	}()
	p.r = &Request{Endpoint: endpoint, Raw: raw}
	p.buf = *bytes.NewBuffer(raw)
	p.dec.Reset(&p.buf)
	if err := p.top(); err != nil {
		return nil, p.refusal(err)
	}
	if err := checkShape(p.r); err != nil {
		return nil, err
	}
	return p.r, nil
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.dec = jsontext.NewDecoder(&p.buf)
	return p
}}

type parser struct {
	r     *Request
	buf   bytes.Buffer
	dec   *jsontext.Decoder
	group int32
}

// place says what a value is, as far as inspection cares.
type place uint8

const (
	placeOther   place = iota
	placeContent       // message content, prompt, input: its strings are joined with their neighbours
	placeBlob          // text that is not for reading: data URLs, audio, files
)

func (p *parser) refusal(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	reason, field := "not valid JSON", ""
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		field = pointerField(se.JSONPointer)
		switch {
		case errors.Is(se.Err, jsontext.ErrDuplicateName):
			return BadRequest(field, "duplicate_field", "The request body repeats the name of a field. 请求体中有重复的字段名。")
		case se.Err != nil:
			reason = se.Err.Error()
		}
		reason = fmt.Sprintf("%s (byte %d)", reason, se.ByteOffset)
	} else if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		reason = "the body ends too early"
	}
	return BadRequest(field, "invalid_json", "The request body is not strict JSON: "+reason+". 请求体不是严格的 JSON。")
}

// pointerField is the first member of a JSON pointer, which is enough to find the place and holds no content.
func pointerField(ptr jsontext.Pointer) string {
	for name := range ptr.Tokens() {
		if len(name) > 64 || !utf8.ValidString(name) {
			return ""
		}
		return name
	}
	return ""
}

func (p *parser) top() error {
	start, err := p.open('{', "")
	if err != nil {
		return err
	}
	p.r.Object.Start = start
	p.r.Fields = make([]Field, 0, 12)
	for p.dec.PeekKind() != '}' {
		f, err := p.name(knownTop)
		if err != nil {
			return err
		}
		if err := refuseRouting(f.Name, routing, f.Name); err != nil {
			return err
		}
		p.group++
		switch f.Name {
		case "messages":
			err = p.messages()
		case "prompt", "input":
			err = p.inputs()
		case "extra_body", "litellm_params":
			err = p.guarded(f.Name, routing)
		case "metadata":
			err = p.guarded(f.Name, routingInMetadata)
		default:
			err = p.value(placeOther)
		}
		if err != nil {
			return err
		}
		f.Value = p.span(f.NameSpan.End)
		if err := p.topField(f); err != nil {
			return err
		}
		p.r.Fields = append(p.r.Fields, f)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	p.r.Object.End = int(p.dec.InputOffset())
	if _, err := p.dec.ReadToken(); err != io.EOF {
		if err == nil {
			err = BadRequest("", "trailing_data", "Something follows the JSON object in the request body. 请求体在 JSON 对象之后还有内容。")
		}
		return err
	}
	return nil
}

// topField settles the members the gateway itself reads.
func (p *parser) topField(f Field) error {
	v := f.Value.Of(p.r.Raw)
	switch f.Name {
	case "model":
		if v[0] != '"' {
			return BadRequest("model", "invalid_type", "'model' must be a string. model 必须是字符串。")
		}
		p.r.Model, p.r.ModelSpan = Str(p.r.Raw, f.Value), f.Value
	case "stream":
		switch string(v) {
		case "true":
			p.r.Stream = true
		case "false", "null":
		default:
			return BadRequest("stream", "invalid_type", "'stream' must be true or false. stream 必须是布尔值。")
		}
	case "stream_options":
		if v[0] != '{' && string(v) != "null" {
			return BadRequest("stream_options", "invalid_type", "'stream_options' must be an object. stream_options 必须是对象。")
		}
		if s, ok := Member(p.r.Raw, f.Value, "include_usage"); ok {
			p.r.IncludeUsage = string(s.Of(p.r.Raw)) == "true"
		}
	}
	return nil
}

// span is the value just read: it ends here and starts after the name (or comma) at from.
func (p *parser) span(from int) Span {
	raw := p.r.Raw
	i := skipSpace(raw, from)
	if i < len(raw) && raw[i] == ':' {
		i = skipSpace(raw, i+1)
	}
	return Span{i, int(p.dec.InputOffset())}
}

// open reads the token that opens an object or array and returns where it stands.
func (p *parser) open(want jsontext.Kind, field string) (int, error) {
	if k := p.dec.PeekKind(); k != want && k > 0 {
		what, zh := "an object", "对象"
		if want == '[' {
			what, zh = "an array", "数组"
		}
		if field == "" {
			return 0, BadRequest("", "invalid_type", "The request body must be "+what+". 请求体必须是"+zh+"。")
		}
		return 0, BadRequest(field, "invalid_type", "'"+field+"' must be "+what+". "+field+" 必须是"+zh+"。")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return 0, err
	}
	if p.dec.StackDepth() > MaxDepth {
		return 0, BadRequest(field, "too_deep", fmt.Sprintf("The request body nests deeper than %d levels. 请求体嵌套过深。", MaxDepth))
	}
	return int(p.dec.InputOffset()) - 1, nil
}

func (p *parser) close() error {
	_, err := p.dec.ReadToken()
	return err
}

// name reads a member's name, refusing near-misses of known names.
func (p *parser) name(known []string) (Field, error) {
	v, err := p.dec.ReadValue()
	if err != nil {
		return Field{}, err
	}
	end := int(p.dec.InputOffset())
	f := Field{NameSpan: Span{end - len(v), end}}
	b, err := Unquote(v)
	if err != nil {
		return Field{}, err
	}
	f.Name = intern(b)
	for _, k := range known {
		if f.Name == k {
			return f, nil
		}
	}
	for _, k := range known {
		if strings.EqualFold(f.Name, k) {
			return Field{}, BadRequest(k, "ambiguous_field", "A field name differs from '"+k+"' only in case. 字段名与 "+k+" 仅大小写不同。")
		}
	}
	return f, nil
}

func refuseRouting(name string, list []string, param string) error {
	for _, k := range list {
		if strings.EqualFold(name, k) {
			return BadRequest(param, "unsupported_parameter", "'"+k+"' cannot be set by a request: upstreams come from the gateway's configuration only. 请求不能指定 "+k+"：上游只由网关配置决定。")
		}
	}
	return nil
}

// guarded reads an object whose direct members may not look like routing.
func (p *parser) guarded(field string, list []string) error {
	if p.dec.PeekKind() != '{' {
		return p.value(placeOther)
	}
	if _, err := p.open('{', field); err != nil {
		return err
	}
	for p.dec.PeekKind() != '}' {
		f, err := p.name(nil)
		if err != nil {
			return err
		}
		if err := refuseRouting(f.Name, list, field); err != nil {
			return err
		}
		p.addName(f)
		if err := p.value(placeOther); err != nil {
			return err
		}
	}
	return p.close()
}

func (p *parser) messages() error {
	if _, err := p.open('[', "messages"); err != nil {
		return err
	}
	p.r.Messages = make([]Message, 0, 8)
	for p.dec.PeekKind() != ']' {
		p.group++
		start, err := p.open('{', "messages")
		if err != nil {
			return err
		}
		m := Message{Span: Span{Start: start}, Fields: make([]Field, 0, 4)}
		for p.dec.PeekKind() != '}' {
			f, err := p.name(knownMessage)
			if err != nil {
				return err
			}
			switch f.Name {
			case "content":
				err = p.content()
			case "audio":
				p.r.Uninspected++
				err = p.value(placeOther)
			default:
				err = p.value(placeOther)
			}
			if err != nil {
				return err
			}
			f.Value = p.span(f.NameSpan.End)
			if f.Name == "role" {
				if p.r.Raw[f.Value.Start] != '"' {
					return BadRequest("messages", "invalid_type", "A message's 'role' must be a string. 消息的 role 必须是字符串。")
				}
				m.Role = intern([]byte(Str(p.r.Raw, f.Value)))
			}
			m.Fields = append(m.Fields, f)
		}
		if err := p.close(); err != nil {
			return err
		}
		m.End = int(p.dec.InputOffset())
		p.r.Messages = append(p.r.Messages, m)
	}
	return p.close()
}

// content reads a message's content: a string, null, or an array of parts.
func (p *parser) content() error {
	if p.dec.PeekKind() != '[' {
		return p.value(placeContent)
	}
	if _, err := p.open('[', "content"); err != nil {
		return err
	}
	for p.dec.PeekKind() != ']' {
		if p.dec.PeekKind() != '{' {
			if err := p.value(placeContent); err != nil {
				return err
			}
			continue
		}
		if _, err := p.open('{', "content"); err != nil {
			return err
		}
		for p.dec.PeekKind() != '}' {
			f, err := p.name(nil)
			if err != nil {
				return err
			}
			switch f.Name {
			case "text":
				err = p.value(placeContent)
			case "image_url", "input_audio", "file", "video_url", "image", "audio":
				p.r.Uninspected++
				err = p.value(placeBlob)
			case "type":
				err = p.value(placeOther)
			default:
				p.addName(f)
				err = p.value(placeOther)
			}
			if err != nil {
				return err
			}
		}
		if err := p.close(); err != nil {
			return err
		}
	}
	return p.close()
}

// inputs reads "prompt" or "input": a string, an array of strings, or token arrays, which cannot be read.
func (p *parser) inputs() error {
	switch p.dec.PeekKind() {
	case '[':
	case '0':
		p.r.Uninspected++
		return p.value(placeOther)
	default:
		return p.value(placeContent)
	}
	if _, err := p.open('[', "input"); err != nil {
		return err
	}
	tokens := false
	for p.dec.PeekKind() != ']' {
		switch p.dec.PeekKind() {
		case '0':
			tokens = true
			if err := p.dec.SkipValue(); err != nil {
				return err
			}
		case '[':
			p.r.Uninspected++
			if err := p.value(placeOther); err != nil {
				return err
			}
		default:
			p.group++ // inputs are texts apart
			if err := p.value(placeContent); err != nil {
				return err
			}
		}
	}
	if tokens {
		p.r.Uninspected++
	}
	return p.close()
}

// value reads any value and notes every text in it.
func (p *parser) value(at place) error {
	switch p.dec.PeekKind() {
	case '"':
		v, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		p.addText(v, at)
		return nil
	case '0':
		v, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if len(v) >= 7 {
			end := int(p.dec.InputOffset())
			p.r.Texts = append(p.r.Texts, Text{Span: Span{end - len(v), end}, Number: true, Group: p.group})
		}
		return nil
	case '{':
		if _, err := p.open('{', ""); err != nil {
			return err
		}
		for p.dec.PeekKind() != '}' {
			f, err := p.name(nil)
			if err != nil {
				return err
			}
			p.addName(f)
			if err := p.value(at); err != nil {
				return err
			}
		}
		return p.close()
	case '[':
		if _, err := p.open('[', ""); err != nil {
			return err
		}
		for p.dec.PeekKind() != ']' {
			if err := p.value(at); err != nil {
				return err
			}
		}
		return p.close()
	}
	_, err := p.dec.ReadToken()
	return err
}

func (p *parser) addText(v jsontext.Value, at place) {
	end := int(p.dec.InputOffset())
	t := Text{Span: Span{end - len(v) + 1, end - 1}, Group: p.group, Content: at == placeContent}
	t.Escaped = bytes.IndexByte(v, '\\') >= 0
	if at == placeBlob && (len(v) > 1024 || bytes.HasPrefix(v, []byte(`"data:`))) {
		return // counted as uninspected
	}
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
	t.Escaped = bytes.IndexByte(t.Of(p.r.Raw), '\\') >= 0
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
