package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"homeport/policy"
)

// client speaks to the tour's own gateway: no proxy, no redirect, bounded.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// send makes one request the way an OpenAI application does, and reads the answer.
func send(ctx context.Context, base string, st step, lang string) (*Step, error) {
	body, err := json.Marshal(map[string]any{"model": st.model, "stream": st.stream,
		"messages": []any{map[string]string{"role": "user", "content": pick(st.prompt, lang)}}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+st.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Language", lang)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	h := resp.Header
	out := &Step{Title: st.title, Point: st.point, App: st.app, Who: st.who, Model: st.model, Stream: st.stream, Sent: st.sent, told: st,
		Status: resp.StatusCode, EventID: h.Get("X-Request-Id"), Verdict: h.Get("X-Homeport-Verdict"), Target: h.Get("X-Homeport-Target"),
		Place: h.Get("X-Homeport-Place"), Adapted: h.Get("X-Homeport-Adapted"), Retry: h.Get("X-Should-Retry")}
	out.read(raw)
	return out, nil
}

// refusal is the member "homeport" of a 403, as far as the tour looks at it.
type refusal struct {
	Event   string
	Targets []struct {
		Target string
		Rules  []struct {
			Rule, Do  string
			Citations []string
		}
	}
}

// explains reports whether the refusal names this rule against this target, with an article and what to do.
func (r refusal) explains(target, rule string) bool {
	for _, t := range r.Targets {
		for _, why := range t.Rules {
			if t.Target == target && why.Rule == rule && why.Do != "" && len(why.Citations) > 0 {
				return true
			}
		}
	}
	return false
}

// read takes the text of an answer, a stream, or an error. What does not parse leaves the fields empty, and compare tells.
func (s *Step) read(raw []byte) {
	var text strings.Builder
	add := func(data []byte) {
		var a struct {
			Choices []struct {
				Message, Delta struct{ Content string }
			}
			Error struct {
				Code, Message string
				Homeport      refusal
			}
		}
		if json.Unmarshal(data, &a) != nil {
			return
		}
		if a.Error.Code != "" {
			s.Code, s.Message, s.refusal = a.Error.Code, a.Error.Message, a.Error.Homeport
		}
		for _, c := range a.Choices {
			text.WriteString(c.Message.Content + c.Delta.Content)
		}
	}
	if s.Stream && s.Status == http.StatusOK {
		for line := range bytes.Lines(raw) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				s.Chunks++
				add(data)
			}
		}
		if !bytes.HasSuffix(raw, []byte("data: [DONE]\n\n")) {
			s.Chunks = 0
		}
	} else {
		add(raw)
	}
	s.Answer = text.String()
}

func pick(t policy.Text, lang string) string {
	if lang == "zh" {
		return t.ZH
	}
	return t.EN
}
