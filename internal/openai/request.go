package openai

import (
	"bytes"
)

// Endpoint is an operation of the data plane.
type Endpoint uint8

// The endpoints that carry content.
const (
	Chat Endpoint = iota + 1
	Completions
	Embeddings
)

// String is the operation's name in events and metrics.
func (e Endpoint) String() string {
	switch e {
	case Chat:
		return "chat.completions"
	case Completions:
		return "completions"
	case Embeddings:
		return "embeddings"
	}
	return "unknown"
}

// Field is one member of an object.
type Field struct {
	Name     string
	NameSpan Span // with quotes
	Value    Span // the raw JSON value
}

// Text is one place of the request that bears text: a string (Span without its quotes) or a long number.
type Text struct {
	Span
	Escaped bool  // holds at least one backslash escape
	Content bool  // message content, prompt or input: joined with its neighbours of the same Group
	Number  bool  // a JSON number of seven digits or more
	Group   int32 // texts of one message, or of one other top-level field
}

// Message is one element of "messages".
type Message struct {
	Span
	Role   string // system, developer, user, assistant, tool, function; other roles as given
	Fields []Field
}

// Field returns the member name of the message.
func (m *Message) Field(name string) (Field, bool) { return find(m.Fields, name) }

// Request is a strict view over one raw body. It points into Raw and is valid as long as Raw is unchanged.
type Request struct {
	Endpoint Endpoint
	Raw      []byte
	Object   Span    // the outermost object
	Fields   []Field // top-level members in order of appearance

	Model     string // "" when absent (Azure deployments path)
	ModelSpan Span   // value with quotes; zero when absent
	Stream    bool
	// IncludeUsage is stream_options.include_usage as the client asked.
	IncludeUsage bool
	Messages     []Message
	Texts        []Text
	// Uninspected counts what cannot be read as text: images, audio, files, token arrays.
	Uninspected int
	// TextBytes is the number of raw bytes in Texts with Content set: the base of an input estimate.
	TextBytes int
}

// Field returns the top-level member name.
func (r *Request) Field(name string) (Field, bool) { return find(r.Fields, name) }

// Value returns the raw value of the top-level member name, nil when absent.
func (r *Request) Value(name string) []byte {
	if f, ok := r.Field(name); ok {
		return f.Value.Of(r.Raw)
	}
	return nil
}

// Has reports whether the top-level member name is present and not null.
func (r *Request) Has(name string) bool {
	v := r.Value(name)
	return v != nil && !bytes.Equal(v, null)
}

var null = []byte("null")

func find(fields []Field, name string) (Field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Members returns the members of the object at span in raw. raw must already be valid JSON there (a body that [Parse] took).
// Spans are absolute in raw. It returns nil for anything but an object.
func Members(raw []byte, span Span) []Field {
	i := skipSpace(raw, span.Start)
	if i >= span.End || raw[i] != '{' {
		return nil
	}
	i = skipSpace(raw, i+1)
	var out []Field
	if i < span.End && raw[i] != '}' {
		out = make([]Field, 0, 8)
	}
	for i < span.End && raw[i] != '}' {
		name := Span{i, skipString(raw, i)}
		i = skipSpace(raw, name.End) // at the colon
		i = skipSpace(raw, i+1)
		value := Span{i, skipValue(raw, i)}
		out = append(out, Field{Name: nameOf(raw, name), NameSpan: name, Value: value})
		i = skipSpace(raw, value.End)
		if i < span.End && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return out
}

// Elements returns the elements of the array at span in raw, under the same conditions as [Members].
func Elements(raw []byte, span Span) []Span {
	i := skipSpace(raw, span.Start)
	if i >= span.End || raw[i] != '[' {
		return nil
	}
	var out []Span
	i = skipSpace(raw, i+1)
	for i < span.End && raw[i] != ']' {
		e := Span{i, skipValue(raw, i)}
		out = append(out, e)
		i = skipSpace(raw, e.End)
		if i < span.End && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return out
}

// Member returns the value of the member name of the object at span.
func Member(raw []byte, span Span, name string) (Span, bool) {
	for _, f := range Members(raw, span) {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Span{}, false
}

// Str returns the text of the raw JSON string at span; "" for anything else.
func Str(raw []byte, span Span) string {
	v := span.Of(raw)
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	s, err := Unquote(v)
	if err != nil {
		return ""
	}
	return string(s)
}

func nameOf(raw []byte, quoted Span) string {
	b, err := Unquote(quoted.Of(raw))
	if err != nil {
		return ""
	}
	return intern(b)
}

// The skippers below walk JSON that is already known to be valid; they never look past len(b).

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the closing quote of the string that opens at i.
func skipString(b []byte, i int) int {
	i++
	for i < len(b) {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return len(b)
		}
		end := i + j
		k := end
		for k > i && b[k-1] == '\\' {
			k--
		}
		if (end-k)%2 == 0 {
			return end + 1
		}
		i = end + 1
	}
	return len(b)
}

func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(b)
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}
