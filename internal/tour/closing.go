package tour

import (
	"fmt"

	"homeport/policy"
)

// journal tells what checking the evidence gave.
func (t *teller) journal(r *Report) {
	j := &r.Journal
	t.line("")
	t.rule("-")
	t.line(t.say("证据日志的检查", "Checking the evidence"))
	t.rule("-")
	for _, c := range []struct {
		ok   bool
		text policy.Text
	}{
		{j.Verified, policy.Text{ZH: fmt.Sprintf("%d 条记录完整：校验和相符，编号连续", j.Records), EN: fmt.Sprintf("%d records are whole: checksums match, numbers have no gap", j.Records)}},
		{j.Parsed, policy.Text{ZH: fmt.Sprintf("每条都是合格的事件：判定 %d，结论 %d，管理 %d（启动、停止）", j.Decisions, j.Conclusions, j.Admin),
			EN: fmt.Sprintf("each is a well-formed event: %d decisions, %d conclusions, %d admin (start, stop)", j.Decisions, j.Conclusions, j.Admin)}},
		{j.Concluded, policy.Text{ZH: "每个判定有且仅有一个结论，且在判定之后", EN: "each decision has exactly one conclusion, and it comes after"}},
		{j.Replayed, policy.Text{ZH: "按事件里的事实重新判定，规则与结论都一样", EN: "judging the facts of each event again gives the same rules and verdict"}},
		{j.TextFree, policy.Text{ZH: "日志里没有提示词、回答和身份证号的原文", EN: "no text of the prompts, the answers or the identity number is in the journal"}},
	} {
		mark := "[ ok ]"
		if !c.ok {
			mark = "[FAIL]"
		}
		t.item(2, mark, 8, t.pick(c.text))
	}
	t.line("")
	t.bullets(t.say("这说明", "What this shows"), []policy.Text{
		{ZH: "应用不改代码，去向随内容和用途而变，规则和条文可查；", EN: "without a change of the app, where a request goes follows its content and use, with rule and article;"},
		{ZH: "每个请求的判定与结果都记录在案；凭事件和同一规则包，任何人都能重新算出同一结论。", EN: "decision and end of every request are on record; from the event and the same rules anyone can work out the same verdict."},
	})
	t.bullets(t.say("这不能说明", "What it does not show"), []policy.Text{
		{ZH: "“先落盘、后发送”是网关的构造，由它的测试证明，单看日志的次序还不够；", EN: "\"on disk before it is sent\" is how the gateway is built, and its tests show it; the journal's order alone does not;"},
		{ZH: "校验和防损坏，不防有权改写整个目录的人伪造；带签名的透明日志在后续版本；", EN: "checksums tell damage, not forgery by someone who can rewrite the folder; the signed log comes in a later version;"},
		{ZH: "处理地与备案是申报的，Homeport 不能替供应商作证；", EN: "places and filings are declared: Homeport cannot vouch for a provider;"},
		{ZH: "检测只覆盖首批类型，没有发现不等于没有；", EN: "detection covers a first set of types: nothing found is not proof of nothing there;"},
		{ZH: "结论带有来源，不构成法律意见。", EN: "verdicts come with sources; they are not legal advice."},
	})
}

func (t *teller) bullets(title string, list []policy.Text) {
	t.line(title)
	for _, x := range list {
		t.item(2, "-", 2, t.pick(x))
	}
}

// close tells whether all came out as told, and where to go next.
func (t *teller) close(r *Report) {
	t.line("")
	if r.OK {
		t.line(fmt.Sprintf(t.say("全部与所述相符，用时 %d 毫秒。", "Everything came out as told, in %d ms."), r.Millis))
	} else {
		t.line(t.say("与所述不符：", "Came out otherwise than told:"))
		for _, d := range r.Differences {
			t.item(2, "-", 2, t.pick(d))
		}
	}
	t.line(t.say("接下来：", "Next:"))
	t.item(2, "homeport serve", 22, t.say("启动网关，打印地址、密钥和可直接粘贴的示例", "run the gateway; it prints address, key and lines to paste"))
	t.item(2, "homeport doctor", 22, t.say("看看本机有哪些供应商密钥和本地模型", "see which provider keys and local models this machine has"))
	t.item(2, "homeport tour --json", 22, t.say("同样内容，供程序读取", "the same, for programs"))
}
