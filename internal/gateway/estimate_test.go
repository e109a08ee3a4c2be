package gateway_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"homeport/internal/gateway"
	"homeport/internal/limit"
	"homeport/internal/openai"
	"homeport/internal/provider"
)

// What a request may use is never estimated below what its own fields say.
func TestEstimate(t *testing.T) {
	list := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	chat := func(more string) string {
		return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + more + `}`
	}
	tool := `{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{` + list(`"a":{"type":"string"}`, 1) + `,"d":{"enum":[` + list(`"word"`, 1000) + `]}}}}}`
	for _, test := range []struct {
		name   string
		op     openai.Endpoint
		body   string
		prompt int64 // at least, and at most twice it and a hundred
		answer int64
	}{
		{"plain", openai.Chat, chat(""), 5, 4096},
		{"text", openai.Chat, chat(`,"user":"` + strings.Repeat("text", 1000) + `"`), 1000, 4096},
		{"tokens", openai.Embeddings, `{"model":"m","input":[` + list("1", 5000) + `]}`, 5000, 0},
		{"token arrays", openai.Embeddings, `{"model":"m","input":[` + list("[ 1, 22,333 ]", 1000) + `]}`, 3000, 0},
		{"short inputs", openai.Embeddings, `{"model":"m","input":[` + list(`"a"`, 1000) + `]}`, 1000, 0},
		{"tools", openai.Chat, chat(`,"tools":[` + tool + `]`), 1700, 4096},
		{"tool arguments", openai.Chat, `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"` +
			strings.Repeat("text", 1000) + `"}}]}]}`, 1000, 4096},
		{"pictures", openai.Chat, `{"model":"m","messages":[{"role":"user","content":[` + list(`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`, 3) + `]}]}`, 3072, 4096},
		{"max_tokens", openai.Chat, chat(`,"max_tokens":100`), 5, 100},
		{"exponent", openai.Chat, chat(`,"max_tokens":1e5`), 5, 100_000},
		{"decimals", openai.Chat, chat(`,"max_tokens":100000.0`), 5, 100_000},
		{"ten digits", openai.Chat, chat(`,"max_tokens":1000000000`), 5, 1_000_000_000},
		{"quoted", openai.Chat, chat(`,"max_tokens":"100000"`), 5, 100_000},
		{"beyond", openai.Chat, chat(`,"max_tokens":1e400`), 5, math.MaxInt64},
		{"nineteen nines", openai.Chat, chat(`,"max_tokens":9999999999999999999`), 5, math.MaxInt64},
		{"null", openai.Chat, chat(`,"max_tokens":null`), 5, 4096},
		{"negative", openai.Chat, chat(`,"max_tokens":-1`), 5, 4096},
		{"two limits", openai.Chat, chat(`,"max_tokens":10,"max_completion_tokens":20`), 5, 20},
		{"n", openai.Chat, chat(`,"max_tokens":10,"n":3.0`), 5, 30},
		{"n overflows", openai.Chat, chat(`,"max_tokens":4000000000,"n":4000000000`), 5, math.MaxInt64},
		{"prompts", openai.Completions, `{"model":"m","prompt":[` + list(`"a, [b\"]"`, 7) + `],"max_tokens":10}`, 7, 70},
		{"one prompt", openai.Completions, `{"model":"m","prompt":"a, b","max_tokens":10}`, 1, 10},
		{"prompt of tokens", openai.Completions, `{"model":"m","prompt":[1,2,3],"max_tokens":10}`, 3, 10},
		{"prompts of tokens", openai.Completions, `{"model":"m","prompt":[[1,2,3],[4]],"max_tokens":10}`, 4, 20},
		{"best_of", openai.Completions, `{"model":"m","prompt":["a","b"],"max_tokens":10,"n":2,"best_of":5}`, 2, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			prompt, answer, err := gateway.Estimate(test.op, test.body)
			if err != nil {
				t.Fatal(err)
			}
			if prompt < test.prompt || prompt > 2*test.prompt+100 || answer != test.answer {
				t.Errorf("estimated %d and %d, want %d or somewhat more and %d", prompt, answer, test.prompt, test.answer)
			}
		})
	}
}

func price(micro int64) gateway.Price {
	return func(_ time.Time, prompt, completion, _ int64) (int64, bool) {
		if prompt > math.MaxInt32 || completion > math.MaxInt32 {
			return 0, false
		}
		return (prompt + completion) * micro, true
	}
}

// A price that cannot be computed does not fit under a limit of money; without one it does not matter.
func TestNoPrice(t *testing.T) {
	unknown := gateway.Try{Price: func(time.Time, int64, int64, int64) (int64, bool) { return 0, false }}
	l := limit.New(map[string]limit.Limits{"money": {MicroCNYPerMonth: 1e15}, "tokens": {TokensPerDay: 1e6}}, time.Now, nil)
	err := gateway.Spend(l, "money", ask("m", "hi"), unknown)
	if err == nil || err.Status != 429 || err.Code != "insufficient_quota" || !err.NoRetry {
		t.Errorf("with a limit of money: %v", err)
	}
	if err := gateway.Spend(l, "money", ask("m", "hi", `,"max_tokens":1e18`), gateway.Try{Price: price(1)}); err == nil || err.Code != "insufficient_quota" {
		t.Errorf("too many to count: %v", err)
	}
	if err := gateway.Spend(l, "tokens", ask("m", "hi"), unknown); err != nil {
		t.Errorf("with a limit of tokens: %v", err)
	}
	if used, reserved := l.Used("money"); used.MicroCNY != 0 || reserved.MicroCNY != 0 {
		t.Errorf("used %v, reserved %v", used, reserved)
	}
}

// Each try costs what it used at its own target's price; one that nobody counted costs what it may have used.
func TestTriesAddUp(t *testing.T) {
	counted := func(prompt, completion int64) provider.Usage {
		return provider.Usage{Prompt: prompt, Completion: completion, Total: prompt + completion, Source: provider.UsageProvider}
	}
	body := ask("m", "hi", `,"max_tokens":1000`)
	prompt, answer, _ := gateway.Estimate(openai.Chat, body)
	most := prompt + answer
	for i, test := range []struct {
		tries  []gateway.Try
		tokens int64
		micro  int64
	}{
		{[]gateway.Try{{price(3), true, true, counted(10, 20)}}, 30, 90},
		{[]gateway.Try{{price(3), true, false, counted(10, 20)}, {price(5), true, true, counted(1, 2)}}, 33, 90 + 15},
		{[]gateway.Try{{price(3), true, false, counted(10, 20)}, {price(5), false, false, provider.Usage{}}}, 30, 90},
		{[]gateway.Try{{price(3), true, false, provider.Usage{Source: provider.UsageNone}}, {price(5), true, true, counted(1, 2)}}, most + 3, 3*most + 15},
		{[]gateway.Try{{price(3), true, false, counted(0, 0)}}, most, 3 * most},
		{[]gateway.Try{{price(3), false, false, provider.Usage{}}}, 0, 0},
	} {
		app := fmt.Sprint(i)
		l := limit.New(map[string]limit.Limits{app: {TokensPerDay: 1e9, MicroCNYPerMonth: 1e9}}, time.Now, nil)
		if err := gateway.Spend(l, app, body, test.tries...); err != nil {
			t.Fatal(err)
		}
		used, reserved := l.Used(app)
		if used.Tokens != test.tokens || used.MicroCNY != test.micro || reserved != (limit.Amount{}) {
			t.Errorf("tries %d: used %+v, reserved %+v, want %d tokens and %d", i, used, reserved, test.tokens, test.micro)
		}
	}
}
