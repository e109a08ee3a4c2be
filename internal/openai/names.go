package openai

import "strings"

// knownTop are the top-level names that policy or a dialect reads. A name that equals one of them only without regard to
// case is refused: some upstreams match names without case (attack case E1).
var knownTop = []string{"model", "messages", "tools", "stream", "user", "functions", "function_call", "tool_choice",
	"stream_options", "response_format", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens",
	"logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "reasoning_effort", "parallel_tool_calls",
	"metadata", "prompt", "input", "suffix", "dimensions", "encoding_format", "prediction", "modalities", "audio", "store",
	"extra_body", "litellm_params"}

var knownMessage = []string{"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content"}

// routing are the names that would choose a host, a credential or a dialect (attack case A1).
var routing = []string{"api_base", "base_url", "api_key", "api_version", "api_type", "custom_llm_provider", "extra_headers",
	"proxy", "organization", "azure_endpoint", "azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "vertex_credentials"}

// routingInMetadata: metadata is the client's own; only what other gateways read as a host or key is refused there.
var routingInMetadata = []string{"api_base", "base_url", "api_key"}

// near refuses names that differ from a known one in case only.
func (p *parser) near(n string, known []string) bool {
	for _, k := range known {
		if n == k {
			return true
		}
	}
	for _, k := range known {
		if strings.EqualFold(n, k) {
			return p.refuse(BadRequest(k, "ambiguous_field", "A field name differs from '"+k+"' only in case. 字段名与 "+k+" 仅大小写不同。"))
		}
	}
	return true
}

func (p *parser) noRouting(n string, list []string, param string) bool {
	for _, k := range list {
		if strings.EqualFold(n, k) {
			return p.refuse(BadRequest(param, "unsupported_parameter", "'"+k+"' cannot be set by a request: upstreams come from the gateway's configuration only. 请求不能指定 "+k+"：上游只由网关配置决定。"))
		}
	}
	return true
}

// intern returns the string for b without allocating for names that every request uses.
func intern(b []byte) string {
	switch string(b) {
	case "model":
		return "model"
	case "messages":
		return "messages"
	case "role":
		return "role"
	case "content":
		return "content"
	case "stream":
		return "stream"
	case "stream_options":
		return "stream_options"
	case "temperature":
		return "temperature"
	case "top_p":
		return "top_p"
	case "max_tokens":
		return "max_tokens"
	case "max_completion_tokens":
		return "max_completion_tokens"
	case "tools":
		return "tools"
	case "tool_choice":
		return "tool_choice"
	case "tool_calls":
		return "tool_calls"
	case "tool_call_id":
		return "tool_call_id"
	case "reasoning_content":
		return "reasoning_content"
	case "response_format":
		return "response_format"
	case "type":
		return "type"
	case "text":
		return "text"
	case "name":
		return "name"
	case "function":
		return "function"
	case "arguments":
		return "arguments"
	case "input":
		return "input"
	case "prompt":
		return "prompt"
	case "user":
		return "user"
	case "system":
		return "system"
	case "assistant":
		return "assistant"
	case "tool":
		return "tool"
	case "id":
		return "id"
	case "object":
		return "object"
	case "created":
		return "created"
	case "choices":
		return "choices"
	case "index":
		return "index"
	case "delta":
		return "delta"
	case "finish_reason":
		return "finish_reason"
	case "usage":
		return "usage"
	case "prompt_tokens":
		return "prompt_tokens"
	case "completion_tokens":
		return "completion_tokens"
	case "total_tokens":
		return "total_tokens"
	case "message":
		return "message"
	case "logprobs":
		return "logprobs"
	case "refusal":
		return "refusal"
	case "system_fingerprint":
		return "system_fingerprint"
	case "service_tier":
		return "service_tier"
	}
	return string(b)
}
