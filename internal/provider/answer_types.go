package provider

import "homeport/internal/openai"

// AnswerRules say where a provider's answers differ from OpenAI's: the section "answer" of its catalog entry.
// The zero value fits anything OpenAI-shaped: identity fields are completed, reasoning is normalised, finish reasons
// that OpenAI does not know become "stop" and are reported.
type AnswerRules struct {
	// Plain: answers have OpenAI's shape exactly, so whole bodies pass without being read to the end.
	Plain bool `yaml:"plain,omitempty"`
	// Done is "optional" (the default: a stream may end without [DONE] once every choice has finished) or "required".
	Done string `yaml:"done,omitempty"`
	// Model is "fill" (the default: only a missing name is filled in) or "client": the name the client asked for is put
	// in, where the upstream's says nothing (a deployment's base model, a single loaded model).
	Model string `yaml:"model,omitempty"`
	// ThinkTags: reasoning comes inside content, between <think> and </think> at its start.
	ThinkTags bool `yaml:"think_tags,omitempty"`
	// Cumulative lists upstream models (a trailing * matches the rest) whose events repeat the text so far.
	Cumulative []string `yaml:"cumulative,omitempty"`
	// Finish maps finish reasons to OpenAI's: stop, length, tool_calls, content_filter, function_call.
	Finish map[string]string `yaml:"finish,omitempty"`
	// FinishError names the finish reasons that are failures.
	FinishError map[string]Class `yaml:"finish_error,omitempty"`
	// Flags are boolean members of an answer, at the top or in a choice, that mean a failure when true.
	Flags map[string]Class `yaml:"flags,omitempty"`
	// Drop lists top-level members that are taken out (and reported).
	Drop []string `yaml:"drop,omitempty"`
	// Tokens are this provider's factors for an estimate when no usage comes.
	Tokens TokenFactors `yaml:"tokens,omitempty"`
}

// TokenFactors estimate tokens from text by class of character. Zero means the default of [AnswerRules.EstimateTokens].
type TokenFactors struct {
	CJK   float64 `yaml:"cjk,omitempty"`   // tokens per character beyond ASCII
	Latin float64 `yaml:"latin,omitempty"` // tokens per ASCII character
}

// ErrorRule maps what an upstream says about a failure to a class: one row of the section "errors" of a catalog entry.
// Every condition given must hold; within a list any one does. The first row that holds decides.
type ErrorRule struct {
	HTTP int `yaml:"http,omitempty"` // the HTTP status; 0 is any, in-band errors included
	// Code is what the body gives as code (error.code, code, error_code, base_resp.status_code …) as text;
	// a trailing * matches the rest. Case does not matter.
	Code []string `yaml:"code,omitempty"`
	Type []string `yaml:"type,omitempty"` // error.type, likewise
	Text []string `yaml:"text,omitempty"` // part of the message, case aside
	// InBand limits the row to errors inside a 200 answer or stream.
	InBand bool  `yaml:"inband,omitempty"`
	Class  Class `yaml:"class"`
	// Unverified marks a row that rests on general knowledge, not on a source that was read.
	Unverified bool `yaml:"unverified,omitempty"`
}

// AnswerOptions are the circumstances of one attempt.
type AnswerOptions struct {
	Endpoint openai.Endpoint // zero is chat
	Stream   bool
	// WantUsage: the client asked for stream_options.include_usage.
	WantUsage bool
	// Azure: the client speaks the Azure form and knows its annotations.
	Azure bool
	// Model is the name the client asked for; UpstreamModel is the name sent upstream.
	Model, UpstreamModel string
	// ID and Created (Unix seconds) stand in where the upstream gives none. ID is also the root of made-up tool call ids,
	// so it must not repeat between attempts.
	ID      string
	Created int64
	// ReencodeBase64: the client asked for base64 embeddings and the upstream answers in numbers.
	ReencodeBase64 bool
	// SchemaEmulated is the JSON schema the client asked for where the upstream was only asked for a JSON object;
	// the answer is checked against it.
	SchemaEmulated []byte
	schema         *answerSchema // the same, as Adapt compiled it; nil compiles SchemaEmulated
	// LegacyFunctions: the client speaks functions and function_call, the upstream tools and tool_calls.
	LegacyFunctions bool
	// PromptTokens is the caller's estimate of the prompt, used when no usage comes.
	PromptTokens int64
}

// Follow begins to follow the answer to the request that p describes. What the plan knows is filled into opt; the caller
// gives Model (the name the client asked for), Azure, ID, Created and PromptTokens.
func (w *Wire) Follow(p *Plan, opt AnswerOptions) *Answer {
	opt.Stream, opt.WantUsage, opt.UpstreamModel = p.Stream, p.WantUsage, p.Model
	opt.SchemaEmulated, opt.ReencodeBase64, opt.LegacyFunctions = p.Schema, p.ReencodeEmbeddings, p.LegacyFunctions
	opt.schema = p.schema
	return NewAnswer(&w.Answer, w.Errors, opt)
}

// Usage is what one attempt consumed, in tokens.
type Usage struct {
	Prompt, Completion, Total int64
	Cached                    int64 // of Prompt
	Reasoning                 int64 // of Completion
	Source                    string
}

// Where a usage figure comes from.
const (
	UsageProvider  = "provider"  // the upstream's own figure
	UsageEstimated = "estimated" // from the characters that came
	UsageNone      = "none"      // nothing came
)
