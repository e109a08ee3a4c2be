package provider

import (
	"hash/maphash"
	"strings"
)

// thinkState splits content that begins with <think>…</think> into what was thought and what was said, however the text
// is cut into events. Tags anywhere but at the start are text.
type thinkState struct {
	phase thinkPhase
	held  string // what may be the beginning of a tag, or the white space around one
	used  bool   // a tag was found
	begun bool   // something was thought: line ends behind the opening tag are over
}

type thinkPhase uint8

const (
	thinkStart thinkPhase = iota // nothing but white space so far
	thinkIn                      // between the tags
	thinkAfter                   // behind the closing tag, still in its white space
	thinkOver                    // in the text proper
)

const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
	maxHeld    = 256 // bytes held back at most
)

func (s *thinkState) open() bool { return s.phase != thinkOver }

// push takes the next piece of content and returns what of it, or of earlier pieces, is settled.
func (s *thinkState) push(piece string) (mind, text string) {
	b := s.held + piece
	s.held = ""
	if s.phase == thinkStart {
		trimmed := strings.TrimLeft(b, " \t\r\n")
		switch {
		case strings.HasPrefix(trimmed, thinkOpen):
			s.phase, s.used = thinkIn, true
			b = trimmed[len(thinkOpen):]
		case strings.HasPrefix(thinkOpen, trimmed) && len(b) <= maxHeld: // nothing yet, or a part of the tag
			s.held = b
			return "", ""
		default:
			s.phase = thinkOver
		}
	}
	if s.phase == thinkIn {
		if !s.begun {
			b = strings.TrimLeft(b, "\r\n")
			s.begun = b != ""
		}
		if i := strings.Index(b, thinkClose); i >= 0 {
			mind = strings.TrimRight(b[:i], "\r\n")
			b = b[i+len(thinkClose):]
			s.phase = thinkAfter
		} else {
			keep := tagPrefix(b)
			if keep > maxHeld {
				keep = 0
			}
			s.held = b[len(b)-keep:]
			return b[:len(b)-keep], ""
		}
	}
	if s.phase == thinkAfter {
		b = strings.TrimLeft(b, " \t\r\n")
		if b == "" {
			return mind, ""
		}
		s.phase = thinkOver
	}
	return mind, b
}

// flush gives up what is held back when the choice ends.
func (s *thinkState) flush() (mind, text string) {
	b := s.held
	s.held = ""
	if s.phase == thinkIn {
		return strings.TrimRight(b, "\r\n"), ""
	}
	return "", b
}

// tagPrefix is how many bytes at the end of b, line ends included, may belong to a closing tag.
func tagPrefix(b string) int {
	n := 0
	for k := min(len(b), len(thinkClose)-1); k > 0; k-- {
		if strings.HasSuffix(b, thinkClose[:k]) {
			n = k
			break
		}
	}
	for n < len(b) && (b[len(b)-n-1] == '\n' || b[len(b)-n-1] == '\r') {
		n++
	}
	return n
}

// seenText turns text that is repeated from its beginning in each event into increments. It remembers a hash, not the text.
type seenText struct {
	seed maphash.Seed
	sum  uint64
	n    int
}

// rest returns what text adds to what was seen. Text that does not continue what was seen is new text as a whole.
func (s *seenText) rest(text string, a *Answer) string {
	if s.n == 0 {
		s.seed = maphash.MakeSeed()
	}
	out := text
	if s.n > 0 && len(text) >= s.n && maphash.String(s.seed, text[:s.n]) == s.sum {
		out = text[s.n:]
		a.note("content:incremental")
	}
	if len(text) > 0 {
		s.n, s.sum = len(text), maphash.String(s.seed, text)
	}
	return out
}
