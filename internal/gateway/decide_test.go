package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// By invariant 3 and invariant 8, on real requests: what a request holds decides where it may go, and what cannot be read counts as
// what it may hold.
func TestContentDecidesTheTarget(t *testing.T) {
	home, abroad := newUpstream(t, answering), newUpstream(t, answering)
	g := start(t, setup{home: home, abroad: abroad})
	half := len(residentID) / 2
	parts := func(texts ...string) string {
		var b []string
		for _, s := range texts {
			b = append(b, fmt.Sprintf(`{"type":"text","text":%q}`, s))
		}
		return `{"model":"gpt-4o","messages":[{"role":"user","content":[` + strings.Join(b, ",") + `]}]}`
	}
	const overseas, domestic = "abroad/big", "home/small"
	for _, test := range []struct {
		name, body string
		target     string
		found      string
	}{
		{"clean", ask("gpt-4o", "你好"), overseas, ""},
		{"resident id", ask("gpt-4o", "证件号"+residentID+"。"), domestic, "cn_resident_id"},
		{"resident id, escaped", `{"model":"gpt-4o","messages":[{"role":"user","content":"\u0031` + residentID[1:] + `"}]}`, domestic, "cn_resident_id"},
		{"resident id, full-width", ask("gpt-4o", "１"+residentID[1:]), domestic, "cn_resident_id"},
		{"split over two parts", parts("号码 "+residentID[:half], residentID[half:]+" 完"), domestic, "cn_resident_id"},
		{"split over three parts", parts(residentID[:4], residentID[4:9], residentID[9:]), domestic, "cn_resident_id"},
		{"at the end of a part, letters follow", parts(residentID, "is the number"), domestic, "cn_resident_id"},
		{"at the start of a part, letters before", parts("number", residentID), domestic, "cn_resident_id"},
		{"in the system message", `{"model":"gpt-4o","messages":[{"role":"system","content":"` + residentID + `"},{"role":"user","content":"x"}]}`, domestic, "cn_resident_id"},
		{"in tool arguments", `{"model":"gpt-4o","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"id\":\"` + residentID + `\"}"}}]},{"role":"tool","tool_call_id":"c","content":"x"}]}`, domestic, "cn_resident_id"},
		{"in a tool result", `{"model":"gpt-4o","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"` + residentID + `"}]}`, domestic, "cn_resident_id"},
		{"in a tool description", ask("gpt-4o", "x", `,"tools":[{"type":"function","function":{"name":"f","description":"`+residentID+`","parameters":{"type":"object"}}}]`), domestic, "cn_resident_id"},
		{"as a name in a schema", ask("gpt-4o", "x", `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"`+residentID+`":{}}}}}]`), domestic, "cn_resident_id"},
		{"in user", ask("gpt-4o", "x", `,"user":"`+residentID+`"`), domestic, "cn_resident_id"},
		{"in metadata", ask("gpt-4o", "x", `,"metadata":{"k":"`+residentID+`"}`), domestic, "cn_resident_id"},
		{"in stop", ask("gpt-4o", "x", `,"stop":["`+residentID+`"]`), domestic, "cn_resident_id"},
		{"in an unknown field", ask("gpt-4o", "x", `,"custom":{"a":[{"b":"`+residentID+`"}]}`), domestic, "cn_resident_id"},
		{"as a number", ask("gpt-4o", "x", `,"custom":`+residentID), domestic, "cn_resident_id"},
		{"mobile", ask("gpt-4o", "电话13900001234"), domestic, "mobile_cn"},
		{"key alone is not personal", ask("gpt-4o", "sk-proj4Kd8Fq2Lm9Xw7Zt3Rb6Yn1"), overseas, "secret_llm_key"},
		{"image", `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`, domestic, "uninspected"},
		{"audio", `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`, domestic, "uninspected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := abroad.count()
			got := g.chat(t, test.body)
			if got.Status != 200 || got.Header.Get("X-Homeport-Target") != test.target {
				t.Fatalf("%d to %s, want %s: %s", got.Status, got.Header.Get("X-Homeport-Target"), test.target, got.Body)
			}
			if sent := abroad.count() - before; (sent == 1) != (test.target == overseas) {
				t.Fatalf("%d requests went abroad", sent)
			}
			tr := g.trail(t, got.id())
			if tr.decision.str("chosen") != test.target || tr.conclusion.str("target") != test.target || len(tr.attempts) != 0 {
				t.Errorf("chosen %s, concluded %s", tr.decision.str("chosen"), tr.conclusion.str("target"))
			}
			findings := tr.decision.sub("findings")
			if test.found == "" && len(findings) != 0 || test.found != "" && findings[test.found] != float64(1) {
				t.Errorf("findings %v, want %s", findings, test.found)
			}
			want := map[string]string{overseas: "SE", domestic: "CN"}[test.target]
			if got.Header.Get("X-Homeport-Place") != want {
				t.Errorf("place %s", got.Header.Get("X-Homeport-Place"))
			}
		})
	}
}

func TestTokenArraysStayHome(t *testing.T) {
	up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]}],"usage":{"prompt_tokens":3,"total_tokens":3}}`)
	})
	g := start(t, setup{home: up, abroad: up})
	for _, input := range []string{`[1,2,3]`, `[[1,2],[3]]`, `["a",[1]]`} {
		got := g.do(t, "POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":`+input+`}`)
		if got.Status != 200 || got.Header.Get("X-Homeport-Target") != "home/embed" {
			t.Errorf("%s: %d %s", input, got.Status, got.Body)
		}
	}
	if got := g.do(t, "POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":["clean"]}`); got.Header.Get("X-Homeport-Target") != "abroad/embed" {
		t.Errorf("clean text: %s", got.Header.Get("X-Homeport-Target"))
	}
}

// refused is the member homeport of a 403.
type refused struct {
	Event, Verdict string
	Targets        []struct {
		Target  string
		Place   []string
		Verdict string
		Rules   []struct {
			Rule, Outcome, Basis, Do string
			Citations                []string
		}
	}
	Needs []string `json:"needs_facts"`
}

func refusal(t *testing.T, a answer) refused {
	t.Helper()
	f := a.fault(t)
	if a.Status != 403 || f.Type != "permission_error" || a.code(t) != "policy_denied" || a.Header.Get("X-Should-Retry") != "false" {
		t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
	var r refused
	if err := json.Unmarshal(f.Homeport, &r); err != nil {
		t.Fatal(err)
	}
	if r.Event != a.id() || r.Verdict != a.Header.Get("X-Homeport-Verdict") || len(r.Targets) == 0 {
		t.Fatalf("%s", f.Homeport)
	}
	return r
}

// By invariant 7, a refusal says which rules decided, what they cite and what to do, and never the matched text.
func TestRefusals(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up})
	public := []string{"Authorization", "Bearer " + publicKey}
	for _, test := range []struct {
		name, body string
		header     []string
		verdict    string
		needs      string
	}{
		{"personal information abroad", ask("abroad-only", "证件号"+residentID), nil, "", "data.pi_persons_ytd"},
		{"public app abroad", ask("abroad-only", "你好"), public, "block", ""},
		{"source and place unknown", ask("unknown-only", "你好"), nil, "", "model.source"},
		{"declared sensitive", ask("abroad-only", "你好"), []string{"X-Homeport-Data-Class", "sensitive"}, "", "data.sensitive_persons_ytd"},
		{"declared a state secret", ask("abroad-only", "你好"), []string{"X-Homeport-Data-Class", "state_secret"}, "block", ""},
		{"streamed", ask("abroad-only", "你好", `,"stream":true`), public, "block", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := g.chat(t, test.body, test.header...)
			r := refusal(t, got)
			if test.verdict != "" && r.Verdict != test.verdict || r.Verdict == "allow" || r.Verdict == "allow_with_duties" {
				t.Errorf("verdict %s", r.Verdict)
			}
			if test.needs != "" && !slices.Contains(r.Needs, test.needs) {
				t.Errorf("needs %v, want %s", r.Needs, test.needs)
			}
			for _, target := range r.Targets {
				if len(target.Rules) == 0 {
					t.Errorf("target %s has no rule: %s", target.Target, got.Body)
				}
				for _, rule := range target.Rules {
					if rule.Rule == "" || rule.Do == "" || len(rule.Citations) == 0 || rule.Basis == "" {
						t.Errorf("rule %+v", rule)
					}
				}
			}
			if strings.Contains(got.Body, residentID) || strings.Contains(fmt.Sprint(got.Header), residentID) {
				t.Error("the matched text is in the refusal")
			}
			tr := g.trail(t, got.id())
			if tr.decision.str("chosen") != "" || tr.decision.str("verdict") != r.Verdict || tr.conclusion.str("outcome") != "refused" ||
				tr.conclusion["status"] != float64(403) || tr.conclusion["attempts"] != float64(0) || len(tr.attempts) != 0 {
				t.Errorf("%v %v", tr.decision, tr.conclusion)
			}
			if digest := tr.decision.sub("digests"); digest.str("config") == "" || digest.str("packs") == "" {
				t.Errorf("digests %v", digest)
			}
		})
	}
	if up.count() != 0 {
		t.Errorf("%d requests were sent", up.count())
	}
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff })
}

func TestRefusalLanguage(t *testing.T) {
	g := start(t, setup{})
	english := func(s string) bool {
		return strings.Contains(s, "Policy permits") || strings.Contains(s, "needs an approval")
	}
	for header, want := range map[string][2]bool{ // Chinese, English
		"": {true, true}, "*": {true, true}, "fr": {true, true}, "zh-CN,zh;q=0.9,en;q=0.8": {true, false}, "zh": {true, false},
		"en-US,en;q=0.9": {false, true}, "fr, en": {false, true}, "en;q=0, zh": {true, false}, "zh;q=0.2, en;q=0.9": {false, true}, "fr;q=1, *;q=0.1": {true, true},
	} {
		got := g.chat(t, ask("abroad-only", "hi"), "Authorization", "Bearer "+publicKey, "Accept-Language", header)
		refusal(t, got)
		f := got.fault(t)
		if hasHan(f.Message) != want[0] || english(f.Message) != want[1] {
			t.Errorf("%q: %s", header, f.Message)
		}
		if !want[0] && hasHan(strings.ReplaceAll(string(f.Homeport), "示例", "")) {
			t.Errorf("%q: Chinese in %s", header, f.Homeport)
		}
	}
}

// DESIGN 3: needs_approval refuses like block, and says so.
func TestNeedsApprovalRefuses(t *testing.T) {
	up := newUpstream(t, answering)
	g := start(t, setup{home: up, abroad: up, app: ", data: {pi_persons_ytd: 200000}"})
	got := g.chat(t, ask("abroad-only", "联系人13900001234"))
	r := refusal(t, got)
	if r.Verdict != "needs_approval" && r.Verdict != "block" {
		t.Errorf("verdict %s", r.Verdict)
	}
	if up.count() != 0 {
		t.Error("sent all the same")
	}
	got = g.chat(t, ask("abroad-only", "hello"))
	if got.Status != 200 {
		t.Errorf("a request without personal information: %d %s", got.Status, got.Body)
	}
}

// By invariant 4, a client's words about its data only tighten.
func TestDataClassOnlyTightens(t *testing.T) {
	home, abroad := newUpstream(t, answering), newUpstream(t, answering)
	g := start(t, setup{home: home, abroad: abroad})
	for _, class := range []string{"personal", "sensitive", "important", "core", "SENSITIVE"} {
		got := g.chat(t, ask("gpt-4o", "hi"), "X-Homeport-Data-Class", class)
		if strings.HasPrefix(got.Header.Get("X-Homeport-Target"), "abroad") {
			t.Errorf("%s went abroad", class)
		}
	}
	if abroad.count() != 0 {
		t.Errorf("%d went abroad", abroad.count())
	}
	req, _ := http.NewRequest("POST", g.URL+"/v1/chat/completions", strings.NewReader(ask("gpt-4o", "hi")))
	req.Header = http.Header{"Authorization": {"Bearer " + appKey}, "X-Homeport-Data-Class": {"none", "sensitive"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Header.Get("X-Homeport-Target") == "abroad/big" {
		t.Error("of two classes the milder one counted")
	}
	got := g.chat(t, ask("gpt-4o", residentID), "X-Homeport-Data-Class", "none")
	if got.Header.Get("X-Homeport-Target") != "home/small" || abroad.count() != 0 {
		t.Errorf("none loosened: %s", got.Header.Get("X-Homeport-Target"))
	}
}
