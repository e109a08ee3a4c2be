package gateway

import (
	"math"
	"math/bits"
	"strconv"

	"homeport/internal/openai"
)

// What a request may use is estimated on the high side, by bytes: a tokenizer on the request path costs more than the rest
// of the work. Chinese takes three bytes a character and about 0.7 token; English about four bytes a token.
const (
	bytesPerToken = 4
	perMessage    = 4
	perMedia      = 1024 // of one picture, sound or file, which cannot be measured here
	assumedAnswer = 4096 // when the request sets no limit
)

// estimatePrompt is a rough upper figure of the prompt's tokens. Definitions and schemas count with their syntax; token
// arrays count exactly.
func estimatePrompt(r *openai.Request) int64 {
	var whole [3]openai.Span
	n := int64(len(r.Messages))*perMessage + 1
	for i, name := range [...]string{"tools", "functions", "response_format"} {
		if f, ok := r.Field(name); ok {
			whole[i] = f.Value
			n += int64(f.Value.Len()) / bytesPerToken
		}
	}
	texts := int64(0)
	for i := range r.Texts {
		t := &r.Texts[i]
		if at := t.Start; at < whole[0].End && at >= whole[0].Start || at < whole[1].End && at >= whole[1].Start || at < whole[2].End && at >= whole[2].Start {
			continue
		}
		texts += (int64(t.Len()) + bytesPerToken - 1) / bytesPerToken // each at least one
	}
	n += max(texts, int64(r.TextBytes)/bytesPerToken)
	if r.Uninspected == 0 {
		return n
	}
	if r.Endpoint == openai.Chat {
		return n + int64(r.Uninspected)*perMedia
	}
	for _, name := range [...]string{"prompt", "input"} {
		_, numbers := arrayShape(r.Value(name))
		n += numbers
	}
	return n
}

// answerLimit is how many tokens the answers to r may have together.
func answerLimit(r *openai.Request) int64 {
	if r.Endpoint == openai.Embeddings {
		return 0
	}
	each := int64(0)
	for _, name := range [...]string{"max_completion_tokens", "max_tokens"} {
		if v, ok := quantity(r.Value(name)); ok {
			each = max(each, v) // which of two counts is the target's choice
		}
	}
	if each == 0 {
		each = assumedAnswer
	}
	answers := int64(1)
	for _, name := range [...]string{"n", "best_of"} {
		if v, ok := quantity(r.Value(name)); ok {
			answers = max(answers, v)
		}
	}
	if r.Endpoint == openai.Completions {
		prompts, _ := arrayShape(r.Value("prompt"))
		answers = times(answers, prompts)
	}
	return times(each, answers)
}

// quantity reads a positive JSON number in any of its forms, also in quotes, as some upstreams do; it rounds up and stops at
// the largest. Anything else is none.
func quantity(raw []byte) (int64, bool) {
	if n := len(raw); n > 2 && raw[0] == '"' {
		raw = raw[1 : n-1]
	}
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil && !math.IsInf(f, 1), !(f > 0):
		return 0, false
	case f >= math.MaxInt64:
		return math.MaxInt64, true
	}
	return int64(math.Ceil(f)), true
}

// arrayShape counts the elements of an array of prompts or inputs and the numbers in it. Numbers at the top are the tokens of
// one element, and so is anything but an array.
func arrayShape(raw []byte) (elements, numbers int64) {
	if len(raw) == 0 || raw[0] != '[' {
		return 1, 0
	}
	depth, inNumber, tokens := 0, false, false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if '0' <= c && c <= '9' || c == '-' {
			if !inNumber {
				numbers++
				inNumber, tokens = true, tokens || depth == 1
			}
			continue
		}
		if c != '.' && c != 'e' && c != 'E' && c != '+' {
			inNumber = false
		}
		switch c {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				elements++
			}
		}
	}
	if tokens {
		return 1, numbers
	}
	return elements + 1, numbers
}

// saturate is a + b for numbers from zero on, stopping at the largest.
func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times is a * b likewise.
func times(a, b int64) int64 {
	if hi, lo := bits.Mul64(uint64(a), uint64(b)); hi == 0 && lo <= math.MaxInt64 {
		return int64(lo)
	}
	return math.MaxInt64
}
