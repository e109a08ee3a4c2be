package practice

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// completionRequest holds the members of a /v1/completions request that this upstream acts on.
type completionRequest struct {
	Prompt        prompts       `json:"prompt"`
	Stream        bool          `json:"stream"`
	StreamOptions streamOptions `json:"stream_options"`
	N             *int          `json:"n"`
	Stop          texts         `json:"stop"`
	MaxTokens     *int          `json:"max_tokens"`
	Logprobs      *int          `json:"logprobs"`
	Echo          bool          `json:"echo"`
}

// prompts is the four forms of `prompt` and `input`: a text, a list of texts, a list of tokens, a list of such lists.
type prompts []prompt

// prompt is a text or a list of token ids.
type prompt struct {
	text string
	ids  []uint64
}

func (p *prompts) UnmarshalJSON(b []byte) error {
	var (
		list texts
		ids  []uint64
		many [][]uint64
	)
	switch {
	case json.Unmarshal(b, &list) == nil:
		for _, t := range list {
			*p = append(*p, prompt{text: t})
		}
	case json.Unmarshal(b, &ids) == nil:
		*p = prompts{{ids: ids}}
	case json.Unmarshal(b, &many) == nil:
		for _, one := range many {
			*p = append(*p, prompt{ids: one})
		}
	default:
		return invalid("", "应为文本、文本数组或 token 数组；want text, a list of texts, or tokens")
	}
	return nil
}

// tokens counts the prompt's tokens: its ids, or the practice tokens of its text.
func (p prompt) tokens() int { return len(p.ids) + countTokens(p.text) }

func (p prompt) empty() bool { return p.text == "" && len(p.ids) == 0 }

type completionObject struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []completionChoice `json:"choices"`
	Usage             *usageShape        `json:"usage,omitempty"`
	SystemFingerprint string             `json:"system_fingerprint"`
}

type completionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *completionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`
}

type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"`
}

// completions answers /v1/completions: n choices for each prompt, the first prompt's commands for all.
func (u *upstream) completions(c *call) error {
	var req completionRequest
	if err := decode(c.body, &req); err != nil {
		return err
	}
	n, limit, err := (&chatRequest{N: req.N, MaxTokens: req.MaxTokens, Stop: req.Stop}).check()
	if err != nil {
		return err
	}
	if len(req.Prompt) == 0 {
		req.Prompt = prompts{{}} // the API's default is the empty document
	}
	cmd, err := parseCommands(req.Prompt[0].text)
	if err != nil {
		return err
	}
	if n*len(req.Prompt)*max(cmd.long, 1) > maxPieces {
		return invalid("n", "选项过多；too many choices")
	}
	if err := u.wait(c, cmd, req.Stream); err != nil {
		return err
	}
	var answers []answer
	promptTokens := 0
	for i, p := range req.Prompt {
		promptTokens += p.tokens()
		for k := range n {
			a := answer{finish: "stop", pieces: completionText(p, cmd, i, k)}
			a.limit(req.Stop, limit)
			if req.Echo {
				a.pieces = append(pieces(p.text), a.pieces...)
			}
			answers = append(answers, a)
		}
	}
	use := usage(promptTokens, answers)
	object := func(use *usageShape, choices ...completionChoice) []byte {
		return encode(completionObject{ID: "cmpl-practice-" + c.id, Object: "text_completion", Created: u.Created, Model: Model,
			Choices: choices, Usage: use, SystemFingerprint: Model})
	}
	if !req.Stream {
		choices := make([]completionChoice, len(answers))
		for i, a := range answers {
			choices[i] = completionChoice{Index: i, Text: join(a.pieces), Logprobs: oldLogprobs(req.Logprobs, a.pieces, 0), FinishReason: &a.finish}
		}
		return write(c, cmd, object(use, choices...))
	}
	var events [][]byte
	for i, a := range answers {
		offset := 0
		for k, p := range a.pieces {
			events = append(events, object(nil, completionChoice{Index: i, Text: p, Logprobs: oldLogprobs(req.Logprobs, a.pieces[k:k+1], offset)}))
			offset += utf8.RuneCountInString(p)
		}
		events = append(events, object(nil, completionChoice{Index: i, FinishReason: &a.finish}))
	}
	if req.StreamOptions.IncludeUsage {
		events = append(events, object(use, []completionChoice{}...))
	}
	s := u.open(c)
	if s.events(cmd, events) {
		s.event([]byte("[DONE]"))
	}
	return nil
}

// completionText is the answer to prompt i, choice k.
func completionText(p prompt, cmd commands, i, k int) []string {
	text := p.text
	if i == 0 {
		text = cmd.rest
	}
	zh := chinese(text)
	switch {
	case cmd.long > 0:
		return longText(cmd.long, zh)
	case cmd.echo && i == 0:
		return pieces(mark(zh) + text)
	}
	size, which := strconv.Itoa(p.tokens()), ""
	if k > 0 {
		which = say(zh, "（第 "+strconv.Itoa(k+1)+" 个选项）", " (choice "+strconv.Itoa(k+1)+")")
	}
	return pieces(mark(zh) + say(zh,
		"这是 Homeport 内置练习上游的回答，并非模型所写。提示约 "+size+" 个 token。",
		"This answer comes from Homeport's built-in practice upstream; no model wrote it. The prompt has about "+size+" tokens.") + which)
}

// oldLogprobs is the shape of /v1/completions; each piece is certain, as in logprob.
func oldLogprobs(want *int, ps []string, offset int) *completionLogprobs {
	if want == nil {
		return nil
	}
	l := &completionLogprobs{Tokens: []string{}, TokenLogprobs: []float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
	for _, p := range ps {
		l.Tokens = append(l.Tokens, p)
		l.TokenLogprobs = append(l.TokenLogprobs, 0)
		top := map[string]float64{}
		if *want > 0 {
			top[p] = 0
		}
		l.TopLogprobs = append(l.TopLogprobs, top)
		l.TextOffset = append(l.TextOffset, offset)
		offset += utf8.RuneCountInString(p)
	}
	return l
}
