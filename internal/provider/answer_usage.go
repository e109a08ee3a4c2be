package provider

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"homeport/internal/openai"
)

// usageCount is the provider's last usage figure.
type usageCount struct {
	Usage
	seen bool
}

// readUsage keeps the figures of the usage object at span: the last one counts, they are never added up. It returns the
// object as a client of OpenAI expects it: cached tokens, which some providers write elsewhere, are copied to
// prompt_tokens_details. The result aliases raw when nothing changed.
func (a *Answer) readUsage(raw []byte, at openai.Span) (out []byte, ok bool) {
	fields := openai.Members(raw, at)
	var u Usage
	known, details := false, false
	for _, f := range fields {
		n, isInt := count(f.Value.Of(raw))
		switch f.Name {
		case "prompt_tokens":
			u.Prompt, known = n, known || isInt
		case "completion_tokens":
			u.Completion, known = n, known || isInt
		case "total_tokens":
			u.Total, known = n, known || isInt
		case "prompt_cache_hit_tokens", "cached_tokens":
			u.Cached = max(u.Cached, n)
		case "prompt_tokens_details":
			if s, found := openai.Member(raw, f.Value, "cached_tokens"); found {
				details = true
				n, _ := count(s.Of(raw))
				u.Cached = max(u.Cached, n)
			}
		case "completion_tokens_details":
			if s, found := openai.Member(raw, f.Value, "reasoning_tokens"); found {
				u.Reasoning, _ = count(s.Of(raw))
			}
		}
	}
	if !known {
		return nil, false
	}
	patch := openai.NewPatch(at, fields)
	if u.Total == 0 && u.Prompt+u.Completion > 0 {
		u.Total = u.Prompt + u.Completion
		patch.Set("total_tokens", strconv.AppendInt(nil, u.Total, 10))
	}
	if u.Cached > 0 && !details {
		old, found := openai.Member(raw, at, "prompt_tokens_details")
		if !found || raw[old.Start] != '{' {
			patch.Set("prompt_tokens_details", append(strconv.AppendInt([]byte(`{"cached_tokens":`), u.Cached, 10), '}'))
		}
	}
	u.Source = UsageProvider
	a.usage = usageCount{u, true}
	if patch.Empty() {
		return at.Of(raw), true
	}
	edits := patch.Edits(nil)
	for i := range edits { // relative to the object
		edits[i].Start -= at.Start
		edits[i].End -= at.Start
	}
	return openai.Apply(nil, at.Of(raw), edits), true
}

// count reads a token count; what is no whole number from zero on is 0 and false.
func count(v []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(string(v), 64) // 12.0
		if ferr != nil || f != math.Trunc(f) || f > 1<<53 {
			return 0, false
		}
		n = int64(f)
	}
	if n < 0 {
		return 0, false
	}
	return n, true
}

// Usage is the provider's last figure or, when none came, an estimate from the characters relayed and the caller's
// estimate of the prompt; with nothing relayed either, the source is "none".
func (a *Answer) Usage() Usage {
	if a.usage.seen {
		return a.usage.Usage
	}
	if a.Relayed() == 0 {
		return Usage{Source: UsageNone}
	}
	u := Usage{Prompt: a.opt.PromptTokens, Completion: a.rules.estimate(a.count), Source: UsageEstimated}
	u.Total = u.Prompt + u.Completion
	return u
}

// charCount counts characters of text by class.
type charCount struct{ ascii, wide int64 }

func (c *charCount) add(o charCount) { c.ascii += o.ascii; c.wide += o.wide }

// text counts the raw inside of a JSON string. An escape counts as the character it stands for.
func (c *charCount) text(b []byte) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\' && i+1 < len(b) && b[i+1] == 'u' && i+5 < len(b):
			if b[i+2] == '0' && b[i+3] == '0' && b[i+4] < '8' {
				c.ascii++
			} else {
				c.wide++
			}
			i += 5
		case b[i] == '\\':
			c.ascii++
			i++
		case b[i] < utf8.RuneSelf:
			c.ascii++
		case utf8.RuneStart(b[i]):
			c.wide++
		}
	}
}

// Factors where a provider states none: on the high side, so that a budget is not overrun by an estimate.
const (
	defaultWide  = 0.7
	defaultASCII = 0.25
)

func (r *AnswerRules) estimate(c charCount) int64 {
	wide, ascii := r.Tokens.CJK, r.Tokens.Latin
	if wide == 0 {
		wide = defaultWide
	}
	if ascii == 0 {
		ascii = defaultASCII
	}
	return int64(math.Ceil(float64(c.wide)*wide + float64(c.ascii)*ascii))
}

// EstimateTokens estimates the tokens of a raw JSON text (inside of a string) without a tokenizer: a factor for
// characters beyond ASCII, one for the rest. A rough figure, marked as such wherever it is used.
func (r *AnswerRules) EstimateTokens(raw []byte) int64 {
	var c charCount
	c.text(raw)
	return r.estimate(c)
}

// Tail reads the usage figure and the finish reason near the end of a whole body of which only the last bytes are at hand.
func (a *Answer) Tail(tail []byte) {
	a.readReason(tail)
	for end := len(tail); end > 0; {
		i := bytes.LastIndex(tail[:end], []byte(`"usage"`))
		if i < 0 {
			return
		}
		end = i
		j := i + len(`"usage"`)
		for j < len(tail) && (tail[j] == ' ' || tail[j] == ':' || tail[j] == '\n' || tail[j] == '\r' || tail[j] == '\t') {
			j++
		}
		if j >= len(tail) || tail[j] != '{' {
			continue
		}
		n := balanced(tail[j:])
		if n == 0 || !validJSON(tail[j:j+n]) {
			continue
		}
		if _, ok := a.readUsage(tail, openai.Span{Start: j, End: j + n}); ok {
			return
		}
	}
}

// balanced is the length of the object that opens b, 0 when it does not close.
func balanced(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return 0
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// decoded counts text that is no longer JSON.
func (c *charCount) decoded(s string) {
	for i := range len(s) {
		switch {
		case s[i] < utf8.RuneSelf:
			c.ascii++
		case utf8.RuneStart(s[i]):
			c.wide++
		}
	}
}
