package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// remaining is what is left of the tokens of the day, as the answer's headers tell it.
func remaining(t testing.TB, a answer) int {
	t.Helper()
	n, err := strconv.Atoi(a.Header.Get("X-Ratelimit-Remaining-Tokens"))
	if err != nil {
		t.Fatalf("no remaining tokens: %v", a.Header)
	}
	return n
}

// An answer that was begun is never given back whole: only an error status is.
func TestBrokenAnswersAreCharged(t *testing.T) {
	whole := func(text string) func(http.ResponseWriter, *http.Request, int) {
		return func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, text)
		}
	}
	for _, test := range []struct {
		name   string
		serve  func(http.ResponseWriter, *http.Request, int)
		more   string
		charge bool
	}{
		{"error status", failing(500, ""), "", false},
		{"not JSON", whole("<html>"), "", true},
		{"cut short", whole(completion[:40]), "", true},
		{"no choices", whole(`{"choices":[]}`), "", true},
		{"too large", whole(strings.Replace(completion, "ok", strings.Repeat("x", 17<<20), 1)), "", true},
		{"no answer", func(http.ResponseWriter, *http.Request, int) { panic(http.ErrAbortHandler) }, "", true},
		{"empty stream", sse(""), `,"stream":true`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 0 {
					test.serve(w, r, n)
					return
				}
				answering(w, r, n)
			})
			g := start(t, setup{home: up, app: ", limits: {tokens_per_day: 100000}"})
			got := g.chat(t, ask("home-only", "hi", `,"max_tokens":1000`, test.more))
			if got.Status == 200 {
				t.Fatal(got.Body)
			}
			g.trail(t, got.id())
			next := g.chat(t, ask("home-only", "hi", `,"max_tokens":1000`, test.more))
			used := remaining(t, got) - remaining(t, next) // the next one's reservation is as large as the first's
			if test.charge && used < 1000 || !test.charge && used != 0 {
				t.Errorf("charged %d", used)
			}
		})
	}
}

// What an earlier target counted stays counted, and is not taken for the figure of a later one that was never reached.
func TestUsageOfAnEarlierTry(t *testing.T) {
	abroad := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, usageChunk)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	g := start(t, setup{abroad: abroad, app: ", limits: {tokens_per_day: 100000}"}) // nobody listens at home
	got := g.chat(t, ask("gpt-4o", "hi", `,"stream":true`))
	c := g.trail(t, got.id()).conclusion
	if got.Status != 502 || c.str("target") != "home/small" || c["bytes_in"] != float64(0) || c.sub("ms")["first"] != float64(0) {
		t.Errorf("%d %v", got.Status, c)
	}
	if u := c.sub("usage"); u["total"] != float64(9) || u.str("source") != "provider" {
		t.Errorf("usage %v", u)
	}
	first := remaining(t, got)
	if next := remaining(t, g.chat(t, ask("gpt-4o", "hi", `,"stream":true`))); first-next != 9 {
		t.Errorf("charged %d, not the 9 tokens that were counted", first-next)
	}
}

// What was changed in an answer, and how it ended, is in the event as it is in the header.
func TestAnswerChangesAreRecorded(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			sse(chunk(`{"role":"assistant","reasoning":"why"}`, "")+chunk(`{"content":"ok"}`, "")+chunk(`{}`, "eos")+usageChunk+done)(w, r, n)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, strings.Replace(completion, `"stop"`, `"eos"`, 1))
	})
	g := start(t, setup{home: up})
	for _, test := range []struct {
		more    string
		changes []string
		header  string
	}{
		{`,"stream":true`, []string{"reasoning>reasoning_content", "finish_reason:eos=stop"}, "reasoning>reasoning_content"}, // sent with the first event
		{``, []string{"finish_reason:eos=stop"}, "finish_reason:eos=stop"},
	} {
		got := g.chat(t, ask("home-only", "hi", test.more))
		tr := g.trail(t, got.id())
		if c := tr.conclusion; !slices.Equal(c.strings("adapted"), test.changes) || c.str("finish") != "stop" || got.Header.Get("X-Homeport-Adapted") != test.header {
			t.Errorf("event %v %q, header %q", c.strings("adapted"), c.str("finish"), got.Header.Get("X-Homeport-Adapted"))
		}
	}
}

// Vectors pass whatever their size; another answer beyond the bound is refused for good.
func TestVeryLargeAnswers(t *testing.T) {
	vectors := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[` + strings.Repeat("0.0123456789,", 1400<<10) + `1]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}`
	early := `{"usage":{"prompt_tokens":3,"total_tokens":3},"data":[` + strings.Repeat(" ", 300<<10) + `]}`
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, []string{vectors, early, strings.Replace(completion, "ok", strings.Repeat("x", 17<<20), 1)}[n])
	})
	g := start(t, setup{abroad: up, home: up})
	for _, want := range []string{vectors, early} {
		got := g.do(t, "POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":"clean"}`)
		if got.Status != 200 || got.Body != want {
			t.Fatalf("%d, %d bytes of %d", got.Status, len(got.Body), len(want))
		}
		if c := g.trail(t, got.id()).conclusion; c.sub("usage")["total"] != float64(3) || c["bytes_out"] != float64(len(want)) {
			t.Errorf("%v", c)
		}
	}
	got := g.chat(t, ask("home-only", "hi"))
	if got.Status != 502 || got.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if c := g.trail(t, got.id()).conclusion; c.str("error") != "upstream_answer_too_large" {
		t.Errorf("%v", c)
	}
}

// Where the end of the connection is the only end of a body, its braces tell whether it is whole.
func TestAnswerUntilClose(t *testing.T) {
	body := strings.Replace(completion, `"ok"`, `"`+strings.Repeat(`a}\"{`, 200<<10)+`"`, 1)
	for _, test := range []struct {
		name, body string
		whole      bool
	}{
		{"whole", body + "\r\n", true},
		{"cut before the last brace", body[:len(body)-1], false},
		{"cut behind an inner brace", body[:len(body)-2] + "}", false},
		{"cut in a text", body[:len(body)/2], false},
		{"more behind", body + "}", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s", test.body)
			})
			g := start(t, setup{home: up})
			got := g.chat(t, ask("plain-only", "hi"))
			c := g.trail(t, got.id()).conclusion
			if test.whole && (got.Body != test.body || c.str("outcome") != "ok" || c.str("finish") != "stop") {
				t.Errorf("%d bytes of %d, %v", len(got.Body), len(test.body), c)
			}
			if !test.whole && (!strings.Contains(got.Body, "!!") || c.str("outcome") != "stream_broken") {
				t.Errorf("a cut answer looks whole: %d bytes, %v", len(got.Body), c)
			}
		})
	}
}
