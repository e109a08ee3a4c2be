package tour

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"homeport/policy"
)

// Write tells the report in plain words, in "zh" or "en", at most 88 columns wide.
func (r *Report) Write(w io.Writer, lang string) error {
	t := &teller{zh: lang == "zh"}
	t.opening(r)
	for i := range r.Steps {
		t.step(i+1, len(r.Steps), &r.Steps[i], r.Profile)
	}
	t.journal(r)
	t.close(r)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// teller writes in one language.
type teller struct {
	page
	zh bool
}

func (t *teller) say(zh, en string) string {
	if t.zh {
		return zh
	}
	return en
}

func (t *teller) pick(x policy.Text) string { return t.say(x.ZH, x.EN) }

// labels is how wide the column of labels is.
const labels = 10

func (t *teller) field(zh, en, text string) { t.item(2, t.say(zh, en), labels, text) }

func (t *teller) under(text string) { t.item(2+labels, "", 0, text) }

func (t *teller) opening(r *Report) {
	t.rule("=")
	t.line(t.say("Homeport 导览", "Homeport: the tour") + "  " + r.Version)
	t.rule("=")
	t.item(0, "", 0, t.say(
		"Homeport 是应用与模型之间的网关：逐个请求、逐个目标按法律规则判定，只发往允许的目标，并留下证据。下面在临时目录里启动一个真实的网关，发出四个真实的 HTTP 请求。",
		"Homeport is a gateway between applications and models: it judges every request, target by target, by rules of law, sends it only where that is permitted, and keeps evidence. Here a real gateway runs on a temporary folder and gets four real HTTP requests."))
	t.line("")
	t.item(0, "", 0, t.say("谁在演什么：应答的都是内置的练习上游，不是模型；处理地与备案是导览自己申报的。", "Who plays what: the built-in practice upstream answers everything, no model does; places and filings are what the tour declares."))
	for _, x := range [][3]string{
		{"china/practice", "扮演境内已备案的模型（CN）", "plays a filed model in mainland China (CN)"},
		{"sweden/practice", "扮演全球 Azure 在瑞典的模型（SE）", "plays a model of global Azure in Sweden (SE)"},
		{"usa/practice", "扮演美国供应商的模型（US）", "plays a model of a provider in the United States (US)"},
	} {
		t.item(2, x[0], 18, t.say(x[1], x[2]))
	}
	t.line(t.say("判定口径："+r.Profile+"（严格）。没有网络请求离开本机，结束后不留文件。", "Profile: "+r.Profile+". Nothing leaves this machine, and no file stays behind."))
}

func (t *teller) step(n, of int, s *Step, profile string) {
	t.line("")
	t.rule("-")
	t.line(fmt.Sprintf("%d/%d  %s", n, of, t.pick(s.Title)))
	t.rule("-")
	t.field("应用", "app", t.pick(s.Who))
	sent := t.say("请求模型 ", "asks for ") + s.Model + t.say("。内容：", ". Content: ") + t.pick(s.Sent)
	t.field("发送", "sent", sent)
	t.field("检查", "found", t.findings(s))
	label := [2]string{"判定", "judged"}
	for i := range s.Targets {
		t.target(label, &s.Targets[i], s)
		label = [2]string{}
	}
	t.outcome(s)
	t.evidence(s)
	t.field("小结", "so", t.pick(s.Point))
}

func (t *teller) findings(s *Step) string {
	if s.Event == nil || len(s.Event.Findings) == 0 {
		return t.say("没有发现个人信息", "no personal information")
	}
	names := map[string]policy.Text{"cn_resident_id": {ZH: "居民身份证号", EN: "resident identity number"}}
	var out []string
	for id, n := range s.Event.Findings {
		name := id
		if known, ok := names[id]; ok {
			name = t.pick(known)
		}
		out = append(out, fmt.Sprintf(t.say("%s %d 个", "%s: %d"), name, n))
	}
	slices.Sort(out)
	return strings.Join(out, t.say("，", ", "))
}

// target tells one judged target: fully where it was forbidden or chosen, in a line where it was not needed.
func (t *teller) target(label [2]string, j *Judged, s *Step) {
	head := j.ID + t.say("：", ": ") + t.verdict(j.Verdict)
	chosen := j.ID == s.Target
	forbidden := j.Verdict == policy.Block.String() || j.Verdict == policy.NeedsApproval.String()
	if !chosen && !forbidden {
		t.field(label[0], label[1], head+t.say("；排在后面，没有用到", "; next in order, not needed"))
		return
	}
	t.field(label[0], label[1], head)
	var others []string
	told := false
	for i := range j.Rules {
		why := &j.Rules[i]
		switch {
		case forbidden && !why.Forbids:
		case forbidden && told:
			if name := why.Rule; !slices.Contains(others, name) {
				others = append(others, name)
			}
		default:
			t.reason(why)
			told = true
		}
	}
	if len(others) > 0 {
		t.under(t.say("另有规则 ", "also rules ") + strings.Join(others, ", "))
	}
	if len(j.Needs) > 0 {
		for _, n := range j.Needs {
			t.under(t.say("未知的事实 ", "not known: ") + n.Fact + t.say("：", ": ") + t.pick(n.Why))
		}
		t.under(t.say("没有申报就是未知；凡因此不能排除的规则都算数，取最严", "not declared is unknown; every rule that cannot be ruled out counts, the strictest wins"))
	}
}

func (t *teller) reason(why *Reason) {
	t.item(2+labels, t.say("规则 ", "rule ")+why.Rule, 10, t.pick(why.Do))
	for i, c := range why.Citations {
		label := ""
		if i == 0 {
			label = t.say("依据", "cites")
		}
		text := t.pick(c.Title)
		if basis := t.pick(c.Basis); basis != "" {
			text += t.say("（", " (") + basis + t.say("）", ")")
		}
		t.item(2+labels, label, 10, text)
	}
}

func (t *teller) verdict(v string) string {
	switch v {
	case policy.Allow.String():
		return t.say("允许", "permitted") + " (" + v + ")"
	case policy.AllowWithDuties.String():
		return t.say("允许，附带义务", "permitted, with duties") + " (" + v + ")"
	case policy.NeedsApproval.String():
		return t.say("不发送：须先取得许可", "not sent: needs an approval first") + " (" + v + ")"
	}
	return t.say("不允许", "forbidden") + " (" + v + ")"
}

func (t *teller) outcome(s *Step) {
	if s.Target == "" {
		t.field("去向", "went", fmt.Sprintf(t.say("哪里也没去。HTTP %d，%s，x-should-retry: %s", "nowhere. HTTP %d, %s, x-should-retry: %s"), s.Status, s.Code, s.Retry))
		t.field("答复", "answer", s.Message)
		return
	}
	t.field("去向", "went to", fmt.Sprintf(t.say("%s，处理地 %s，HTTP %d", "%s, place %s, HTTP %d"), s.Target, s.Place, s.Status))
	answer := s.Answer
	if s.Stream {
		answer = fmt.Sprintf(t.say("流式，%d 个事件：", "streamed, %d events: "), s.Chunks) + answer
	}
	t.field("回答", "answer", answer)
}

func (t *teller) evidence(s *Step) {
	if s.Event == nil {
		t.field("证据", "evidence", t.say("没有事件", "no event"))
		return
	}
	e := s.Event
	t.field("证据", "evidence", fmt.Sprintf(t.say("事件 %s（应答头 x-request-id）", "event %s (the answer's x-request-id)"), s.EventID))
	t.under(fmt.Sprintf(t.say("记录 %d，%d 字节：事实 %d 项及其来源、规则包 %s、配置 %s", "record %d, %d bytes: %d facts and where they come from, rules %s, configuration %s"),
		e.Index, e.Bytes, e.Facts, short(e.Packs), short(e.Config)))
	if e.Commitment != "" {
		t.under(fmt.Sprintf(t.say("所发字节的加盐承诺 %s（不含原文）", "salted commitment %s to the exact bytes sent, not the text"), e.Commitment[:min(12, len(e.Commitment))]))
	}
	if c := s.Conclude; c != nil {
		t.under(fmt.Sprintf(t.say("结论为记录 %d：%s，发送次数 %d", "its conclusion is record %d: %s, attempts: %d"), c.Index, c.Outcome, c.Attempts) + t.tokens(c))
	}
}

func (t *teller) tokens(c *Conclusion) string {
	if c.Attempts == 0 {
		return ""
	}
	return fmt.Sprintf(t.say("，%d 个 token（来源 %s）", ", %d tokens (source: %s)"), c.Tokens, c.Usage)
}

// short is the beginning of a digest, enough to tell two apart.
func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(8, len(hex))]
}
