package practice

// The JSON shapes of answers, in the member order of the OpenAI API.

type chatObject struct {
	ID                string      `json:"id"`
	Object            string      `json:"object"`
	Created           int64       `json:"created"`
	Model             string      `json:"model"`
	Choices           []any       `json:"choices"`
	Usage             *usageShape `json:"usage,omitempty"`
	SystemFingerprint string      `json:"system_fingerprint,omitempty"`
}

type choiceShape struct {
	Index        int            `json:"index"`
	Message      *messageShape  `json:"message,omitempty"`
	Delta        *deltaShape    `json:"delta,omitempty"`
	Logprobs     *logprobsShape `json:"logprobs"`
	FinishReason *string        `json:"finish_reason"`
}

type messageShape struct {
	Role             string         `json:"role"`
	Content          *string        `json:"content"`
	ReasoningContent string         `json:"reasoning_content,omitempty"`
	Refusal          *string        `json:"refusal"`
	ToolCalls        []callShape    `json:"tool_calls,omitempty"`
	FunctionCall     *functionShape `json:"function_call,omitempty"`
}

type deltaShape struct {
	Role             string         `json:"role,omitempty"`
	Content          *string        `json:"content,omitempty"`
	ReasoningContent string         `json:"reasoning_content,omitempty"`
	ToolCalls        []callShape    `json:"tool_calls,omitempty"`
	FunctionCall     *functionShape `json:"function_call,omitempty"`
}

type callShape struct {
	Index    *int          `json:"index,omitempty"` // streams only
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function functionShape `json:"function"`
}

type functionShape struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type usageShape struct {
	PromptTokens     int          `json:"prompt_tokens"`
	CompletionTokens int          `json:"completion_tokens"`
	TotalTokens      int          `json:"total_tokens"`
	Details          *detailShape `json:"completion_tokens_details,omitempty"`
}

type detailShape struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

type logprobsShape struct {
	Content []logprobShape `json:"content"`
	Refusal []logprobShape `json:"refusal"`
}

type logprobShape struct {
	Token       string         `json:"token"`
	Logprob     float64        `json:"logprob"`
	Bytes       []int          `json:"bytes"`
	TopLogprobs []logprobShape `json:"top_logprobs,omitzero"`
}

// usage sums over all choices, as the OpenAI API does for n > 1.
func usage(prompt int, answers []answer) *usageShape {
	u := &usageShape{PromptTokens: prompt, Details: &detailShape{}}
	for _, a := range answers {
		u.CompletionTokens += a.tokens()
		u.Details.ReasoningTokens += len(a.reasoning)
	}
	u.TotalTokens = prompt + u.CompletionTokens
	return u
}

// logprob is the shape alone: this upstream is certain of every piece (log 1 = 0) and knows no alternative to it.
func logprob(piece string, top int) logprobShape {
	p := logprobShape{Token: piece}
	for _, b := range []byte(piece) {
		p.Bytes = append(p.Bytes, int(b))
	}
	one := p
	p.TopLogprobs = []logprobShape{}
	if top > 0 {
		p.TopLogprobs = []logprobShape{one}
	}
	return p
}

func logprobs(on bool, pieces []string, top int) *logprobsShape {
	if !on {
		return nil
	}
	l := &logprobsShape{Content: []logprobShape{}}
	for _, p := range pieces {
		l.Content = append(l.Content, logprob(p, top))
	}
	return l
}

// choice is a whole answer's choice i.
func (a answer) choice(i int, withLogprobs bool, top int) choiceShape {
	m := &messageShape{Role: "assistant", ReasoningContent: join(a.reasoning)}
	if a.calls == nil {
		m.Content = new(join(a.pieces))
	}
	for _, c := range a.calls {
		f := functionShape{c.name, c.args}
		if a.legacy {
			m.FunctionCall = &f
			continue
		}
		m.ToolCalls = append(m.ToolCalls, callShape{ID: c.id, Type: "function", Function: f})
	}
	return choiceShape{Index: i, Message: m, Logprobs: logprobs(withLogprobs && a.calls == nil, a.pieces, top), FinishReason: &a.finish}
}
