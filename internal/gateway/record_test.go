package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"
	"homeport/audit"

	"homeport/internal/gateway"
	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/store/sqlite"
)

// journal is a Journal of functions around another.
type journal struct {
	gateway.Journal
	append func(ctx context.Context, payload []byte) error
	err    func() error
}

func (j *journal) Append(ctx context.Context, payload []byte) error {
	if j.append != nil {
		if err := j.append(ctx, payload); err != nil {
			return err
		}
	}
	return j.Journal.Append(ctx, payload)
}

func (j *journal) Err() error {
	if j.err != nil {
		return j.err()
	}
	return j.Journal.Err()
}

var errDisk = errors.New("disk full")

func kindOf(t testing.TB, payload []byte) string {
	t.Helper()
	kind, _, _, ok := audit.Peek(payload)
	if !ok {
		t.Errorf("unreadable payload")
	}
	return string(kind)
}

// By invariant 1, what cannot be recorded is not sent.
func TestUnrecordedMeansUnsent(t *testing.T) {
	for name, failure := range map[string]error{
		"disk": errDisk, "stopped": audit.ErrStopped, "closed": audit.ErrClosed, "wait": audit.ErrUnrecorded, "too large": audit.ErrTooLarge,
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(t, answering)
			g := bare(t, setup{home: up, abroad: up}, gateway.Options{}, func(real gateway.Journal) gateway.Journal {
				return &journal{Journal: real, append: func(context.Context, []byte) error { return failure }, err: func() error { return failure }}
			})
			for _, body := range []string{ask("home-only", "hi"), ask("home-only", "hi", `,"stream":true`), ask("abroad-only", residentID)} {
				got := g.chat(t, body)
				// An event that is too large stays so: asking again would not help.
				again := got.Header.Get("Retry-After") != "" && got.Header.Get("X-Should-Retry") == ""
				if got.Status != 503 || got.code(t) != "evidence_unavailable" || again == (name == "too large") {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			}
			if up.count() != 0 {
				t.Fatalf("%d requests were sent", up.count())
			}
			if got := g.do(t, "GET", "/readyz", ""); got.Status != 503 {
				t.Errorf("ready: %d", got.Status)
			}
			if !strings.Contains(g.Logs.String(), `"stage":"record"`) {
				t.Error("the failure is not logged")
			}
		})
	}
}

// The decision is on disk before the upstream sees a byte (invariant 1).
func TestRecordedBeforeSent(t *testing.T) {
	var g *instance
	var found atomic.Int32
	up := newUpstream(t, nil)
	up.serve = func(w http.ResponseWriter, r *http.Request, n int) {
		for _, e := range g.journal(t) {
			if e.str("kind") == "decision" || e.str("kind") == "attempt" {
				found.Add(1)
			}
		}
		if n == 0 {
			failing(500, "")(w, r, n)
			return
		}
		answering(w, r, n)
	}
	g = start(t, setup{home: up})
	got := g.chat(t, ask("home-twice", "hi"))
	if got.Status != 200 || up.count() != 2 || found.Load() != 3 {
		t.Fatalf("%d, %d calls saw %d events, want 1 and then 2", got.Status, up.count(), found.Load())
	}
	tr := g.trail(t, got.id())
	if len(tr.attempts) != 1 || tr.attempts[0].str("target") != "home/other" || tr.attempts[0]["n"] != float64(2) || tr.attempts[0].str("reason") == "" {
		t.Errorf("attempts %v", tr.attempts)
	}
	if tr.conclusion.str("target") != "home/other" || tr.conclusion["attempts"] != float64(2) || tr.conclusion.str("outcome") != "ok" {
		t.Errorf("conclusion %v", tr.conclusion)
	}
}

// An attempt that cannot be recorded is not made, and the decision is still concluded.
func TestUnrecordedAttempt(t *testing.T) {
	up := newUpstream(t, failing(500, ""))
	g := bare(t, setup{home: up}, gateway.Options{}, func(real gateway.Journal) gateway.Journal {
		return &journal{Journal: real, append: func(_ context.Context, payload []byte) error {
			if kindOf(t, payload) == "attempt" {
				return errDisk
			}
			return nil
		}}
	})
	got := g.chat(t, ask("home-twice", "hi"))
	if got.Status != 503 || got.code(t) != "evidence_unavailable" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if up.count() != 1 {
		t.Errorf("%d calls, want the one that was recorded", up.count())
	}
	tr := g.trail(t, got.id())
	if tr.conclusion.str("outcome") != "unrecorded" || tr.conclusion["attempts"] != float64(1) {
		t.Errorf("conclusion %v", tr.conclusion)
	}
}

// A decision that was waited for in vain may be durable after all: it is concluded, and nothing was sent.
func TestLateRecordIsConcluded(t *testing.T) {
	up := newUpstream(t, answering)
	g := bare(t, setup{home: up}, gateway.Options{}, func(real gateway.Journal) gateway.Journal {
		return &journal{Journal: real, append: func(_ context.Context, payload []byte) error {
			if err := real.Join(payload); err != nil {
				return err
			}
			return audit.ErrUnrecorded // the wait was over before the disk was
		}}
	})
	got := g.chat(t, ask("home-only", "hi"))
	if got.Status != 503 || up.count() != 0 {
		t.Fatalf("%d, %d sent", got.Status, up.count())
	}
	tr := g.trail(t, got.id())
	if tr.conclusion.str("outcome") != "unrecorded" || tr.conclusion["attempts"] != float64(0) {
		t.Errorf("conclusion %v", tr.conclusion)
	}
}

// A client that leaves while its decision is being recorded leaves no decision without a conclusion.
func TestClientLeavesDuringRecord(t *testing.T) {
	up := newUpstream(t, answering)
	ctx, cancel := context.WithCancel(context.Background())
	g := bare(t, setup{home: up}, gateway.Options{}, func(real gateway.Journal) gateway.Journal {
		return &journal{Journal: real, append: func(ctx context.Context, payload []byte) error {
			cancel()
			time.Sleep(50 * time.Millisecond) // the server notices that the connection is closed; too short only weakens the test
			return ctx.Err()
		}}
	})
	req, _ := http.NewRequestWithContext(ctx, "POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("home-only", "hi")))
	req.Header.Set("Authorization", "Bearer "+appKey)
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		events := g.journal(t)
		if len(events) == 2 && events[1].str("ref") == events[0].str("id") && events[1].str("outcome") == "client_gone" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("events %v", events)
		}
	}
}

// By invariant 2, the upstream gets exactly the bytes that the plan's edits make of the request, and decision and attempt hold
// the HMAC of exactly these bytes under the app's key of the month.
func TestSentBytesAreThoseCommittedTo(t *testing.T) {
	wire, err := provider.Load("custom")
	if err != nil {
		t.Fatal(err)
	}
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n%2 == 0 {
			failing(500, "")(w, r, n)
			return
		}
		answering(w, r, n)
	})
	g := start(t, setup{home: up})
	for _, body := range []string{
		ask("home-twice", "你好"),
		" {\n\t\"messages\" : [ {\"content\":\"a\\u0062c\\/\", \"role\" : \"user\"} ] ,\"seed\":9007199254740993, \"model\"  :\"home-twice\" , \"x\":1e400, \"temperature\":0.70} \n",
		ask("home-twice", "tools", `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"b":{},"a":{}}}}}],"tool_choice":"auto","user":"u-1"`),
	} {
		before := up.count()
		got := g.chat(t, body)
		if got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		sent := up.requests()[before:]
		tr := g.trail(t, got.id())
		records := append([]event{tr.decision}, tr.attempts...)
		if len(sent) != 2 || len(records) != 2 {
			t.Fatalf("%d sent, %d recorded", len(sent), len(records))
		}
		for i, model := range []string{"small", "other"} {
			req, bad := openai.Parse(openai.Chat, []byte(body))
			if bad != nil {
				t.Fatal(bad)
			}
			plan, bad := wire.Adapt(req, provider.Target{Model: model, Rules: wire.For(model)})
			if bad != nil {
				t.Fatal(bad)
			}
			if want := string(openai.Apply(nil, []byte(body), plan.Edits)); sent[i].Body != want {
				t.Errorf("sent %s\nwant %s", sent[i].Body, want)
			}
			if strings.Contains(body, "9007199254740993") && (!strings.Contains(sent[i].Body, "9007199254740993") || !strings.Contains(sent[i].Body, "1e400")) {
				t.Error("a number was rounded")
			}
			c := records[i].sub("commitments")
			if got, want := c.str("request"), commitment(t, g, c.str("salt"), sent[i].Body); got != want {
				t.Errorf("commitment %d is %s, want %s", i, got, want)
			}
			if records[i]["bytes"] != float64(len(sent[i].Body)) {
				t.Errorf("bytes %v, sent %d", records[i]["bytes"], len(sent[i].Body))
			}
		}
	}
}

// By invariant 2, an event names the edits that are made: the model only where its name in the body changes, the question for
// usage where it is asked, and a decision says of its targets what it says of the chosen one.
func TestEditsAreThoseMade(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n%2 == 0 {
			failing(500, "")(w, r, n)
			return
		}
		answering(w, r, n)
	})
	g := start(t, setup{home: up, routes: "  - {model: small, to: [home/small, home/other]}"})
	for _, x := range []struct{ body, first, second string }{
		{ask("small", "hi", `,"stream":true`), `[{"name":"stream_options.include_usage","op":"set"}]`,
			`[{"name":"other","op":"model"},{"name":"stream_options.include_usage","op":"set"}]`},
		{ask("home-twice", "hi", `,"stream":true,"stream_options":{"include_usage":true}`), `[{"name":"small","op":"model"}]`, `[{"name":"other","op":"model"}]`},
	} {
		got := g.chat(t, x.body)
		tr := g.trail(t, got.id())
		targets, _ := tr.decision["targets"].([]any)
		if len(targets) != 2 || len(tr.attempts) != 1 {
			t.Fatalf("%d %s: %v", got.Status, got.Body, tr)
		}
		first, second := targets[0].(map[string]any), targets[1].(map[string]any)
		for what, pair := range map[string][2]any{"decision": {tr.decision["edits"], x.first}, "first target": {first["edits"], x.first},
			"second target": {second["edits"], x.second}, "attempt": {tr.attempts[0]["edits"], x.second}} {
			if b, _ := json.Marshal(pair[0]); string(b) != pair[1] {
				t.Errorf("%s says %s, want %s", what, b, pair[1])
			}
		}
	}
}

// commitment is the keyed BLAKE2b of text under the key that the primary state keeps for id.
func commitment(t *testing.T, g *instance, id, text string) string {
	t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(g.Dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := store.Salt(context.Background(), id, time.Now()) // a new one, were there none: then nothing fits
	if err != nil {
		t.Fatalf("salt %q: %v", id, err)
	}
	m, err := blake2b.New256(key)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(m, text)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Headers a client sends are kept as HMACs only (DESIGN 6).
func TestHeadersAreCommittedTo(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up})
	got := g.chat(t, ask("home-only", "hi"), "X-Homeport-Subject", "canary-subject", "X-Homeport-Conversation", "canary-conversation", "Idempotency-Key", "canary-idempotency")
	c := g.trail(t, got.id()).decision.sub("commitments")
	seen := map[string]bool{}
	for _, name := range []string{"request", "subject", "conversation", "idempotency"} {
		raw, err := base64.StdEncoding.DecodeString(c.str(name))
		if err != nil || len(raw) != 32 || seen[string(raw)] {
			t.Errorf("%s: %q %v", name, c.str(name), err)
		}
		seen[string(raw)] = true
	}
	again := g.chat(t, ask("home-only", "hi"), "X-Homeport-Subject", "canary-subject")
	c2 := g.trail(t, again.id()).decision.sub("commitments")
	if c2.str("subject") != c.str("subject") {
		t.Error("one subject has two hashes within a month")
	}
	if c2.str("idempotency") != "" {
		t.Error("an absent header is committed to")
	}
	if strings.Contains(g.files(t), "canary-") || strings.Contains(g.Logs.String(), "canary-") {
		t.Error("a header's value is in clear")
	}
	if s := up.last(t); s.Header.Get("Idempotency-Key") != "" || strings.Contains(string(mustJSON(t, s)), "canary-") {
		t.Error("a header went upstream")
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// failingJournal records nothing.
type failingJournal struct{ gateway.Journal }

func (f *failingJournal) Append(context.Context, []byte) error { return errDisk }

func (f *failingJournal) Join([]byte) error { return errDisk }
