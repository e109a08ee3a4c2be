package openai

import (
	"bytes"
	"fmt"
	"sync"
)

// Bounds of a request. A few bytes of JSON cost hundreds in memory and work (attack case E8); what passes them is refused
// with the code too_many_items.
const (
	MaxDepth    = 200       // the deepest nesting
	MaxFields   = 1_000     // members at the top
	MaxMessages = 10_000    // elements of "messages"
	MaxParts    = 10_000    // content parts of all messages together
	MaxNames    = 10_000    // members of one object
	MaxValues   = 1_000_000 // values of any kind, at any depth
)

// Parse reads one request body strictly: one JSON object, names unique at every depth, valid UTF-8, nothing after it,
// within the bounds [MaxDepth] to [MaxValues]. The returned view points into raw. Every error is a 400 that names field and reason.
func Parse(endpoint Endpoint, raw []byte) (*Request, *Error) {
	p := parsers.Get().(*parser)
	defer func() {
		if cap(p.names)+cap(p.ends) > keptItems {
			return // made for a body out of the ordinary
		}
		*p = parser{scanner: scanner{names: p.names[:0]}, ends: p.ends[:0]}
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

// keptItems is how much of its lists a parser may keep for the next request.
const keptItems = 4096

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
	values  int
	parts   int
	// fields are the members of all messages, one after the other; ends[i] is where those of message i end. The messages get
	// their slices when all are read, for until then the backing array moves.
	fields []Field
	ends   []int
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

// tooMany refuses a request that passes one of the bounds on numbers.
func (p *parser) tooMany(field string, bound int, what, zh string) bool {
	return p.refuse(BadRequest(field, "too_many_items", fmt.Sprintf("The request has more than %d %s. 请求中%s超过 %d 个。", bound, what, zh, bound)))
}

// another counts one value more.
func (p *parser) another() bool {
	if p.values++; p.values > MaxValues {
		return p.tooMany(p.field, MaxValues, "JSON values", "的 JSON 值")
	}
	return true
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
		if len(p.names)-mark > MaxNames {
			return Span{}, p.tooMany(p.field, MaxNames, "members in one object", "一个对象的成员")
		}
		p.space()
		f.Value.Start = p.i
		if !p.another() || !member(p, f) {
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
		if !p.another() || !element(p) {
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
	if len(p.r.Fields) == MaxFields {
		return p.tooMany(p.field, MaxFields, "members at its top", "顶层的字段")
	}
	if !p.noRouting(f.Name, routing, f.Name) {
		return false
	}
	p.group++
	ok := true
	switch f.Name {
	case "messages":
		p.r.Messages = make([]Message, 0, 4)
		p.fields = make([]Field, 0, 8)
		ok = p.elements("messages", (*parser).message)
		p.share()
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
	if len(p.r.Messages) == MaxMessages {
		return p.tooMany("messages", MaxMessages, "messages", "的消息")
	}
	p.group++
	p.r.Messages = append(p.r.Messages, Message{})
	last := len(p.r.Messages) - 1
	obj, ok := p.members("messages", knownMessage, (*parser).messageMember)
	if !ok {
		return false
	}
	p.r.Messages[last].Span = obj
	p.ends = append(p.ends, len(p.fields))
	return true
}

// share gives each message that was read its part of the fields.
func (p *parser) share() {
	from := 0
	for i, to := range p.ends {
		p.r.Messages[i].Fields = p.fields[from:to:to]
		from = to
	}
	p.fields = nil // the request's now
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
	p.fields = append(p.fields, f)
	return true
}

// content reads a message's content: a string, null, or an array of parts.
func (p *parser) content() bool {
	if p.peek() != '[' {
		return p.value(placeContent)
	}
	return p.elements("content", func(p *parser) bool {
		if p.parts++; p.parts > MaxParts {
			return p.tooMany("messages", MaxParts, "content parts", "的内容部分")
		}
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
