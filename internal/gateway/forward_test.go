package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeport/internal/gateway"
)

// byModel answers for each model by its own function, so that one upstream plays several targets.
func byModel(t testing.TB, models map[string]func(http.ResponseWriter, *http.Request, int)) *upstream {
	u := newUpstream(t, nil)
	u.serve = func(w http.ResponseWriter, r *http.Request, n int) {
		body := u.requests()[n].Body
		for model, f := range models {
			if strings.Contains(body, `"model":"`+model+`"`) {
				f(w, r, n)
				return
			}
		}
		t.Errorf("a model nobody configured: %s", body)
	}
	return u
}

func sse(text string) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, text)
	}
}

var plainStream = chunk(`{"role":"assistant","content":"hi"}`, "") + chunk(`{}`, "stop") + usageChunk + done

// Fallback happens before the first byte, with an attempt that is recorded first; what is wrong with the request or was
// blocked by a review is never shopped around.
func TestFallback(t *testing.T) {
	inBand := sse(`data: {"error":{"message":"busy","type":"server_error","code":"server_overloaded"}}` + "\n\n")
	for _, test := range []struct {
		name   string
		first  func(http.ResponseWriter, *http.Request, int)
		status int    // of the answer to a plain request
		code   string // when it is an error
		calls  int
	}{
		{"500", failing(500, ""), 200, "", 2},
		{"503", failing(503, ""), 200, "", 2},
		{"429", failing(429, "rate_limit_exceeded", "Retry-After", "3600"), 200, "", 2},
		{"our key refused", failing(401, "invalid_api_key"), 200, "", 2},
		{"no balance", failing(402, "insufficient_balance"), 200, "", 2},
		{"model gone", failing(404, "model_not_found"), 200, "", 2},
		{"redirect", failing(302, "", "Location", "http://169.254.169.254/latest/"), 200, "", 2},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request, _ int) { io.WriteString(w, "<html>busy</html>") }, 200, "", 2},
		{"connection cut", func(http.ResponseWriter, *http.Request, int) { panic(http.ErrAbortHandler) }, 200, "", 2},
		{"bad request", failing(400, "invalid_value"), 400, "", 1},
		{"content filter", failing(400, "content_filter"), 400, "content_filter", 1},
		{"too long", failing(400, "context_length_exceeded"), 400, "context_length_exceeded", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){"small": test.first, "other": answering})
			g := start(t, setup{home: up})
			got := g.chat(t, ask("home-twice", "hi"))
			if got.Status != test.status || up.count() != test.calls || test.code != "" && got.code(t) != test.code {
				t.Fatalf("%d after %d calls: %s", got.Status, up.count(), got.Body)
			}
			tr := g.trail(t, got.id())
			if len(tr.attempts) != test.calls-1 || tr.conclusion["attempts"] != float64(test.calls) || tr.decision.str("chosen") != "home/small" {
				t.Errorf("%d attempts, conclusion %v", len(tr.attempts), tr.conclusion)
			}
			if test.calls == 2 && (got.Header.Get("X-Homeport-Target") != "home/other" || tr.conclusion.str("target") != "home/other") {
				t.Errorf("target %s", got.Header.Get("X-Homeport-Target"))
			}
		})
	}
	t.Run("error as a stream's first event", func(t *testing.T) {
		up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){"small": inBand, "other": sse(plainStream)})
		g := start(t, setup{home: up})
		got := g.chat(t, ask("home-twice", "hi", `,"stream":true`))
		if got.Status != 200 || !strings.HasSuffix(got.Body, done) || strings.Contains(got.Body, "error") || got.Header.Get("X-Homeport-Target") != "home/other" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		g.trail(t, got.id())
	})
	t.Run("stream that breaks before its first event", func(t *testing.T) {
		up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){"small": sse(": thinking\n\n"), "other": sse(plainStream)})
		g := start(t, setup{home: up})
		got := g.chat(t, ask("home-twice", "hi", `,"stream":true`))
		if got.Status != 200 || !strings.HasSuffix(got.Body, done) || up.count() != 2 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("stream that breaks later", func(t *testing.T) {
		up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){"small": sse(chunk(`{"content":"x"}`, "")), "other": sse(plainStream)})
		g := start(t, setup{home: up})
		got := g.chat(t, ask("home-twice", "hi", `,"stream":true`))
		if up.count() != 1 || strings.Contains(got.Body, "[DONE]") || !strings.Contains(got.Body, "upstream_stream_broken") {
			t.Errorf("%d calls: %s", up.count(), got.Body)
		}
		if tr := g.trail(t, got.id()); len(tr.attempts) != 0 || tr.conclusion.str("outcome") != "stream_broken" {
			t.Errorf("%v", tr)
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{abroad: up, routes: "  - {model: dead-first, to: [home/small, abroad/big]}"})
	got := g.chat(t, ask("dead-first", "hi"))
	if got.Status != 200 || got.Header.Get("X-Homeport-Target") != "abroad/big" {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	got = g.chat(t, ask("home-only", "hi"))
	if got.Status != 502 || got.fault(t).Type != "server_error" || strings.Contains(got.Body, "127.0.0.1") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	tr := g.trail(t, got.id())
	if tr.conclusion.str("outcome") != "upstream_error" || tr.conclusion["status"] != float64(502) || tr.conclusion.sub("usage").str("source") != "none" {
		t.Errorf("%v", tr.conclusion)
	}
}

// Attack case F1 (invariant 3): when the one permitted target fails, a target that the decision blocked is not asked.
func TestNoFallbackToABlockedTarget(t *testing.T) {
	home, abroad := newUpstream(t, failing(500, "")), newUpstream(t, answering)
	g := start(t, setup{home: home, abroad: abroad})
	for _, request := range []struct {
		body, key string
	}{
		{ask("gpt-4o", "证件号"+residentID), appKey},
		{ask("gpt-4o", "hi"), publicKey},
		{ask("gpt-4o", "hi", `,"stream":true`), publicKey},
	} {
		got := g.chat(t, request.body, "Authorization", "Bearer "+request.key)
		if got.Status != 502 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		tr := g.trail(t, got.id())
		if tr.decision.str("chosen") != "home/small" || len(tr.attempts) != 0 {
			t.Errorf("%v", tr)
		}
	}
	if abroad.count() != 0 || home.count() != 3 {
		t.Errorf("%d abroad, %d at home", abroad.count(), home.count())
	}
}

// A retry is on the same target, recorded, and waits as the upstream asks when that is short.
func TestRetry(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			failing(503, "", "Retry-After-Ms", "10")(w, r, n)
			return
		}
		answering(w, r, n)
	})
	g := start(t, setup{home: up, provider: "retries: 1, breaker: false"})
	got := g.chat(t, ask("home-only", "hi"))
	tr := g.trail(t, got.id())
	if got.Status != 200 || up.count() != 2 || len(tr.attempts) != 1 || tr.attempts[0].str("target") != "home/small" {
		t.Errorf("%d after %d calls, attempts %v", got.Status, up.count(), tr.attempts)
	}
}

// An open breaker puts its target behind the others, and answers for it when it is the only one.
func TestBreaker(t *testing.T) {
	up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){"small": failing(500, ""), "other": answering})
	g := start(t, setup{home: up, provider: "retries: 0, breaker: {failures: 2, cooldown: 1h}"})
	for range 2 {
		if got := g.chat(t, ask("home-only", "hi")); got.Status != 502 {
			t.Fatalf("%d", got.Status)
		}
	}
	before := up.count()
	got := g.chat(t, ask("home-twice", "hi"))
	if got.Status != 200 || up.count() != before+1 || g.trail(t, got.id()).decision.str("chosen") != "home/other" {
		t.Errorf("%d after %d calls", got.Status, up.count()-before)
	}
	before = up.count()
	got = g.chat(t, ask("home-only", "hi"))
	if got.Status != 503 || up.count() != before {
		t.Errorf("open breaker: %d after %d calls: %s", got.Status, up.count()-before, got.Body)
	}
	if tr := g.trail(t, got.id()); tr.conclusion.str("outcome") != "upstream_error" {
		t.Errorf("%v", tr.conclusion)
	}
}

// Cancel reaches the upstream, and the request is concluded although nobody waits for its answer.
func TestClientLeaves(t *testing.T) {
	stream := func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, chunk(`{"role":"assistant","content":"some text that was relayed"}`, ""))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for name, test := range map[string]struct {
		serve func(http.ResponseWriter, *http.Request, int)
		body  string
		usage string
	}{
		"before the headers":         {func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }, ask("home-only", "hi"), "none"},
		"stream, before the headers": {func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }, ask("home-only", "hi", `,"stream":true`), "none"},
		"amid the stream":            {stream, ask("home-only", "hi", `,"stream":true`), "estimated"},
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(t, test.serve)
			g := start(t, setup{home: up})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", g.URL+"/v1/chat/completions", strings.NewReader(test.body))
			req.Header.Set("Authorization", "Bearer "+appKey)
			got := make(chan string, 1)
			go func() {
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					got <- ""
					return
				}
				defer res.Body.Close()
				buf := make([]byte, 16)
				io.ReadFull(res.Body, buf)
				got <- res.Header.Get("X-Request-Id")
				<-ctx.Done()
			}()
			id := ""
			if test.usage == "estimated" {
				id = <-got
			}
			for deadline := time.Now().Add(patience); up.count() == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the upstream was not asked")
				}
			}
			cancel()
			select {
			case <-up.left:
			case <-time.After(patience):
				t.Fatal("the cancel did not reach the upstream")
			}
			if id == "" {
				for _, e := range g.journal(t) {
					if e.str("kind") == "decision" {
						id = e.str("id")
					}
				}
			}
			c := g.trail(t, id).conclusion
			if c.str("outcome") != "client_gone" || c.sub("usage").str("source") != test.usage {
				t.Errorf("%v", c)
			}
		})
	}
}

// While the upstream thinks, headers go out after a while, and comments keep the connection alive; then the target is fixed.
func TestKeepAlive(t *testing.T) {
	release := make(chan bool)
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		<-release
		io.WriteString(w, plainStream)
	})
	g := bare(t, setup{home: up}, gateway.Options{Patience: gateway.Patience{Commit: 10 * time.Millisecond, KeepAlive: 10 * time.Millisecond}}, nil)
	res := g.open(t, context.Background(), "POST", "/v1/chat/completions", ask("home-twice", "hi", `,"stream":true`))
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || res.Header.Get("X-Homeport-Target") != "home/small" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	buf := make([]byte, 3*len(": keep-alive\n\n"))
	if _, err := io.ReadFull(res.Body, buf); err != nil || strings.ReplaceAll(string(buf), ": keep-alive\n\n", "") != "" {
		t.Fatalf("%q %v", buf, err)
	}
	close(release)
	rest, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(rest), done) {
		t.Errorf("%q %v", rest, err)
	}
}

// The timer that commits and the first event may meet (for the race detector); whoever comes first, the stream is whole.
func TestCommitMeetsTheFirstEvent(t *testing.T) {
	odd := strings.ReplaceAll(chunk(`{"role":"assistant","content":"hi"}`, ""), `"index":0,`, "") // something to adapt, and to report
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Millisecond + time.Duration(n%40)*25*time.Microsecond)
		io.WriteString(w, odd+plainStream)
	})
	g := bare(t, setup{home: up}, gateway.Options{Patience: gateway.Patience{Commit: 1500 * time.Microsecond}}, nil)
	for range 120 {
		got := g.chat(t, ask("home-only", "hi", `,"stream":true`))
		if body := strings.ReplaceAll(got.Body, ": keep-alive\n\n", ""); got.Status != 200 || strings.Count(body, "data: ") != 4 || !strings.HasSuffix(body, done) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
}

// Headers that went out early fix the target: what then fails is an error event.
func TestCommittedBeforeTheFirstEvent(t *testing.T) {
	var g *instance
	committed := make(chan bool)
	up := byModel(t, map[string]func(http.ResponseWriter, *http.Request, int){
		"small": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			<-committed
			io.WriteString(w, `data: {"error":{"message":"busy","type":"server_error","code":"server_overloaded"}}`+"\n\n")
		}, "other": sse(plainStream)})
	g = bare(t, setup{home: up}, gateway.Options{Patience: gateway.Patience{Commit: 10 * time.Millisecond}}, nil)
	res := g.open(t, context.Background(), "POST", "/v1/chat/completions", ask("home-twice", "hi", `,"stream":true`))
	defer res.Body.Close()
	close(committed)
	b, _ := io.ReadAll(res.Body)
	if up.count() != 1 || strings.Contains(string(b), "[DONE]") || !strings.Contains(string(b), `"error"`) {
		t.Errorf("%d calls: %s", up.count(), b)
	}
	if c := g.trail(t, res.Header.Get("X-Request-Id")).conclusion; c.str("outcome") != "stream_broken" || c["status"] != float64(200) {
		t.Errorf("%v", c)
	}
}

// A reader that takes nothing gets a deadline, and its upstream is let go.
func TestSlowReader(t *testing.T) {
	line := chunk(`{"content":"`+strings.Repeat("x", 64<<10)+`"}`, "")
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	})
	g := bare(t, setup{home: up}, gateway.Options{Patience: gateway.Patience{Write: 50 * time.Millisecond}}, nil)
	res := g.open(t, context.Background(), "POST", "/v1/chat/completions", ask("home-only", "hi", `,"stream":true`))
	defer res.Body.Close()
	c := g.trail(t, res.Header.Get("X-Request-Id")).conclusion
	if c.str("outcome") != "client_gone" {
		t.Errorf("%v", c)
	}
	select {
	case <-up.left:
	case <-time.After(patience):
		t.Error("the upstream goes on")
	}
}

// The time limits of an upstream are 504 before the first byte and an error event after it.
func TestUpstreamTooSlow(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n > 0 {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, chunk(`{"content":"x"}`, ""))
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	g := start(t, setup{home: up, provider: "retries: 0, breaker: false, timeouts: {first_byte: 100ms, idle: 100ms}"})
	got := g.chat(t, ask("home-only", "hi"))
	if got.Status != 504 || got.code(t) != "upstream_timeout" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if c := g.trail(t, got.id()).conclusion; c.str("outcome") != "timeout" {
		t.Errorf("%v", c)
	}
	got = g.chat(t, ask("home-only", "hi", `,"stream":true`))
	if got.Status != 200 || !strings.Contains(got.Body, `"error"`) || strings.Contains(got.Body, "[DONE]") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if c := g.trail(t, got.id()).conclusion; c.str("outcome") != "timeout" {
		t.Errorf("%v", c)
	}
}

// A long answer is whole at the client, whether its dialect lets it pass in pieces or not; one that stops short must not
// look whole.
func TestLongAnswers(t *testing.T) {
	whole := strings.Replace(completion, `"ok"`, `"`+strings.Repeat("长", 400<<10)+`"`, 1)
	for _, model := range []string{"home-only", "plain-only"} {
		t.Run(model, func(t *testing.T) {
			up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
				w.Header().Set("Content-Type", "application/json")
				if n == 0 {
					io.WriteString(w, whole)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
				io.WriteString(w, whole[:len(whole)-100])
			})
			g := start(t, setup{home: up})
			got := g.chat(t, ask(model, "hi"))
			if got.Status != 200 || got.Body != whole {
				t.Fatalf("%d, %d bytes of %d", got.Status, len(got.Body), len(whole))
			}
			c := g.trail(t, got.id()).conclusion
			if c.sub("usage")["total"] != float64(8) || c.sub("usage").str("source") != "provider" || c["bytes_out"] != float64(len(whole)) {
				t.Errorf("%v", c)
			}
			got = g.chat(t, ask(model, "hi"))
			if got.Status == 200 && !strings.Contains(got.Body, "!!") {
				t.Errorf("a cut answer looks whole: %d bytes", len(got.Body))
			}
			if c := g.trail(t, got.id()).conclusion; c.str("outcome") == "ok" {
				t.Errorf("%v", c)
			}
		})
	}
}

// An answer that is slow to be taken gets a deadline too.
func TestSlowReaderOfAWholeAnswer(t *testing.T) {
	for _, model := range []string{"home-only", "plain-only"} {
		t.Run(model, func(t *testing.T) {
			whole := strings.Replace(completion, `"ok"`, `"`+strings.Repeat("x", 15<<20)+`"`, 1)
			up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) { io.WriteString(w, whole) })
			g := bare(t, setup{home: up}, gateway.Options{Patience: gateway.Patience{Write: 50 * time.Millisecond}}, nil)
			res := g.open(t, context.Background(), "POST", "/v1/chat/completions", ask(model, "hi"))
			defer res.Body.Close()
			if c := g.trail(t, res.Header.Get("X-Request-Id")).conclusion; c.str("outcome") != "client_gone" {
				t.Errorf("%v", c)
			}
		})
	}
}
