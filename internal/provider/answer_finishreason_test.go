package provider_test

import (
	"strings"
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// The finish reason told is the one that was relayed, of the first choice that ended.
func TestFinishReason(t *testing.T) {
	whole := func(choices string) string {
		return `{"id":"c","object":"chat.completion","choices":[` + choices + `]}`
	}
	choice := func(index, reason string) string {
		return `{"index":` + index + `,"message":{"role":"assistant","content":"x"},"finish_reason":` + reason + `}`
	}
	for _, test := range []struct {
		body, want string
		legacy     bool
	}{
		{whole(choice("0", `"length"`)), "length", false},
		{whole(choice("0", `null`) + "," + choice("1", `"stop"`)), "stop", false},
		{whole(choice("0", `"end_turn"`)), "stop", false},
		{whole(choice("0", `"tool_calls"`)), "function_call", true},
		{whole(choice("0", `null`)), "", false},
	} {
		a := provider.NewAnswer(nil, nil, provider.AnswerOptions{LegacyFunctions: test.legacy})
		if _, err := a.Body([]byte(test.body)); err != nil {
			t.Fatal(err)
		}
		if got := a.FinishReason(); got != test.want {
			t.Errorf("%s: %q, want %q", test.body, got, test.want)
		}
	}
	for tail, want := range map[string]string{
		`x"},"finish_reason" : "content_filter"}],"usage":{}}`:       "content_filter",
		`x \"finish_reason\":\"stop\""},"finish_reason":"length"}]}`: "length",
		`"finish_reason":"length"}]} \"finish_reason\":\"stop\" `:    "length",
		`"finish_reason":"` + strings.Repeat("a secret", 3) + `"}]}`: "",
		`"finish_reason":null}]}`:                                    "",
		`nothing of the kind`:                                        "",
	} {
		a := provider.NewAnswer(nil, nil, provider.AnswerOptions{})
		a.Tail([]byte(tail))
		if got := a.FinishReason(); got != want {
			t.Errorf("%s: %q, want %q", tail, got, want)
		}
	}
}

// Vectors need not be held, unless something in them is rewritten.
func TestEmbeddingsPass(t *testing.T) {
	for _, test := range []struct {
		rules *provider.AnswerRules
		opt   provider.AnswerOptions
		whole bool
	}{
		{nil, provider.AnswerOptions{Endpoint: openai.Embeddings}, false},
		{nil, provider.AnswerOptions{Endpoint: openai.Embeddings, ReencodeBase64: true}, true},
		{&provider.AnswerRules{Model: "client"}, provider.AnswerOptions{Endpoint: openai.Embeddings}, true},
		{&provider.AnswerRules{Flags: map[string]provider.Class{"failed": provider.ClassUpstream}}, provider.AnswerOptions{Endpoint: openai.Embeddings}, true},
		{&provider.AnswerRules{Drop: []string{"extra"}}, provider.AnswerOptions{Endpoint: openai.Embeddings}, true},
		{nil, provider.AnswerOptions{Endpoint: openai.Chat}, true},
	} {
		if got := provider.NewAnswer(test.rules, nil, test.opt).NeedsWhole(); got != test.whole {
			t.Errorf("%+v %+v: %v", test.rules, test.opt, got)
		}
	}
}
