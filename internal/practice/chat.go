package practice

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// answer is one choice, before it is written as JSON or as a stream.
type answer struct {
	reasoning []string
	pieces    []string // the text; nil where there are calls
	calls     []toolCall
	legacy    bool // write calls[0] as function_call
	finish    string
}

type toolCall struct{ id, name, args string }

// tokens of the whole answer, reasoning included.
func (a answer) tokens() int {
	n := len(a.reasoning) + len(a.pieces)
	for _, c := range a.calls {
		n += countTokens(c.name) + countTokens(c.args)
	}
	return n
}

// chat answers /v1/chat/completions.
func (u *upstream) chat(c *call) error {
	var req chatRequest
	if err := decode(c.body, &req); err != nil {
		return err
	}
	n, limit, err := req.check()
	if err != nil {
		return err
	}
	conv, err := readConversation(req.Messages)
	if err != nil {
		return err
	}
	cmd, err := parseCommands(conv.lastUser)
	if err != nil {
		return err
	}
	if n*cmd.long > maxPieces {
		return invalid("n", "n 与 long 之积过大；n times long is too much")
	}
	if err := u.wait(c, cmd, req.Stream); err != nil {
		return err
	}
	answers := make([]answer, n)
	for i := range answers {
		if answers[i], err = compose(&req, conv, cmd, c.id, i); err != nil {
			return err
		}
		answers[i].limit(req.Stop, limit)
	}
	use := usage(conv.tokens, answers)
	if req.Stream {
		return u.streamChat(c, &req, cmd, answers, use)
	}
	choices := make([]any, n)
	for i, a := range answers {
		choices[i] = a.choice(i, req.Logprobs, req.TopLogprobs)
	}
	body := encode(chatObject{ID: "chatcmpl-practice-" + c.id, Object: "chat.completion", Created: u.Created, Model: Model,
		Choices: choices, Usage: use, SystemFingerprint: Model})
	return write(c, cmd, body)
}

// wait carries out the commands that come before any answer: errors, and time. Errors of a stream come later (stream.go).
func (u *upstream) wait(c *call, cmd commands, streamed bool) error {
	d := cmd.slow
	if !streamed {
		d += cmd.silence + time.Duration(cmd.long)*cmd.pace
	}
	if d > 0 {
		if err := u.Sleep(c.ctx, d); err != nil {
			return err
		}
	}
	if cmd.fail != nil && !(streamed && (cmd.failInStream || cmd.failFirst)) {
		return cmd.fail
	}
	return nil
}

// write sends a whole answer; `break stream` cuts the connection in the middle of it.
func write(c *call, cmd commands, body []byte) error {
	if !cmd.breakStream {
		writeRaw(c.w, http.StatusOK, body)
		return nil
	}
	c.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	writeRaw(c.w, http.StatusOK, body[:len(body)/2])
	http.NewResponseController(c.w).Flush()
	panic(http.ErrAbortHandler) // net/http's way to close the connection without a clean end
}

// compose makes choice i. Tool calls win over JSON, JSON over text; a tool's result is always answered in text or JSON, so
// that agent loops end.
func compose(req *chatRequest, conv conversation, cmd commands, id string, i int) (answer, error) {
	zh := chinese(cmd.rest)
	a := answer{finish: "stop"}
	if req.ReasoningEffort != "" && req.ReasoningEffort != "none" && req.ReasoningEffort != "minimal" {
		a.reasoning = pieces(say(zh, "【练习】练习上游不思考，此处只占思考内容的位置。",
			"[practice] The practice upstream does not think; this stands where reasoning would."))
	}
	if !conv.afterTool {
		calls, legacy, err := wantedCalls(req, cmd)
		if err != nil {
			return a, err
		}
		if len(calls) > 0 {
			for k := range calls {
				calls[k].id = fmt.Sprintf("call_%s_%d_%d", id, i, k)
			}
			a.calls, a.legacy, a.finish = calls, legacy, "tool_calls"
			if legacy {
				a.finish = "function_call"
			}
			return a, nil
		}
	}
	switch {
	case cmd.long > 0:
		a.pieces = longText(cmd.long, zh)
	case req.ResponseFormat.Type == "json_object":
		a.pieces = pieces(string(encode(struct {
			Practice bool   `json:"practice"`
			Note     string `json:"note"`
		}{true, note(req, conv, cmd, zh)})))
	case req.ResponseFormat.Type == "json_schema":
		v, err := instance(req.ResponseFormat.JSONSchema.Schema, say(zh, "练习", "practice"), true)
		if err != nil {
			return a, errorf(http.StatusBadRequest, "invalid_request_error", "invalid_json_schema", "response_format", err.Error())
		}
		a.pieces = pieces(string(v))
	case req.ResponseFormat.Type == "" || req.ResponseFormat.Type == "text":
		text := note(req, conv, cmd, zh)
		if i > 0 {
			text += say(zh, fmt.Sprintf("（第 %d 个选项）", i+1), fmt.Sprintf(" (choice %d)", i+1))
		}
		a.pieces = pieces(mark(zh) + text)
	default:
		return a, invalid("response_format", "未知的类型；unknown type")
	}
	return a, nil
}

// note is the body of an answer: the echo that was asked for, or what came in, in numbers.
func note(req *chatRequest, conv conversation, cmd commands, zh bool) string {
	switch {
	case cmd.echo:
		return cmd.rest
	case conv.afterTool:
		return say(zh, fmt.Sprintf("已收到工具结果，共 %d 个字符。", conv.toolRunes),
			fmt.Sprintf("Got the tool result: %s.", plural(conv.toolRunes, "character")))
	}
	tools := len(req.Tools) + len(req.Functions)
	var b strings.Builder
	if zh {
		fmt.Fprintf(&b, "这是 Homeport 内置练习上游的回答，并非模型所写。收到 %d 条消息，共 %d 个字符，%d 个工具。", conv.count, conv.runes, tools)
		if conv.images+conv.others > 0 {
			fmt.Fprintf(&b, "另有 %d 张图片、%d 个其他附件，未读取。", conv.images, conv.others)
		}
		return b.String()
	}
	fmt.Fprintf(&b, "This answer comes from Homeport's built-in practice upstream; no model wrote it. Received %s, %s, %s.",
		plural(conv.count, "message"), plural(conv.runes, "character"), plural(tools, "tool"))
	if conv.images+conv.others > 0 {
		fmt.Fprintf(&b, " Also %s and %s, not looked at.", plural(conv.images, "image"), plural(conv.others, "other attachment"))
	}
	return b.String()
}

// longText is n pieces; the first says what they are.
func longText(n int, zh bool) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = say(zh, fmt.Sprintf("第 %d 段。", i+1), fmt.Sprintf("piece %d. ", i+1))
	}
	out[0] = mark(zh) + out[0]
	return out
}

// wantedCalls is what tool_choice, the commands or the prompt ask to be called; legacy tells the old functions form.
func wantedCalls(req *chatRequest, cmd commands) (calls []toolCall, legacy bool, err error) {
	offered := make([]function, 0, len(req.Tools)+len(req.Functions))
	for _, t := range req.Tools {
		offered = append(offered, t.Function)
	}
	legacy = len(req.Tools) == 0 && len(req.Functions) > 0
	rawChoice := req.ToolChoice
	if legacy {
		offered, rawChoice = append(offered, req.Functions...), req.FunctionCall
	}
	choice, err := readToolChoice(rawChoice, offered)
	if err != nil || choice.mode == "none" {
		return nil, legacy, err
	}
	for _, w := range cmd.calls {
		args := w.args
		if args == "" {
			args = minimalArgs(offered, w.name)
		}
		calls = append(calls, toolCall{name: w.name, args: args})
	}
	if calls == nil {
		for _, f := range choice.offered {
			if choice.mode == "named" || strings.Contains(cmd.rest, f.Name) && !cmd.echo {
				calls = append(calls, toolCall{name: f.Name, args: minimalArgs(offered, f.Name)})
			}
		}
		if calls == nil && choice.mode == "required" {
			f := choice.offered[0]
			calls = []toolCall{{name: f.Name, args: minimalArgs(offered, f.Name)}}
		}
	}
	if len(calls) > 1 && (legacy || choice.mode == "named" || req.ParallelToolCalls != nil && !*req.ParallelToolCalls) {
		calls = calls[:1]
	}
	return calls, legacy, nil
}

// toolChoice is tool_choice understood: mode auto, none, required or named, and the tools it leaves.
type toolChoice struct {
	mode    string
	offered []function
}

func readToolChoice(raw json.RawMessage, offered []function) (toolChoice, error) {
	c := toolChoice{mode: "auto", offered: offered}
	bad := invalid("tool_choice", "tool_choice 不对；tool_choice is not one of the known forms, or names a tool that is not offered")
	if len(raw) == 0 || string(raw) == "null" {
		return c, nil
	}
	if json.Unmarshal(raw, &c.mode) == nil {
		if c.mode != "auto" && c.mode != "none" && c.mode != "required" || c.mode == "required" && len(offered) == 0 {
			return c, bad
		}
		return c, nil
	}
	var form struct {
		Type         string   `json:"type"`
		Name         string   `json:"name"` // the old function_call form
		Function     function `json:"function"`
		AllowedTools struct {
			Mode  string `json:"mode"`
			Tools []tool `json:"tools"`
		} `json:"allowed_tools"`
	}
	if json.Unmarshal(raw, &form) != nil {
		return c, bad
	}
	names := map[string]bool{form.Function.Name: true, form.Name: true}
	c.mode = "named"
	if form.Type == "allowed_tools" {
		c.mode = form.AllowedTools.Mode
		for _, t := range form.AllowedTools.Tools {
			names[t.Function.Name] = true
		}
	}
	c.offered = nil
	for _, f := range offered {
		if names[f.Name] {
			c.offered = append(c.offered, f)
		}
	}
	if len(c.offered) == 0 || c.mode != "named" && c.mode != "auto" && c.mode != "required" {
		return c, bad
	}
	return c, nil
}

// minimalArgs satisfies the tool's schema; a tool that is not offered, or a schema nothing can satisfy, gets {}.
func minimalArgs(offered []function, name string) string {
	for _, f := range offered {
		if f.Name == name && len(f.Parameters) > 0 {
			if v, err := instance(f.Parameters, Model, false); err == nil {
				return string(v)
			}
		}
	}
	return "{}"
}

// limit applies stop texts, then the token limit over reasoning and text.
func (a *answer) limit(stops []string, limit int) {
	a.pieces, _ = cutAtStop(a.pieces, stops)
	if limit == 0 || a.tokens() <= limit || a.calls != nil {
		return
	}
	a.finish = "length"
	a.reasoning = a.reasoning[:min(limit, len(a.reasoning))]
	a.pieces = a.pieces[:min(limit-len(a.reasoning), len(a.pieces))]
}
