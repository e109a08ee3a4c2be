package provider

import (
	"bytes"
	"slices"
	"sync/atomic"

	"homeport/internal/openai"
)

// Answer follows one upstream answer and decides what reaches the client: it normalises what the provider does
// differently, finds failures that come after a 200, keeps the usage figure and counts what was relayed.
// One Answer serves one attempt and one goroutine.
//
// For a stream, hand each event to [Answer.Event] and, when it ends for whatever reason, call [Answer.Finish] once.
// For a whole body, call [Answer.Body], or [Answer.Peek] and [Answer.Tail] when [Answer.NeedsWhole] is false.
type Answer struct {
	rules      *AnswerRules
	errs       []ErrorRule
	opt        AnswerOptions
	cumulative bool

	// The head of a chunk: everything before the value of "choices". When an event begins with the head of an event that
	// was fully read, only the rest is looked at, byte by byte and without parsing; newHead replaces it.
	head, newHead []byte
	headWhole     bool   // head holds every top-level member that identifies the stream
	tail          []byte // what follows the value of "choices"; empty when unknown, for it ends at least in a brace
	buf           []byte // the event built last; reused

	// The last plain event around its content, and where that content stood after the head; see alike.
	before, after []byte
	content       openai.Span

	id      string // pinned: clients refuse a stream whose id changes
	created int64
	model   string

	choices []choiceState
	usage   usageCount
	figures []byte // the usage object to relay, normalised; nil while none came
	closing []byte // the upstream's own usage-only chunk

	emitted bool // an event went out
	done    bool // [DONE] was seen, or the stream is to be closed by us
	blocked bool // the upstream's review stopped an answer that had begun
	count   charCount
	class   Class
	adapted atomic.Pointer[[]string] // read by the goroutine that sends the headers
	edits   []openai.Edit
	schema  *answerSchema // once the first choice is checked
}

// choiceState is what a stream remembers of one choice.
type choiceState struct {
	index    int64
	text     bool // some content, reasoning or tool call went out
	finished bool
	reason   string // why it finished
	answer   []byte // what was said, where it must be checked against a schema
	think    thinkState
	seen     seenText // for cumulative text
	seenMind seenText
	tools    []toolState
}

// NewAnswer begins to follow one attempt. rules may be nil.
func NewAnswer(rules *AnswerRules, errs []ErrorRule, opt AnswerOptions) *Answer {
	if rules == nil {
		rules = &AnswerRules{}
	}
	if opt.Endpoint == 0 {
		opt.Endpoint = openai.Chat
	}
	a := &Answer{rules: rules, errs: errs, opt: opt}
	a.cumulative = anyMatch(rules.Cumulative, opt.UpstreamModel)
	return a
}

// Event takes one server-sent event: its name ("" mostly) and data. With emit, out is the data the client gets; it
// aliases data or a buffer that the next call reuses, and is to be framed as one event. done means that nothing more is
// to be read; err that the answer failed. In both cases call [Answer.Finish]. An event may rightly give neither output nor end.
func (a *Answer) Event(name string, data []byte) (out []byte, emit, done bool, err *openai.Error) {
	if a.done {
		return nil, false, true, nil
	}
	if len(a.before) > 0 && name == "" && a.alike(data) {
		return data, true, false, nil
	}
	if len(a.head) > 0 && name == "" && bytes.HasPrefix(data, a.head) {
		if out, ok := a.quick(data); ok {
			return out, true, false, nil
		}
	}
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, false, false, nil
	case string(data) == "[DONE]":
		a.done = true
		return nil, false, true, nil
	}
	return a.event(name, data)
}

// quick relays an event that begins like one that was read whole and holds nothing to act upon.
func (a *Answer) quick(data []byte) ([]byte, bool) {
	rest := data[len(a.head):]
	look := rest
	if n := len(rest) - len(a.tail); len(a.tail) > 0 && n >= 0 && bytes.Equal(rest[n:], a.tail) {
		look = rest[:n]
	} else if !a.headWhole {
		return nil, false
	}
	open := 0 // how deep the braces stand at the end of what is looked at: closed, and the chunk's own too without its tail
	if len(look) == len(rest) {
		open = -1
	}
	count, ok := a.plainChoice(look, open)
	if !ok {
		return nil, false
	}
	a.count.add(count)
	a.emitted = true
	if a.newHead == nil {
		a.learn(data, len(a.head))
		return data, true
	}
	a.buf = append(append(a.buf[:0], a.newHead...), rest...)
	return a.buf, true
}

// learn keeps what surrounds the content of an event that went on untouched, whose "choices" value begins at from.
func (a *Answer) learn(data []byte, from int) {
	a.before, a.after = a.before[:0], a.after[:0]
	if t := a.content; t.End > 0 {
		a.before, a.after = append(a.before, data[:from+t.Start]...), append(a.after, data[from+t.End:]...)
	}
}

// alike reports whether an event differs from the last plain one in its content alone. Then nothing in it wants a look: what
// surrounds the content was judged, and content without a quote, a backslash or a line break ends where it seems to.
func (a *Answer) alike(data []byte) bool {
	n := len(data) - len(a.after)
	if n < len(a.before) || !bytes.HasPrefix(data, a.before) || !bytes.HasSuffix(data, a.after) {
		return false
	}
	text := data[len(a.before):n]
	if bytes.IndexByte(text, '"') >= 0 || bytes.IndexByte(text, '\\') >= 0 || bytes.IndexByte(text, '\n') >= 0 {
		return false
	}
	a.count.text(text)
	return true
}

// plainChoice walks the strings of b, which begins at the value of "choices", and reports whether none of its members
// needs more than to be relayed, and that braces and brackets end at depth open. In valid JSON a string followed by a colon
// can only be a name.
func (a *Answer) plainChoice(b []byte, open int) (count charCount, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return count, false
	}
	body := false
	depth := 1
	texts := 0
	a.content = openai.Span{}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
			continue
		case '\n':
			return count, false // must not get into a frame of our own
		default:
			continue
		}
		end := stringEnd(b, i)
		if end < 0 || end >= len(b) {
			return count, false
		}
		if b[end] != ':' {
			if b[end] == ' ' {
				return count, false // a space before the colon: rare, so read in full
			}
			i = end - 1
			continue
		}
		name := b[i+1 : end-1]
		v := end + 1
		for v < len(b) && b[v] == ' ' {
			v++
		}
		if v >= len(b) {
			return count, false
		}
		i = v - 1
		null := b[v] == 'n'
		switch string(name) {
		case "delta":
			body = true
		case "text", "content", "reasoning_content", "refusal":
			body = body || len(name) == len("text")
			if null {
				continue
			}
			if b[v] != '"' {
				return count, false
			}
			end := stringEnd(b, v)
			if end < 0 {
				return count, false
			}
			text := b[v+1 : end-1]
			if string(name) == "content" && !a.contentPlain(text) {
				return count, false
			}
			if a.cumulative {
				return count, false
			}
			count.text(text)
			if texts++; texts == 1 && string(name) == "content" {
				a.content = openai.Span{Start: v + 1, End: end - 1}
			} else {
				a.content = openai.Span{}
			}
			i = end - 1
		case "usage", "error", "finish_reason", "tool_calls", "function_call", "reasoning", "reasoning_details", "base_resp",
			"message", "error_code", "prompt_filter_results", "audio":
			if !null {
				return count, false
			}
		case "index":
			if !a.knownChoice(b[v:]) {
				return count, false // it has no state yet
			}
		default:
			if !null && (a.rules.Flags != nil || a.rules.Drop != nil) && a.ruled(name) {
				return count, false
			}
		}
	}
	return count, body && depth == open
}

// knownChoice reports whether b begins with the index, of one digit, of a choice that was seen.
func (a *Answer) knownChoice(b []byte) bool {
	if len(b) > 1 && b[1] >= '0' && b[1] <= '9' {
		return false
	}
	for i := range a.choices {
		if a.choices[i].index == int64(b[0])-'0' {
			return true
		}
	}
	return false
}

func (a *Answer) ruled(name []byte) bool {
	if _, ok := a.rules.Flags[string(name)]; ok {
		return true
	}
	for _, d := range a.rules.Drop {
		if d == string(name) {
			return true
		}
	}
	return false
}

// contentPlain reports whether content needs no look at <think> tags, and is not collected for a schema.
func (a *Answer) contentPlain(text []byte) bool {
	if a.opt.SchemaEmulated != nil {
		return false
	}
	if !a.rules.ThinkTags {
		return true
	}
	for i := range a.choices {
		if a.choices[i].think.phase != thinkOver {
			return false
		}
	}
	return true
}

// stringEnd is the index after the closing quote of the string that opens at i, or -1.
func stringEnd(b []byte, i int) int {
	for j := i + 1; j < len(b); {
		k := bytes.IndexByte(b[j:], '"')
		if k < 0 {
			return -1
		}
		end := j + k
		s := end
		for s > i+1 && b[s-1] == '\\' {
			s--
		}
		if (end-s)%2 == 0 {
			return end + 1
		}
		j = end + 1
	}
	return -1
}

// choice returns the state of the choice with that index. Streams have few choices; a bound keeps memory bounded.
func (a *Answer) choice(index int64) *choiceState {
	for i := range a.choices {
		if a.choices[i].index == index {
			return &a.choices[i]
		}
	}
	if len(a.choices) >= maxChoices {
		return &a.choices[len(a.choices)-1]
	}
	a.choices = append(a.choices, choiceState{index: index})
	return &a.choices[len(a.choices)-1]
}

const maxChoices = 128

// note records an adaptation once.
func (a *Answer) note(what string) {
	if list := a.Adapted(); !slices.Contains(list, what) && len(list) < 32 {
		list = append(slices.Clone(list), what)
		a.adapted.Store(&list)
	}
}

// Adapted lists what was changed on the way to the client, in order of appearance: ASCII words for x-homeport-adapted and
// the event. Nil when the answer is the provider's own. It may be called while another goroutine follows the answer.
func (a *Answer) Adapted() []string {
	if list := a.adapted.Load(); list != nil {
		return *list
	}
	return nil
}

// Class is the class of the failure that Event, Body, Peek or Finish returned; "" without one.
func (a *Answer) Class() Class { return a.class }

// Relayed is the number of characters of content handed on: text, reasoning and tool arguments, never error text.
func (a *Answer) Relayed() int64 { return a.count.ascii + a.count.wide }

// Emitted reports whether an event has gone out, so that a failure can no longer become a status.
func (a *Answer) Emitted() bool { return a.emitted }

func (a *Answer) fail(d *failure) *openai.Error {
	err, c := d.classify(a.errs, 0, nil, true)
	a.class = c
	return err
}

// failClass is a failure the upstream did not put in words.
func (a *Answer) failClass(c Class, code string) *openai.Error {
	a.class = c
	return (&failure{code: code}).answer(c, 0, nil)
}
