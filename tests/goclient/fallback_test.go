package goclient

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"homeport/tests/hptest"
)

// TestFallback (invariant 3): the client is served by the second lawful target when the first is down, plain and streamed,
// without noticing; when both are down it gets an error, and the overseas target of the same route never hears of it.
func TestFallback(t *testing.T) {
	first, second, overseas := hptest.Practice(t), hptest.Practice(t), hptest.Practice(t)
	gw := hptest.Start(t, fmt.Sprintf(`operator: {place: CN, cii: false, sector: general}
providers:
  - {id: first, catalog: practice, base_url: %s, retries: 0, breaker: false, facts: {source: domestic_api, place: [CN], filed: true}}
  - {id: second, catalog: practice, base_url: %s, retries: 0, breaker: false, facts: {source: domestic_api, place: [CN], filed: true}}
  - {id: overseas, catalog: practice, base_url: %s, retries: 0, breaker: false, facts: {source: overseas_direct, place: [US], filed: false}}
routes:
  - {model: "gpt-*", to: [overseas/practice, first/practice, second/practice]}
apps:
  - {id: clients, keys: ["%s"], service: {audience: internal, opinion: false, outputs: [text]}}
`, first.BaseURL, second.BaseURL, overseas.BaseURL, hptest.Key))
	c := env{gw: gw}.client()

	first.FailNext(1, http.StatusServiceUnavailable, "")
	var raw *http.Response
	got, err := c.Chat.Completions.New(t.Context(), ask("/echo 退路"), option.WithResponseInto(&raw))
	if err != nil || got.Choices[0].Message.Content != "【练习】退路" {
		t.Fatalf("plain: %v", err)
	}
	if target := raw.Header.Get("X-Homeport-Target"); target != "second/practice" {
		t.Errorf("answered by %q, want second/practice", target)
	}

	first.FailNext(1, http.StatusInternalServerError, "")
	s := c.Chat.Completions.NewStreaming(t.Context(), ask("/echo 退路"))
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		if !acc.AddChunk(s.Current()) {
			t.Fatal("the accumulator refused a chunk")
		}
	}
	if s.Err() != nil || acc.Choices[0].Message.Content != "【练习】退路" {
		t.Errorf("streamed: %v", s.Err())
	}

	first.FailNext(1, http.StatusServiceUnavailable, "")
	second.FailNext(1, http.StatusServiceUnavailable, "")
	var api *openai.Error
	if _, err := c.Chat.Completions.New(t.Context(), ask("hi")); !errors.As(err, &api) || api.StatusCode < 500 {
		t.Errorf("both down: %v, want a server error", err)
	}
	if n := len(overseas.Requests()); n != 0 {
		t.Errorf("%d requests reached the overseas target, want none", n)
	}
	if a, b := len(first.Requests()), len(second.Requests()); a != 3 || b != 3 {
		t.Errorf("first saw %d and second %d requests, want 3 and 3", a, b)
	}
}
