package gateway

import (
	"encoding/json/v2"
	"net/http"
	"strconv"
	"strings"

	"homeport/internal/openai"
	"homeport/policy"
)

// refusal is the member "homeport" of a 403: why, resting on what, and what would change it. Never the matched text.
type refusal struct {
	Event   string          `json:"event"`
	Verdict policy.Verdict  `json:"verdict"`
	Targets []refusedTarget `json:"targets"`
	Needs   []string        `json:"needs_facts,omitempty"`
	Note    string          `json:"note"`
}

type refusedTarget struct {
	Target  string         `json:"target"`
	Place   []string       `json:"place"` // empty is unknown
	Verdict policy.Verdict `json:"verdict"`
	Rules   []refusedRule  `json:"rules"`
	Needs   []string       `json:"needs_facts,omitempty"`
}

type refusedRule struct {
	Rule      string   `json:"rule"`
	Outcome   string   `json:"outcome"`
	Citations []string `json:"citations"`
	Basis     string   `json:"basis"`
	Do        string   `json:"do"`
}

// speech is the language of a refusal: Chinese, English, or both.
type speech uint8

const (
	both speech = iota
	chinese
	english
)

// speechOf reads Accept-Language (RFC 9110 12.5.4): of the languages we speak the one that is liked best, the first of
// equals; * or none gives both.
func speechOf(h http.Header) speech {
	best, liked := both, 0.0
	for part := range strings.SplitSeq(h.Get("Accept-Language"), ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				q = f
			}
		}
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		spoken, ok := map[string]speech{"zh": chinese, "en": english, "*": both}[lang]
		if ok && q > liked {
			best, liked = spoken, q
		}
	}
	return best
}

func (s speech) pick(zh, en string) string {
	switch {
	case s == chinese || en == "":
		return zh
	case s == english || zh == "":
		return en
	}
	return zh + " / " + en
}

// refuse answers 403 with the rules that decided, their citations, and what to obtain or change.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, ex *exchange, ru *ruling) *outcome {
	e := policyDenied(ex.id, ru, speechOf(r.Header))
	h := w.Header()
	h.Set("X-Homeport-Verdict", ru.verdict.String())
	e.Write(w)
	return &outcome{status: e.Status, result: resultRefused}
}

func policyDenied(event string, ru *ruling, lang speech) *openai.Error {
	ref := refusal{Event: event, Verdict: ru.verdict,
		Note: lang.pick("本结论依据所列规则与条文，不构成法律意见。", "This verdict rests on the rules and articles listed; it is not legal advice.")}
	var first *policy.Fired
	for i := range ru.judged {
		j := &ru.judged[i]
		t := refusedTarget{Target: j.ID, Place: j.Place, Verdict: j.decision.Verdict, Needs: j.decision.Needs, Rules: []refusedRule{}}
		if t.Place == nil {
			t.Place = []string{}
		}
		for k := range j.decision.Rules {
			f := &j.decision.Rules[k]
			if f.Verdict.Permitted() {
				continue
			}
			if first == nil && j.decision.Verdict == ru.verdict {
				first = f
			}
			rule := refusedRule{Rule: f.Rule, Outcome: f.Outcome, Basis: string(f.Basis), Do: lang.pick(f.Do.ZH, f.Do.EN), Citations: []string{}}
			for _, c := range f.Cites {
				rule.Citations = append(rule.Citations, lang.pick(c.ZH(), c.EN()))
			}
			t.Rules = append(t.Rules, rule)
		}
		for _, n := range j.decision.Needs {
			ref.Needs = appendOnce(ref.Needs, n)
		}
		ref.Targets = append(ref.Targets, t)
	}
	raw, err := json.Marshal(ref)
	if err != nil { // plain structs of strings cannot fail
		raw = []byte("null")
	}
	return &openai.Error{Status: http.StatusForbidden, Type: "permission_error", Code: "policy_denied", NoRetry: true,
		Message: deniedMessage(ru.verdict, first, lang), Homeport: raw}
}

// deniedMessage is the refusal in one line, for clients that show nothing else.
func deniedMessage(v policy.Verdict, f *policy.Fired, lang speech) string {
	zh, en := "策略不允许把该请求发往任何目标", "Policy permits no target for this request"
	if v == policy.NeedsApproval {
		zh, en = "该请求须先取得许可或完成手续", "This request needs an approval first"
	}
	if f != nil {
		zh += "（规则 " + f.Rule + "）：" + f.Do.ZH + "。"
		en += " (rule " + f.Rule + "): " + f.Do.EN + "."
		if len(f.Cites) > 0 {
			zh += "依据：" + f.Cites[0].ZH() + "。"
			en += " Cited: " + f.Cites[0].EN() + "."
		}
	}
	return lang.pick(zh, en)
}
