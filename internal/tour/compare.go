package tour

import (
	"fmt"
	"strings"

	"homeport/audit"
	"homeport/policy"
)

// compare holds the report against what was promised and lists every difference.
func (r *Report) compare() {
	r.Differences = []policy.Text{}
	for i := range r.Steps {
		r.compareStep(i+1, &r.Steps[i])
	}
	j := &r.Journal
	want := func(ok bool, zh, en string) {
		if !ok {
			r.Differences = append(r.Differences, policy.Text{ZH: "日志：" + zh, EN: "journal: " + en})
		}
	}
	want(j.Decisions == len(r.Steps), fmt.Sprintf("判定 %d 条，应为 %d 条", j.Decisions, len(r.Steps)), fmt.Sprintf("%d decisions, want %d", j.Decisions, len(r.Steps)))
	want(j.Verified, "校验未通过", "does not verify")
	want(j.Parsed, "有事件不合格式", "an event does not parse")
	want(j.Concluded, "并非每个判定都有且仅有一个结论", "not every decision has exactly one conclusion")
	want(j.TextFree, "事件中有提示词或回答的文字", "an event holds text of a prompt or an answer")
	want(j.Replayed, "由事件重新判定，结论不同", "judging an event again gives another verdict")
	want(j.Admin >= 2, "缺少启动与停止的记录", "start and stop are not recorded")
	r.OK = len(r.Differences) == 0
}

func (r *Report) compareStep(n int, s *Step) {
	t := &s.told
	differ := func(zh, en string, got, want any) {
		r.Differences = append(r.Differences, policy.Text{ZH: fmt.Sprintf("第 %d 步：%s 为 %v，应为 %v", n, zh, got, want), EN: fmt.Sprintf("step %d: %s is %v, want %v", n, en, got, want)})
	}
	same := func(zh, en string, got, want any) {
		if got != want {
			differ(zh, en, got, want)
		}
	}
	same("HTTP 状态", "HTTP status", s.Status, t.status)
	same("结论", "verdict", s.Verdict, t.verdict)
	same("目标", "target", s.Target, t.target)
	same("处理地", "place", s.Place, t.place)
	same("事件编号有效", "valid event id", audit.ValidID(s.EventID), true)
	if s.Event == nil || s.Conclude == nil {
		differ("事件", "event", "-", s.EventID)
		return
	}
	if s.Conclude.Index <= s.Event.Index {
		differ("结论的位置", "index of the conclusion", s.Conclude.Index, fmt.Sprintf("> %d", s.Event.Index))
	}
	for _, judged := range s.Targets {
		rule := t.refuses[judged.ID]
		var forbids []string
		for _, why := range judged.Rules {
			if why.Forbids {
				forbids = append(forbids, why.Rule)
			}
		}
		if (rule == "") != (len(forbids) == 0) || rule != "" && !anyPrefix(forbids, rule) {
			differ("禁止 "+judged.ID+" 的规则", "rules against "+judged.ID, strings.Join(forbids, " "), rule)
		}
	}
	same("发现的类型数", "number of finding types", len(s.Event.Findings), len(t.found))
	for kind, count := range t.found {
		same("发现 "+kind, "finding "+kind, s.Event.Findings[kind], count)
	}
	if t.target == "" {
		same("错误码", "error code", s.Code, "policy_denied")
		same("答复中的事件编号", "event id in the answer", s.refusal.Event, s.EventID)
		for _, judged := range s.Targets {
			for _, why := range judged.Rules {
				if why.Forbids {
					same("答复说明规则 "+why.Rule, "the answer explains rule "+why.Rule, s.refusal.explains(judged.ID, why.Rule), true)
				}
			}
		}
		same("x-should-retry", "x-should-retry", s.Retry, "false")
		same("发送次数", "attempts", s.Conclude.Attempts, int64(0))
		same("结果", "outcome", s.Conclude.Outcome, audit.OutcomeRefused)
		return
	}
	same("发送次数", "attempts", s.Conclude.Attempts, int64(1))
	same("结果", "outcome", s.Conclude.Outcome, audit.OutcomeOK)
	same("结束原因", "finish reason", s.Conclude.Finish, "stop")
	same("提交值长度", "length of the commitment", len(s.Event.Commitment), 64)
	same("回答说明是练习", "the answer says it is practice", strings.Contains(s.Answer, "练习") || strings.Contains(s.Answer, "practice"), true)
	if t.stream {
		same("完整的流", "a whole stream", s.Chunks > 2, true)
	}
}

func anyPrefix(list []string, prefix string) bool {
	for _, s := range list {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
