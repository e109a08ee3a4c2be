package openai_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/openai"
)

// list is n times s, with commas between.
func list(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }

// names is n members with different names.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// Attack case E8: what costs far more to hold than to send is refused at a bound, naming the field; up to it, it is taken.
func TestTooManyItems(t *testing.T) {
	const turn, part = `{"role":"user","content":"a"}`, `{"type":"text","text":"a"}`
	messages := func(s string) string { return `{"model":"m","messages":[` + s + `]}` }
	split := func(n, m int) string {
		return messages(`{"role":"user","content":[` + list(n, part) + `]},{"role":"user","content":[` + list(m, `"a"`) + `]}`)
	}
	for _, x := range []struct {
		name, body, param string
		endpoint          openai.Endpoint
		refused           bool
	}{
		{"messages", messages(list(openai.MaxMessages, turn)), "", openai.Chat, false},
		{"a message more", messages(list(openai.MaxMessages+1, turn)), "messages", openai.Chat, true},
		{"parts", split(openai.MaxParts-7, 7), "", openai.Chat, false},
		{"a part more", split(openai.MaxParts-7, 8), "messages", openai.Chat, true},
		{"empty parts", messages(`{"role":"user","content":[` + list(openai.MaxParts+1, `{}`) + `]}`), "messages", openai.Chat, true},
		{"names", chat(`,"metadata":{` + names(openai.MaxNames) + `}`), "", openai.Chat, false},
		{"a name more", chat(`,"metadata":{` + names(openai.MaxNames+1) + `}`), "metadata", openai.Chat, true},
		{"a name more at depth", chat(`,"x":[{"y":{` + names(openai.MaxNames+1) + `}}]`), "x", openai.Chat, true},
		{"names at the top", chat(`,` + names(openai.MaxFields-2)), "", openai.Chat, false},
		{"a name more at the top", chat(`,` + names(openai.MaxFields-1)), "k998", openai.Chat, true},
		{"names of a message", messages(`{"role":"user","content":"a",` + names(openai.MaxNames) + `}`), "messages", openai.Chat, true},
		{"names in many objects", chat(`,"x":[` + list(3, `{`+names(openai.MaxNames)+`}`) + `]`), "", openai.Chat, false},
		{"values", chat(`,"x":[` + list(openai.MaxValues-6, `0`) + `]`), "", openai.Chat, false},
		{"a value more", chat(`,"x":[` + list(openai.MaxValues-5, `0`) + `]`), "x", openai.Chat, true},
		{"values of objects", chat(`,"x":[` + list(openai.MaxValues/3+1, `{"a":[0]}`) + `]`), "x", openai.Chat, true},
		{"tokens", `{"model":"m","input":[` + list(openai.MaxValues, `1`) + `]}`, "input", openai.Embeddings, true},
		{"tokens of prompts", `{"model":"m","prompt":[` + list(1000, `[`+list(1000, `1`)+`]`) + `]}`, "prompt", openai.Completions, true},
	} {
		req, err := openai.Parse(x.endpoint, []byte(x.body))
		switch {
		case x.refused && (err == nil || err.Status != 400 || err.Code != "too_many_items" || err.Param != x.param):
			t.Errorf("%s: got %v, want too_many_items of %q", x.name, err, x.param)
		case !x.refused && err != nil:
			t.Errorf("%s: refused: %s %s", x.name, err.Code, err.Message)
		case !x.refused && !spansFit(req):
			t.Errorf("%s: a span does not hold its value", x.name)
		}
	}
}

// spansFit reports whether the fields of all messages are where the view says, in order, and apart from each other.
func spansFit(r *openai.Request) bool {
	at := 0
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Start < at || cap(m.Fields) != len(m.Fields) || len(m.Fields) != len(openai.Members(r.Raw, m.Span)) {
			return false
		}
		for k, f := range openai.Members(r.Raw, m.Span) {
			if m.Fields[k] != f {
				return false
			}
		}
		if role, ok := m.Field("role"); !ok || openai.Str(r.Raw, role.Value) != m.Role {
			return false
		}
		at = m.End
	}
	return true
}

// Messages of different sizes share one list of fields; each sees its own, after growth and after other requests.
func TestFieldsOfMessages(t *testing.T) {
	var kept []*openai.Request
	for n := 1; n < 60; n += 7 {
		turns := make([]string, n)
		for i := range turns {
			turns[i] = `{"role":"r` + fmt.Sprint(i) + `",` + names(i%5+1) + `,"content":[{"text":"a"}],"tool_calls":[{"role":"x"}]}`
		}
		req, err := openai.Parse(openai.Chat, []byte(`{"model":"m","messages":[`+strings.Join(turns, " , ")+`]}`))
		if err != nil {
			t.Fatal(err.Message)
		}
		kept = append(kept, req)
	}
	for _, req := range kept {
		if !spansFit(req) {
			t.Errorf("%d messages: a span does not hold its value", len(req.Messages))
		}
	}
}
