// Package goclient runs the official Go client, openai-go v3, unchanged, against the real homeport binary with the practice
// upstream behind it (tests/hptest).
//
// The client's azure package is not used: it would link the Azure SDK. azureOptions writes the same form on the wire.
package goclient

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	"homeport/tests/hptest"
)

const (
	model     = "gpt-4o"
	forbidden = "forbidden-gpt"
)

// TestGoClient runs all parts against one gateway.
func TestGoClient(t *testing.T) {
	up := hptest.Practice(t)
	gw := hptest.Start(t, hptest.Config(up))
	e := env{up: up, gw: gw}
	for _, part := range []struct {
		name string
		run  func(*testing.T, env)
	}{
		{"chat", chat}, {"stream", stream}, {"stream with n", streamN}, {"tools", tools}, {"streamed tools", streamedTools},
		{"structured output", structured}, {"completions", completions}, {"embeddings", embeddings}, {"models", models},
		{"errors", failures}, {"retries", retries}, {"broken streams", brokenStreams}, {"cancel", cancel}, {"azure", azure},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

// env is the gateway under test and what is behind it.
type env struct {
	up *hptest.Upstream
	gw *hptest.Gateway
}

// client is what an application makes: a base URL and a key. Retries are off unless a test asks for them.
func (e env) client(more ...option.RequestOption) *openai.Client {
	c := openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(e.gw.URL + "/v1"), option.WithAPIKey(hptest.Key), option.WithMaxRetries(0)}, more...)...)
	return &c
}

func ask(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}}
}

var weather = openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_weather", Parameters: shared.FunctionParameters{
	"type": "object", "required": []string{"city"}, "properties": map[string]any{"city": map[string]any{"type": "string"}}}})

var clock = openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_time", Parameters: shared.FunctionParameters{
	"type": "object", "required": []string{"zone"}, "properties": map[string]any{"zone": map[string]any{"enum": []string{"UTC"}}}}})

func chat(t *testing.T, e env) {
	var raw *http.Response
	p := ask("/echo 你好")
	p.Seed = param.NewOpt(int64(math.MaxInt64)) // must reach the upstream exactly
	got, err := e.client().Chat.Completions.New(t.Context(), p, option.WithResponseInto(&raw))
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Choices[0].Message.Content; text != "【练习】你好" || got.Choices[0].FinishReason != "stop" {
		t.Errorf("answer %q, finish %q", text, got.Choices[0].FinishReason)
	}
	if u := got.Usage; u.PromptTokens == 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
		t.Errorf("usage %d + %d = %d", u.PromptTokens, u.CompletionTokens, u.TotalTokens)
	}
	if id := raw.Header.Get("X-Request-Id"); !strings.HasPrefix(id, "hp_") {
		t.Errorf("x-request-id %q", id)
	}
	if !strings.Contains(string(e.up.Last(t).Body), `"seed":9223372036854775807`) {
		t.Error("the seed was changed on its way")
	}
}

func stream(t *testing.T, e env) {
	p := ask("practice: long 500")
	p.StreamOptions.IncludeUsage = param.NewOpt(true)
	s := e.client().Chat.Completions.NewStreaming(t.Context(), p)
	var acc openai.ChatCompletionAccumulator
	finished := false
	for s.Next() {
		if !acc.AddChunk(s.Current()) {
			t.Fatal("the accumulator refused a chunk")
		}
		if _, ok := acc.JustFinishedContent(); ok {
			finished = true
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if text := acc.Choices[0].Message.Content; !finished || !strings.HasSuffix(text, "piece 500. ") || acc.Usage.CompletionTokens != 500 {
		t.Errorf("finished %v, %d bytes of text, %d tokens", finished, len(text), acc.Usage.CompletionTokens)
	}
}

func streamN(t *testing.T, e env) {
	p := ask("/echo 甲")
	p.N = param.NewOpt(int64(2))
	s := e.client().Chat.Completions.NewStreaming(t.Context(), p)
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		if !acc.AddChunk(s.Current()) {
			t.Fatal("the accumulator refused a chunk")
		}
	}
	if s.Err() != nil || len(acc.Choices) != 2 || acc.Choices[0].Message.Content != "【练习】甲" || acc.Choices[1].Message.Content != "【练习】甲（第 2 个选项）" {
		t.Errorf("%v, %d choices", s.Err(), len(acc.Choices))
	}
	if acc.Usage.TotalTokens != 0 {
		t.Error("usage came although it was not asked for")
	}
}

func tools(t *testing.T, e env) {
	p := ask(`practice: tool get_weather {"city":"北京"}` + "\npractice: tool get_time")
	p.Tools = []openai.ChatCompletionToolUnionParam{weather, clock}
	got, err := e.client().Chat.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	calls := got.Choices[0].Message.ToolCalls
	if len(calls) != 2 || calls[0].Function.Arguments != `{"city":"北京"}` || calls[1].Function.Arguments != `{"zone":"UTC"}` || calls[0].ID == calls[1].ID {
		t.Fatalf("%d calls: %+v", len(calls), calls)
	}
	p.Messages = append(p.Messages, got.Choices[0].Message.ToParam(), openai.ToolMessage("晴", calls[0].ID), openai.ToolMessage("08:00", calls[1].ID))
	if got, err = e.client().Chat.Completions.New(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if text := got.Choices[0].Message.Content; !strings.Contains(text, "5 characters") {
		t.Errorf("answer to the results: %q", text)
	}
}

func streamedTools(t *testing.T, e env) {
	p := ask(`practice: tool get_weather {"city":"上海"}` + "\npractice: tool get_time")
	p.Tools = []openai.ChatCompletionToolUnionParam{weather, clock}
	s := e.client().Chat.Completions.NewStreaming(t.Context(), p)
	var acc openai.ChatCompletionAccumulator
	var finished []string
	for s.Next() {
		if !acc.AddChunk(s.Current()) {
			t.Fatal("the accumulator refused a chunk")
		}
		if call, ok := acc.JustFinishedToolCall(); ok {
			finished = append(finished, call.Name+call.Arguments)
		}
	}
	want := `get_weather{"city":"上海"} get_time{"zone":"UTC"}`
	if got := strings.Join(finished, " "); s.Err() != nil || got != want {
		t.Errorf("%v, got %s, want %s", s.Err(), got, want)
	}
}

func structured(t *testing.T, e env) {
	p := ask("给我一个人")
	p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
		Name: "person", Strict: param.NewOpt(true), Schema: map[string]any{
			"type": "object", "required": []string{"name", "age"}, "additionalProperties": false,
			"properties": map[string]any{"name": map[string]any{"type": "string"}, "age": map[string]any{"type": "integer", "minimum": 18}}}}}
	got, err := e.client().Chat.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var person struct {
		Name string
		Age  int
	}
	if err := json.Unmarshal([]byte(got.Choices[0].Message.Content), &person); err != nil || person.Name != "练习" || person.Age != 18 {
		t.Errorf("%v, %+v", err, person)
	}
}

func completions(t *testing.T, e env) {
	got, err := e.client().Completions.New(t.Context(), openai.CompletionNewParams{
		Model: "gpt-3.5-turbo-instruct", Prompt: openai.CompletionNewParamsPromptUnion{OfString: param.NewOpt("/echo 从前")}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Choices[0].Text != "【练习】从前" {
		t.Errorf("text %q", got.Choices[0].Text)
	}
}

func embeddings(t *testing.T, e env) {
	for name, input := range map[string]openai.EmbeddingNewParamsInputUnion{
		"text":            {OfString: param.NewOpt("你好")},
		"texts":           {OfArrayOfStrings: []string{"你好"}},
		"tokens":          {OfArrayOfTokens: []int64{1, 2}},
		"lists of tokens": {OfArrayOfTokenArrays: [][]int64{{1}}},
	} {
		for _, format := range []openai.EmbeddingNewParamsEncodingFormat{"", "float", "base64"} {
			got, err := e.client().Embeddings.New(t.Context(), openai.EmbeddingNewParams{
				Model: "text-embedding-3-small", Input: input, EncodingFormat: format})
			if err != nil {
				t.Errorf("%s %s: %v", name, format, err)
				continue
			}
			sum := 0.0
			for _, x := range got.Data[0].Embedding {
				sum += x * x
			}
			if len(got.Data) != 1 || len(got.Data[0].Embedding) != 1536 || math.Abs(sum-1) > 1e-5 || got.Usage.PromptTokens == 0 {
				t.Errorf("%s %s: %d vectors of %d, length² %v", name, format, len(got.Data), len(got.Data[0].Embedding), sum)
			}
		}
	}
}

func models(t *testing.T, e env) {
	c := e.client()
	found := false
	pages := c.Models.ListAutoPaging(t.Context())
	for pages.Next() {
		found = found || pages.Current().ID == "practice"
	}
	if pages.Err() != nil || !found {
		t.Errorf("%v, practice found: %v", pages.Err(), found)
	}
	if m, err := c.Models.Get(t.Context(), "practice"); err != nil || m.ID != "practice" {
		t.Errorf("get: %v", err)
	}
}

// failures: each case's status, code and type, in the shape that the client decodes.
func failures(t *testing.T, e env) {
	for _, c := range []struct {
		name, model, text string
		options           []option.RequestOption
		status            int
		kind, code        string // "" is not checked
	}{
		{name: "wrong key", options: []option.RequestOption{option.WithAPIKey("sk-test-this-key-is-not-known-0001")}, status: 401, code: "invalid_api_key"},
		{name: "unknown model", model: "no-such-model", status: 404, code: "model_not_found"},
		{name: "refusal", model: forbidden, status: 403, kind: "permission_error", code: "policy_denied"},
		{name: "429", text: "practice: error 429", status: 429},
		{name: "quota", text: "practice: error quota", status: 429, code: "insufficient_quota"},
		{name: "context", text: "practice: error context", status: 400, code: "context_length_exceeded"},
		{name: "upstream refuses our key", text: "practice: error 401", status: 502, code: "upstream_auth"},
		{name: "404 of the base URL", options: []option.RequestOption{option.WithBaseURL(e.gw.URL + "/v1/v1")}, status: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := ask("hi " + c.text)
			if c.text != "" {
				p = ask(c.text)
			}
			if c.model != "" {
				p.Model = c.model
			}
			_, err := e.client(c.options...).Chat.Completions.New(t.Context(), p)
			var api *openai.Error
			if !errors.As(err, &api) {
				t.Fatalf("got %v, want an API error", err)
			}
			if api.StatusCode != c.status || c.code != "" && api.Code != c.code || c.kind != "" && api.Type != c.kind {
				t.Errorf("got %d %s %s, want %d %s %s", api.StatusCode, api.Type, api.Code, c.status, c.kind, c.code)
			}
			if api.Message == "" || api.Type == "" || !strings.HasPrefix(api.Response.Header.Get("X-Request-Id"), "hp_") {
				t.Errorf("message %q, type %q, request id %q", api.Message, api.Type, api.Response.Header.Get("X-Request-Id"))
			}
		})
	}
}

// retries: the client tries a refusal and a wrong key once, whatever its retries are.
func retries(t *testing.T, e env) {
	calls := 0
	count := option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		calls++
		return next(r)
	})
	p := ask("hi")
	p.Model = forbidden
	if _, err := e.client(count, option.WithMaxRetries(3)).Chat.Completions.New(t.Context(), p); err == nil || calls != 1 {
		t.Errorf("a refusal: %v after %d calls, want an error after 1", err, calls)
	}
}

func brokenStreams(t *testing.T, e env) {
	for _, command := range []string{"practice: error in stream\nhi", "practice: break stream\nhi"} {
		s := e.client().Chat.Completions.NewStreaming(t.Context(), ask(command))
		chunks := 0
		for s.Next() {
			chunks++
		}
		if s.Err() == nil || chunks == 0 {
			t.Errorf("%q: %d chunks and %v, want some and an error", command, chunks, s.Err())
		}
	}
}

func cancel(t *testing.T, e env) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	s := e.client().Chat.Completions.NewStreaming(ctx, ask("practice: long 100000 20ms"))
	for range 3 {
		if !s.Next() {
			t.Fatal(s.Err())
		}
	}
	leave()
	for s.Next() { // what had already arrived
	}
	if !errors.Is(s.Err(), context.Canceled) {
		t.Errorf("the stream ended with %v", s.Err())
	}
	e.up.Last(t).WaitCancelled(t, 10*time.Second)
}

// azureOptions is the wire form of the azure package: deployment in the path, api-key, api-version.
func azureOptions(gw *hptest.Gateway, deployment string) []option.RequestOption {
	return []option.RequestOption{option.WithBaseURL(gw.URL + "/openai/deployments/" + deployment), option.WithHeaderDel("Authorization"),
		option.WithHeader("api-key", hptest.Key), option.WithQuery("api-version", "2024-10-21")}
}

func azure(t *testing.T, e env) {
	c := e.client(azureOptions(e.gw, "gpt-4o")...)
	got, err := c.Chat.Completions.New(t.Context(), ask("/echo 部署"))
	if err != nil || got.Choices[0].Message.Content != "【练习】部署" {
		t.Fatalf("plain: %v", err)
	}
	s := c.Chat.Completions.NewStreaming(t.Context(), ask("/echo 部署"))
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		acc.AddChunk(s.Current())
	}
	if s.Err() != nil || acc.Choices[0].Message.Content != "【练习】部署" {
		t.Errorf("stream: %v", s.Err())
	}
	// The deployment in the path wins over the body's model.
	_, err = e.client(azureOptions(e.gw, forbidden)...).Chat.Completions.New(t.Context(), ask("hi"))
	var api *openai.Error
	if !errors.As(err, &api) || api.StatusCode != 403 || api.Code != "policy_denied" {
		t.Errorf("refused deployment: %v", err)
	}
	// The newer form without api-version.
	c = e.client(option.WithBaseURL(e.gw.URL+"/openai/v1"), option.WithHeaderDel("Authorization"), option.WithHeader("api-key", hptest.Key))
	if _, err := c.Chat.Completions.New(t.Context(), ask("hi")); err != nil {
		t.Errorf("/openai/v1: %v", err)
	}
}
