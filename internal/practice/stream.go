package practice

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

func join(ps []string) string { return strings.Join(ps, "") }

// streamer writes server-sent events, each flushed at once. After an error it writes nothing more: the client has gone.
type streamer struct {
	u   *upstream
	c   *call
	err error
}

// open sends the headers of a stream.
func (u *upstream) open(c *call) *streamer {
	h := c.w.Header()
	h.Set(Header, "homeport")
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	c.w.WriteHeader(http.StatusOK)
	return &streamer{u: u, c: c}
}

func (s *streamer) event(data []byte) {
	if s.err == nil {
		_, s.err = s.c.w.Write(slices.Concat([]byte("data: "), data, []byte("\n\n"))) // one Write: no reader sees half an event
	}
	if s.err == nil {
		s.err = http.NewResponseController(s.c.w).Flush()
	}
}

func (s *streamer) sleep(d time.Duration) {
	if s.err == nil && d > 0 {
		s.err = s.u.Sleep(s.c.ctx, d)
	}
}

// events sends events as the commands ask: silence after the first, an end in trouble after the fourth (or the last
// but one, if there are fewer), and a pace. It reports whether the stream is to end cleanly.
func (s *streamer) events(cmd commands, events [][]byte) bool {
	if cmd.failFirst {
		s.event(cmd.fail.envelope())
		return false
	}
	trouble := min(4, len(events)-1)
	for i, e := range events {
		if i == 1 {
			s.sleep(cmd.silence)
		}
		if i == trouble && cmd.failInStream {
			s.event(cmd.fail.envelope())
			return false
		}
		if i == trouble && cmd.breakStream {
			panic(http.ErrAbortHandler)
		}
		if i > 1 {
			s.sleep(cmd.pace)
		}
		s.event(e)
		if s.err != nil {
			return false
		}
	}
	return true
}

// streamChat writes the answers as chat.completion.chunk events: a role delta per choice, the choices' deltas in turn, a finish
// per choice, the usage when asked for, [DONE].
func (u *upstream) streamChat(c *call, req *chatRequest, cmd commands, answers []answer, use *usageShape) error {
	chunk := func(use *usageShape, choices ...any) []byte {
		return encode(chatObject{ID: "chatcmpl-practice-" + c.id, Object: "chat.completion.chunk", Created: u.Created,
			Model: Model, Choices: choices, Usage: use, SystemFingerprint: Model})
	}
	var events [][]byte
	deltas := make([][]choiceShape, len(answers))
	longest := 0
	for i, a := range answers {
		deltas[i] = a.deltas(i, req.Logprobs, req.TopLogprobs)
		longest = max(longest, len(deltas[i]))
	}
	for k := range longest {
		for i := range answers {
			if k < len(deltas[i]) {
				events = append(events, chunk(nil, deltas[i][k]))
			}
		}
	}
	if req.StreamOptions.IncludeUsage {
		events = append(events, chunk(use, []any{}...))
	}
	s := u.open(c)
	if s.events(cmd, events) {
		s.event([]byte("[DONE]"))
	}
	return nil
}

// deltas is the stream of choice i: role, reasoning, text or tool calls, finish.
func (a answer) deltas(i int, withLogprobs bool, top int) []choiceShape {
	first := &deltaShape{Role: "assistant"}
	if a.calls == nil {
		first.Content = new("")
	}
	out := []choiceShape{{Index: i, Delta: first}}
	for _, p := range a.reasoning {
		out = append(out, choiceShape{Index: i, Delta: &deltaShape{ReasoningContent: p}})
	}
	for k, p := range a.pieces {
		out = append(out, choiceShape{Index: i, Delta: &deltaShape{Content: &p}, Logprobs: logprobs(withLogprobs, a.pieces[k:k+1], top)})
	}
	for k, c := range a.calls {
		for j, args := range append([]string{""}, pieces(c.args)...) {
			f := functionShape{Arguments: args}
			call := callShape{Index: &k, Function: f}
			if j == 0 {
				call.ID, call.Type, call.Function.Name, f.Name = c.id, "function", c.name, c.name
			}
			d := &deltaShape{ToolCalls: []callShape{call}}
			if a.legacy {
				d = &deltaShape{FunctionCall: &f}
			}
			out = append(out, choiceShape{Index: i, Delta: d})
		}
	}
	return append(out, choiceShape{Index: i, Delta: &deltaShape{}, FinishReason: &a.finish})
}
