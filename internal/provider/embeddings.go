package provider

import (
	"homeport/internal/openai"
)

// embeddings holds the limits of a provider's /embeddings.
func (a *adapter) embeddings() *openai.Error {
	e := &a.facts.Embedding
	raw := a.req.Raw
	f, _ := a.req.Field("input")
	if raw[f.Value.Start] == '[' && (e.MaxItems > 0 || e.Tokens == "refuse") {
		items := openai.Elements(raw, f.Value)
		if len(items) > 0 && raw[items[0].Start] != '"' {
			if e.Tokens == "refuse" {
				return refuse("input", "unsupported_value", "This target does not take token arrays; send text.", "此目标不接受 token 数组，请发送文本。")
			}
			if raw[items[0].Start] != '[' {
				items = items[:1] // one input as tokens
			}
		}
		if e.MaxItems > 0 && len(items) > e.MaxItems {
			return refuse("input", "unsupported_value", "This target takes fewer inputs in one request.", "此目标单次请求可接受的输入条数更少。")
		}
	}
	// Without the field every provider answers in floats; the answer side turns them into what the client asked for.
	if text(a.value("encoding_format")) == "base64" && e.Base64 != "yes" {
		a.patch().Drop("encoding_format")
		a.report("encoding_format", "emulated")
		a.plan.ReencodeEmbeddings = true
	}
	return a.params()
}
