package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// By invariant 6, what a turn had besides its words, and does not go on when turns are merged, folded or flattened, is named.
func TestMergedTurnsReportLosses(t *testing.T) {
	m := func(model, messages string) string { return `{"model":"` + model + `","messages":[` + messages + `]}` }
	cached := func(role, text string) string {
		return `{"role":"` + role + `","content":[{"type":"text","text":"` + text + `","cache_control":{"type":"ephemeral"}}]}`
	}
	qwen := func(in string) string { return m("x", in) }
	run(t, []must{
		{name: "system turns", provider: "dashscope", target: to("qwen-plus"),
			in:      qwen(`{"role":"system","content":"a","name":"n","cache_control":{"type":"ephemeral"}},` + hi + `,{"role":"system","content":"b","cache_control":{}},` + hi),
			out:     m("qwen-plus", `{"role":"system","content":"a\n\nb"},{"role":"user","content":"hi\n\nhi"}`),
			adapted: "messages:merged,messages.name:dropped,messages.cache_control:dropped"},
		{name: "parts of a system turn", provider: "dashscope", target: to("qwen-plus"), in: qwen(hi + `,` + cached("system", "a") + `,` + hi),
			out:     m("qwen-plus", `{"role":"system","content":"a"},{"role":"user","content":"hi\n\nhi"}`),
			adapted: "messages:merged,messages.content.cache_control:dropped"},
		{name: "parts of user turns", provider: "dashscope", target: to("qwen-plus"), in: qwen(hi + `,` + cached("user", "a")),
			out:     m("qwen-plus", `{"role":"user","content":"hi\n\na"}`),
			adapted: "messages:merged,messages.content.cache_control:dropped"},
		{name: "a name without words", provider: "dashscope", target: to("qwen-plus"), in: qwen(hi + `,{"role":"user","name":"li"}`),
			out: m("qwen-plus", `{"role":"user","content":"hi\n\n"}`), adapted: "messages:merged,messages.name:dropped"},
		{name: "nothing is lost, nothing is said", provider: "dashscope", target: to("qwen-plus"), in: qwen(`{"role":"system","content":"a","name":"n"},` + hi),
			out: m("qwen-plus", `{"role":"system","content":"a","name":"n"},`+hi)},
		{name: "a made-up name is not shown", provider: "dashscope", target: to("qwen-plus"), in: qwen(hi + `,{"role":"system","content":"a","Zürich 12":1}`),
			out: m("qwen-plus", `{"role":"system","content":"a"},`+hi), adapted: "messages:merged,messages.unknown_field:dropped"},
		{name: "folded", provider: "iflytek-spark", target: to("lite"), in: qwen(`{"role":"system","content":[{"type":"text","text":"S","cache_control":{}}],"name":"n"},` + hi),
			out:     strings.TrimSuffix(m("lite", `{"role":"user","content":"S\n\nhi"}`), "}") + `,"frequency_penalty":0,"presence_penalty":0}`,
			adapted: "frequency_penalty:set,presence_penalty:set,messages.role.system:folded,messages.content.cache_control:dropped,messages.name:dropped"},
		{name: "flattened", provider: "baichuan", target: to("Baichuan4-Turbo"), in: qwen(cached("user", "a")),
			out: m("Baichuan4-Turbo", `{"role":"user","content":"a"}`), adapted: "messages.content.cache_control:dropped,messages.content:flattened"},
	})
}

// A client's own names come into a header: many of them are told as one.
func TestManyLossesAreFewReports(t *testing.T) {
	var b strings.Builder
	for i := range 900 {
		fmt.Fprintf(&b, `,"k%d":1`, i)
	}
	for id, body := range map[string]string{
		"dashscope": `{"model":"m","messages":[` + hi + `,{"role":"system","content":"a"` + b.String() + `}]}`,
		"lm-studio": `{"model":"m","messages":[` + hi + `]` + b.String() + `}`,
	} {
		w, err := provider.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		plan, refused := w.Adapt(parse(t, openai.Chat, body), to("m"))
		if refused != nil {
			t.Fatal(refused.Message)
		}
		list := string(provider.AppendAdapted(nil, plan.Adapted))
		if n := len(plan.Adapted); n < 20 || n > 40 || !strings.Contains(list, "k1:dropped") || !strings.HasSuffix(list, "unknown_field:dropped") {
			t.Errorf("%s: %d reports: %s", id, n, list)
		}
	}
}

// Text in very many pieces is put together in time that grows with its length only. Piece by piece each of these bodies
// would have been copied thousands of times over.
func TestManyPieces(t *testing.T) {
	const n = openai.MaxParts
	part := `{"type":"text","text":"a"}`
	parts := strings.TrimSuffix(strings.Repeat(part+",", n), ",")
	long := strings.TrimSuffix(strings.Repeat(`{"type":"text","text":"`+strings.Repeat("a", 200)+`"},`, n), ",")
	turns := func(role string) string {
		return strings.Repeat(`{"role":"`+role+`","content":"`+strings.Repeat("b", 200)+`"},`, n-1)
	}
	for _, x := range []struct {
		name, provider, model, messages, want string
	}{
		{"flattened", "baichuan", "Baichuan4-Turbo", `{"role":"user","content":[` + parts + `]}`, strings.Repeat(`a\n`, n-1) + `a"`},
		{"flattened, 2 MiB", "baichuan", "Baichuan4-Turbo", `{"role":"user","content":[` + long + `]}`, strings.Repeat("a", 200) + `\n`},
		{"system turns", "dashscope", "qwen-plus", turns("system") + hi, strings.Repeat("b", 200) + `\n\n`},
		{"user turns", "dashscope", "qwen-plus", turns("user") + hi, `\n\nhi"`},
		{"parts of a system turn", "dashscope", "qwen-plus", hi + `,{"role":"system","content":[` + long + `]},` + hi, strings.Repeat("a", 200) + `\n`},
		{"folded", "iflytek-spark", "lite", turns("system") + hi, `\n\nhi"`},
	} {
		w, err := provider.Load(x.provider)
		if err != nil {
			t.Fatal(err)
		}
		req := parse(t, openai.Chat, `{"model":"x","messages":[`+x.messages+`]}`)
		plan, refused := w.Adapt(req, to(x.model))
		if refused != nil {
			t.Errorf("%s: %s", x.name, refused.Message)
			continue
		}
		if body := string(openai.Apply(nil, req.Raw, plan.Edits)); !strings.Contains(body, x.want) {
			t.Errorf("%s: the text is not whole: %d bytes", x.name, len(body))
		}
	}
}
