package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/internal/gateway"
	"homeport/internal/store/sqlite"
)

// Attack case C9: 200 parallel calls against a limit of 10 pass exactly 10, and no other reaches the upstream.
func TestRequestsPerMinute(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, app: ", limits: {requests_per_minute: 10}"})
	var wg sync.WaitGroup
	answers := make(chan answer, 200)
	begin := make(chan bool)
	for range 200 {
		wg.Go(func() {
			<-begin
			req, _ := http.NewRequest("POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("home-only", "hi")))
			req.Header.Set("Authorization", "Bearer "+appKey)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			answers <- answer{res.StatusCode, res.Header, string(b)}
		})
	}
	began := time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(began)
	close(answers)
	count := map[int]int{}
	for a := range answers {
		count[a.Status]++
		if a.Header.Get("X-Ratelimit-Limit-Requests") != "10" || a.Header.Get("X-Ratelimit-Remaining-Requests") == "" || a.Header.Get("X-Ratelimit-Reset-Requests") == "" {
			t.Fatalf("headers %v", a.Header)
		}
		if a.Status == 429 && (a.code(t) != "rate_limit_exceeded" || a.fault(t).Type != "rate_limit_error" || a.Header.Get("Retry-After") == "" || a.Header.Get("X-Should-Retry") == "false") {
			t.Fatalf("%v %s", a.Header, a.Body)
		}
	}
	most := 10 + int(took/(6*time.Second)) // a token comes back each six seconds
	if count[200] < 10 || count[200] > most || count[200]+count[429] != 200 || up.count() != count[200] {
		t.Errorf("%v in %s, %d reached the upstream", count, took, up.count())
	}
	if got := g.chat(t, ask("home-only", "hi"), "Authorization", "Bearer "+publicKey); got.Status != 200 {
		t.Errorf("another app has limits of its own: %d", got.Status)
	}
	if d := g.decisions(t); d != count[200]+1 {
		t.Errorf("%d decisions: a 429 makes no event", d)
	}
}

// Attack cases C2, C3: tokens are reserved before and settled to what was used; an answer nobody counted keeps its estimate.
func TestTokensPerDay(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch n {
		case 1:
			failing(500, "")(w, r, n)
		case 2:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, chunk(`{"content":"`+strings.Repeat("four ", 100)+`"}`, ""))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			answering(w, r, n)
		}
	})
	g := start(t, setup{home: up, app: ", limits: {tokens_per_day: 1000}"})
	left := func(a answer) string { return a.Header.Get("X-Ratelimit-Remaining-Tokens") }
	if got := g.chat(t, ask("home-only", "hi", `,"max_tokens":2000`)); got.Status != 429 || got.code(t) != "insufficient_quota" || got.Header.Get("X-Should-Retry") != "false" {
		t.Fatalf("more than a day's: %d %s", got.Status, got.Body)
	}
	first := g.chat(t, ask("home-only", "hi", `,"max_tokens":100`))
	if first.Status != 200 {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	g.trail(t, first.id())
	second := g.chat(t, ask("home-only", "hi", `,"max_tokens":100`)) // fails with 500: costs nothing
	g.trail(t, second.id())
	third := g.chat(t, ask("home-only", "hi", `,"max_tokens":100,"stream":true`)) // breaks off
	g.trail(t, third.id())
	fourth := g.chat(t, ask("home-only", "hi", `,"max_tokens":100`))
	var a, b, c, d int
	fmt.Sscan(left(first), &a)
	fmt.Sscan(left(second), &b)
	fmt.Sscan(left(third), &c)
	fmt.Sscan(left(fourth), &d)
	if a-b != 8 || b != c {
		t.Errorf("remaining %d, %d, %d: want the 8 tokens of the provider's figure taken, and none for the failure", a, b, c)
	}
	if c-d < 20 {
		t.Errorf("remaining %d then %d: what a broken stream relayed was given back", c, d)
	}
	if c := g.trail(t, third.id()).conclusion.sub("usage"); c.str("source") != "estimated" || c["completion"].(float64) < 20 {
		t.Errorf("usage %v", c)
	}
}

// A figure survives a restart of the process: the state knows what was used.
func TestTokensAreKept(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, app: ", limits: {tokens_per_day: 1000}"})
	got := g.chat(t, ask("home-only", "hi", `,"max_tokens":10`))
	g.trail(t, got.id())
	g.close(t)
	store, err := sqlite.Open(context.Background(), filepath.Join(g.Dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	day := time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateOnly)
	u, err := store.Usage(context.Background(), sqlite.Budget{App: "internal", Kind: sqlite.Tokens, Period: day})
	if err != nil || u.Total() != 8 {
		t.Errorf("kept %+v %v, want the 8 tokens", u, err)
	}
}

// Attack case C2 and DESIGN 5.1: the usage figure has a source, and answers keep the provider's ids.
func TestUsageSources(t *testing.T) {
	bare := strings.Replace(completion, `,"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}`, "", 1)
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch n {
		case 0:
			answering(w, r, n)
		case 1:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, bare)
		default:
			failing(400, "invalid_value")(w, r, n)
		}
	})
	g := start(t, setup{home: up})
	var sources []string
	for range 3 {
		got := g.chat(t, ask("home-only", "hi"))
		if got.Status == 200 && !strings.Contains(got.Body, `"id":"chatcmpl-1"`) {
			t.Errorf("the id changed: %s", got.Body)
		}
		sources = append(sources, g.trail(t, got.id()).conclusion.sub("usage").str("source"))
	}
	if !slices.Equal(sources, []string{"provider", "estimated", "none"}) {
		t.Errorf("sources %v", sources)
	}
}

// Attack cases B14, F12: a reload swaps everything at once under load; a bad configuration leaves the old one in force.
func TestSwapUnderLoad(t *testing.T) {
	old, new := newUpstream(t, answering), newUpstream(t, answering)
	s := setup{home: old}
	g := start(t, s)
	stop := make(chan bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, _ := http.NewRequest("POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("home-only", "hi")))
				req.Header.Set("Authorization", "Bearer "+appKey)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d while reloading", res.StatusCode)
					return
				}
			}
		})
	}
	ctx := context.Background()
	for i := range 10 {
		s.home = []*upstream{new, old}[i%2]
		cfg, err := load(t, s.yaml(g.Dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Server.Swap(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	s.home = new
	cfg, err := load(t, s.yaml(g.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Server.Swap(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	before := old.count()
	got := g.chat(t, ask("home-only", "hi"))
	if got.Status != 200 || old.count() != before {
		t.Errorf("%d; the old upstream was asked", got.Status)
	}
	digest := g.trail(t, got.id()).decision.sub("digests").str("config")
	if digest != cfg.Digest() {
		t.Errorf("the event names configuration %s, in force is %s", digest, cfg.Digest())
	}
	if _, err := load(t, s.yaml(g.Dir)+"nonsense: 1\n"); err == nil {
		t.Fatal("a bad configuration was read")
	}
	cfg.Providers[0].Catalog = "no-such-entry"
	if err := g.Server.Swap(ctx, cfg); err == nil || !strings.Contains(err.Error(), "home") {
		t.Errorf("a configuration that cannot be built: %v", err)
	}
	if got := g.chat(t, ask("home-only", "hi")); got.Status != 200 {
		t.Errorf("the old configuration does not go on: %d", got.Status)
	}
}

// A request that began before a reload ends on what it began with.
func TestSwapDuringAStream(t *testing.T) {
	release := make(chan bool)
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, chunk(`{"role":"assistant","content":"a"}`, ""))
		http.NewResponseController(w).Flush()
		<-release
		io.WriteString(w, chunk(`{}`, "stop")+usageChunk+done)
	})
	s := setup{home: up}
	g := start(t, s)
	res := g.open(t, context.Background(), "POST", "/v1/chat/completions", ask("home-only", "hi", `,"stream":true`))
	defer res.Body.Close()
	s.home, s.app = nil, ", limits: {requests_per_minute: 1}"
	cfg, err := load(t, s.yaml(g.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Server.Swap(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	close(release)
	b, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(b), done) {
		t.Errorf("%s %v", b, err)
	}
	g.trail(t, res.Header.Get("X-Request-Id"))
}

// Attack case E7: clients leave at random places of streams; nothing of one request shows in another.
func TestClientsLeaveAtRandom(t *testing.T) {
	up := newUpstream(t, nil)
	up.serve = func(w http.ResponseWriter, r *http.Request, n int) {
		body := up.requests()[n].Body
		mark := body[strings.Index(body, "mark-"):][:9]
		w.Header().Set("Content-Type", "text/event-stream")
		for range 50 {
			if _, err := io.WriteString(w, chunk(`{"content":"`+mark+`"}`, "")); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, chunk(`{}`, "stop")+done)
	}
	g := bare(t, setup{home: up}, gateway.Options{}, nil)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			mark := fmt.Sprintf("mark-%04d", i)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("home-only", mark, `,"stream":true`)))
			req.Header.Set("Authorization", "Bearer "+appKey)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(io.LimitReader(res.Body, int64(i)*170))
			if rest := strings.ReplaceAll(string(b), mark, ""); strings.Contains(rest, "mark-0") {
				t.Errorf("%s got another's text", mark)
			}
			cancel()
			g.trail(t, res.Header.Get("X-Request-Id"))
		})
	}
	wg.Wait()
}
