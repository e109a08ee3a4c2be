package openai

import (
	"encoding/binary"
	"unicode/utf8"
)

// scanner reads strict JSON (RFC 8259 and RFC 7493) in one pass without building anything: valid UTF-8, no lone
// surrogates, no raw control characters, names unique in their object. The profile asked for it: jsontext took a third of
// the gateway's own time on long prompts. A differential fuzz test holds it to jsontext's answers.
type scanner struct {
	b   []byte
	i   int
	err scanError

	names []name // of the objects that are open, innermost last
}

// name is a member's name as it was written.
type name struct {
	Span    // without quotes
	escaped bool
}

// scanError is why a scan stopped. Zero is none.
type scanError struct {
	reason string
	at     int
	dup    bool
}

func (s *scanner) fail(reason string) bool {
	if s.err.reason == "" {
		s.err = scanError{reason: reason, at: s.i}
	}
	return false
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the byte that begins the next token, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take moves over c, or fails.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return s.unexpected()
	}
	s.i++
	return true
}

func (s *scanner) unexpected() bool {
	if s.i >= len(s.b) {
		return s.fail("the body ends too early")
	}
	return s.fail("unexpected character")
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain reports that no byte of w ends or complicates a string: no quote, backslash, control character or byte over 0x7F.
func plain(w uint64) bool {
	quote := w ^ (ones * '"')
	slash := w ^ (ones * '\\')
	return (w|(w-ones*0x20)|(quote-ones)|(slash-ones))&highs == 0
}

// str reads a string and returns it without its quotes.
func (s *scanner) str() (text Span, escaped, ok bool) {
	if !s.take('"') {
		return Span{}, false, false
	}
	b, i := s.b, s.i
	start := i
	for {
		for i+8 <= len(b) && plain(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
		}
		if i >= len(b) {
			s.i = i
			return Span{}, false, s.unexpected()
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return Span{start, i}, escaped, true
		case c == '\\':
			escaped = true
			n := escape(b[i:])
			if n == 0 {
				s.i = i
				return Span{}, false, s.fail("invalid escape sequence in a string")
			}
			i += n
		case c < 0x20:
			s.i = i
			return Span{}, false, s.fail("invalid control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			// Runs of three-byte characters are what Chinese text is made of: E1..EC and EE, EF have no bad second byte.
			for i+4 <= len(b) {
				w := binary.LittleEndian.Uint32(b[i:])
				if w&0xC0C0F0 != 0x8080E0 || w&0xFF == 0xE0 || w&0xFF == 0xED {
					break
				}
				i += 3
			}
			if i < len(b) && b[i] >= utf8.RuneSelf {
				r, n := utf8.DecodeRune(b[i:])
				if r == utf8.RuneError && n <= 1 {
					s.i = i
					return Span{}, false, s.fail("invalid UTF-8")
				}
				i += n
			}
		}
	}
}

// escape returns the length of the escape sequence at the start of b, 0 when it is not valid. Surrogates come in pairs.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return 0
	}
	r, ok := hex4(b[2:])
	switch {
	case !ok, r >= 0xDC00 && r <= 0xDFFF:
		return 0
	case r < 0xD800 || r > 0xDBFF:
		return 6
	}
	if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
		return 0
	}
	if low, ok := hex4(b[8:]); !ok || low < 0xDC00 || low > 0xDFFF {
		return 0
	}
	return 12
}

func hex4(b []byte) (v uint32, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}

// number reads a JSON number.
func (s *scanner) number() (Span, bool) {
	start := s.i
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i > from
	}
	at := func(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }
	if at('-') {
		s.i++
	}
	if at('0') {
		s.i++
	} else if !digits() {
		return Span{}, s.unexpected()
	}
	if at('.') {
		s.i++
		if !digits() {
			return Span{}, s.unexpected()
		}
	}
	if at('e') || at('E') {
		s.i++
		if at('+') || at('-') {
			s.i++
		}
		if !digits() {
			return Span{}, s.unexpected()
		}
	}
	return Span{start, s.i}, true
}

func (s *scanner) literal() bool {
	for _, l := range [...]string{"true", "false", "null"} {
		if s.b[s.i] == l[0] {
			if len(s.b)-s.i < len(l) || string(s.b[s.i:s.i+len(l)]) != l {
				return s.unexpected()
			}
			s.i += len(l)
			return true
		}
	}
	return s.unexpected()
}

// begin opens an object's scope of names; end closes it.
func (s *scanner) begin() int   { return len(s.names) }
func (s *scanner) end(mark int) { s.names = s.names[:mark] }

// manyNames is from when on an object's names are looked up in a map.
const manyNames = 24

// unique notes a member's name and reports whether it is the first of its kind in the object begun at mark. seen is nil
// until the object has many names.
func (s *scanner) unique(mark int, n name, seen *map[string]struct{}) bool {
	ok := true
	switch {
	case *seen != nil:
		text := s.text(n)
		_, dup := (*seen)[text]
		(*seen)[text] = struct{}{}
		ok = !dup
	default:
		for _, o := range s.names[mark:] {
			if s.same(o, n) {
				ok = false
				break
			}
		}
		if len(s.names)-mark == manyNames {
			*seen = make(map[string]struct{}, 2*manyNames)
			for _, o := range s.names[mark:] {
				(*seen)[s.text(o)] = struct{}{}
			}
			(*seen)[s.text(n)] = struct{}{}
		}
	}
	s.names = append(s.names, n)
	if !ok {
		s.i = n.Start
		s.fail("repeated name")
		s.err.dup = true
	}
	return ok
}

func (s *scanner) same(a, b name) bool {
	if !a.escaped && !b.escaped {
		return string(a.Of(s.b)) == string(b.Of(s.b))
	}
	return s.text(a) == s.text(b)
}

func (s *scanner) text(n name) string {
	if !n.escaped {
		return string(n.Of(s.b))
	}
	u, _ := Unquote(s.b[n.Start-1 : n.End+1])
	return string(u)
}

// Valid reports whether b is one strictly valid JSON value, as [Parse] asks of a request, with nothing but space around it.
func Valid(b []byte) bool {
	var room [32]name
	s := scanner{b: b, names: room[:0]}
	if !s.any(0) {
		return false
	}
	s.space()
	return s.i == len(b)
}

// any moves over one value of any kind.
func (s *scanner) any(depth int) bool {
	if depth > MaxDepth {
		return false
	}
	switch c := s.peek(); {
	case c == '"':
		_, _, ok := s.str()
		return ok
	case c == '{':
		return s.anyObject(depth + 1)
	case c == '[':
		s.i++
		if s.peek() == ']' {
			s.i++
			return true
		}
		for {
			if !s.any(depth + 1) {
				return false
			}
			if s.peek() != ',' {
				return s.take(']')
			}
			s.i++
		}
	case c == '-' || c >= '0' && c <= '9':
		_, ok := s.number()
		return ok
	case c == 't' || c == 'f' || c == 'n':
		return s.literal()
	}
	return s.unexpected()
}

func (s *scanner) anyObject(depth int) bool {
	s.i++
	if s.peek() == '}' {
		s.i++
		return true
	}
	mark := s.begin()
	var seen map[string]struct{}
	for {
		text, escaped, ok := s.str()
		if !ok || !s.unique(mark, name{text, escaped}, &seen) || !s.take(':') || !s.any(depth) {
			return false
		}
		if s.peek() != ',' {
			s.end(mark)
			return s.take('}')
		}
		s.i++
	}
}
