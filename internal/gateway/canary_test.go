package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"homeport/internal/gateway"
)

// Attack cases D1, D3, D5, D8 (invariant 5): an upstream key, a prompt and a finding that occur nowhere else; every error
// path; and then they are looked for in logs, metrics, answers and the data folder.
func TestCanaries(t *testing.T) {
	const prompt = "canary-prompt-71c0"
	const finding = "13900007777"
	say := prompt + " 电话" + finding
	echo := func(w http.ResponseWriter, r *http.Request, status int) { // a provider that quotes all it was given
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Debug", homeKey+prompt)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s in prompt %s at %s","type":"%s","param":"%s","code":"%s"}}`,
			homeKey, say, r.Host, say, say, say)
	}
	statuses := []int{400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 451, 500, 502, 503, 504}
	var now atomic.Int32
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		n := int(now.Load())
		stream := func(text string) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, text)
		}
		bad := `{"error":{"message":"` + homeKey + " " + say + `","type":"` + say + `","code":"` + say + `"}}`
		switch {
		case n < len(statuses):
			echo(w, r, statuses[n])
		case n == len(statuses):
			echo(w, r, 200) // an error within a 200
		case n == len(statuses)+1:
			io.WriteString(w, homeKey+say) // not JSON
		case n == len(statuses)+2:
			panic(http.ErrAbortHandler)
		case n == len(statuses)+3:
			stream("data: " + bad + "\n\n")
		case n == len(statuses)+4:
			stream(chunk(`{"content":"x"}`, "") + "data: " + bad + "\n\n")
		case n == len(statuses)+5:
			stream(chunk(`{"content":"x"}`, "") + "data: " + homeKey + say + "\n\n")
		case n == len(statuses)+6:
			stream(chunk(`{"content":"x"}`, ""))
		case n == len(statuses)+7:
			w.Header().Set("Location", "http://"+homeKey+"/"+prompt)
			w.WriteHeader(307)
		default:
			answering(w, r, n)
		}
	})
	g := start(t, setup{home: up})
	var answers strings.Builder
	keep := func(a answer) {
		fmt.Fprintln(&answers, a.Status, a.Header, a.Body)
	}
	for i := range len(statuses) + 8 {
		now.Store(int32(i))
		more := ""
		if i > len(statuses)+2 && i < len(statuses)+7 {
			more = `,"stream":true`
		}
		got := g.chat(t, ask("home-only", say, more))
		if strings.Contains(fmt.Sprint(got.Header)+got.Body, homeKey) {
			t.Errorf("case %d: the upstream's key reaches the client: %s", i, got.Body)
		}
		if i < len(statuses) && statuses[i] == 401 && (got.Status != 502 || got.code(t) != "upstream_auth" || got.Header.Get("X-Should-Retry") != "false") {
			t.Errorf("our key refused: %d %s", got.Status, got.Body)
		}
		if got.Status != 400 && got.Status != 413 && got.Status != 422 { // there the upstream's words help the client that sent the prompt
			keep(got)
		}
		g.trail(t, got.id())
	}
	now.Store(int32(len(statuses) + 8))
	if up.count() < len(statuses)+8 {
		t.Fatalf("%d calls", up.count())
	}
	keep(g.chat(t, ask("home-only", say)))
	keep(g.chat(t, ask("abroad-only", say)))
	keep(g.chat(t, ask("unknown-only", say)))
	keep(g.chat(t, ask("gpt-4o", say), "Authorization", "Bearer "+publicKey))
	keep(g.chat(t, ask("gpt-4o", say), "Authorization", "Bearer wrong-"+prompt))
	keep(g.chat(t, ask("no-"+prompt, say)))
	keep(g.chat(t, `{"model":"gpt-4o","messages":"`+say+`"}`))
	g.chat(t, `{"model":"gpt-4o","`+prompt+`":1,"`+prompt+`":"`+say+`"}`) // the answer names the field
	keep(g.chat(t, ask("home-only", say, `,"api_key":"`+prompt+`"`)))
	keep(g.chat(t, say))
	keep(g.do(t, "POST", "/v1/"+prompt, say))
	keep(g.do(t, "POST", "/v1/files/"+prompt, say))
	keep(g.do(t, "GET", "/v1/models/"+prompt, ""))
	page := (&instance{URL: g.Admin}).do(t, "GET", "/metrics", "")
	if page.Status != 200 || !strings.Contains(page.Body, "homeport_findings_total") {
		t.Fatalf("metrics: %d", page.Status)
	}
	status := (&instance{URL: g.Admin}).do(t, "GET", "/api/v1/status", "", "Authorization", "Bearer "+g.Server.AdminSecret)
	for where, text := range map[string]string{"logs": g.Logs.String(), "metrics": page.Body, "status": status.Body, "data folder": g.files(t), "answers": answers.String()} {
		for what, canary := range map[string]string{"prompt": prompt, "finding": finding, "upstream key": homeKey, "app key": appKey, "overseas key": awayKey} {
			if at := strings.Index(text, canary); at >= 0 {
				t.Errorf("the %s is in the %s: …%q", what, where, text[max(0, at-200):min(len(text), at+60)])
			}
		}
	}
	if strings.Contains(answers.String(), strings.TrimPrefix(up.url, "http://")) {
		t.Error("an upstream's address reaches a client")
	}
}

// A journal that fails is logged by stage and event, never with what was asked.
func TestCanaryInFaults(t *testing.T) {
	g := bare(t, setup{}, gateway.Options{}, func(real gateway.Journal) gateway.Journal { return &failingJournal{real} })
	got := g.chat(t, ask("home-only", "canary-prompt 13900007777"), "X-Homeport-Subject", "canary-subject")
	if got.Status != 503 {
		t.Fatal(got.Status)
	}
	if text := g.Logs.String() + got.Body; strings.Contains(text, "canary") || strings.Contains(text, "13900007777") || !strings.Contains(text, got.id()) {
		t.Errorf("%s", text)
	}
}
