package practice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// chinese reports whether the text holds a Han character: the answer then is Chinese, else English.
func chinese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// mark opens every text answer.
func mark(zh bool) string {
	if zh {
		return "【练习】"
	}
	return "[practice] "
}

// say picks a language.
func say(zh bool, zhText, enText string) string {
	if zh {
		return zhText
	}
	return enText
}

// plural is "1 message", "2 messages".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// pieces cuts text into practice tokens, which concatenate to it again: a Han or other wide character each, else a word with
// the space before it, at most 12 bytes. One piece is one token in usage, one streamed delta, one entry of logprobs.
func pieces(s string) []string {
	var out []string
	for len(s) > 0 {
		n := pieceLen(s)
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

func pieceLen(s string) int {
	n := 0
	if s[0] == ' ' || s[0] == '\n' {
		n = 1
	}
	for n < len(s) && n < 12 {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r > unicode.MaxLatin1 || !(unicode.IsLetter(r) || unicode.IsDigit(r)) {
			if n == 0 {
				return size
			}
			break
		}
		n += size
	}
	return n
}

// countTokens is len(pieces(s)) without the slice.
func countTokens(s string) int {
	n := 0
	for len(s) > 0 {
		s = s[pieceLen(s):]
		n++
	}
	return n
}

// cutAtStop shortens ps before the first occurrence of any stop text and reports whether it did.
func cutAtStop(ps, stops []string) ([]string, bool) {
	whole, at := strings.Join(ps, ""), -1
	for _, stop := range stops {
		if i := strings.Index(whole, stop); stop != "" && i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return ps, false
	}
	var out []string
	for _, p := range ps {
		if at <= len(p) {
			if at > 0 {
				out = append(out, p[:at])
			}
			break
		}
		out = append(out, p)
		at -= len(p)
	}
	return out, true
}

// marshal is json.Marshal without HTML escaping and without the trailing newline.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
