package metrics_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"homeport/audit"
	"homeport/internal/metrics"
	"homeport/internal/provider"
	"homeport/policy"
)

func page(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Body.String()
}

// fill moves every counter once.
func fill(m *metrics.Metrics) {
	a := m.App("support-bot")
	a.Admitted(429)
	a.Verdict(policy.Block)
	a.Finding("cn_resident_id", 2)
	a.Duty("show_filing")
	m.Unmatched(401)
	m.Reloaded(true)
	m.Reloaded(false)
	target := m.Target("qwen/qwen3.7-plus", "dashscope", "qwen3.7-plus")
	target.Begin()
	target.End("chat.completions", 200, audit.OutcomeOK, time.Second, 500*time.Millisecond, provider.Usage{Prompt: 7, Completion: 2, Total: 9, Source: provider.UsageProvider})
	target.End("chat.completions", 502, audit.OutcomeUpstreamError, time.Second, 0, provider.Usage{})
	target.End("embeddings", 200, audit.OutcomeOK, time.Second, 0, provider.Usage{Prompt: 3, Total: 3, Source: provider.UsageEstimated})
}

func TestNamesAndValues(t *testing.T) {
	m := metrics.New("1.2.3", func() audit.Stats { return audit.Stats{Durable: 11, Commits: 5, Bytes: 700} })
	fill(m)
	got := page(t, m)
	for _, want := range []string{
		`homeport_requests_unjudged_total{app="support-bot",status="429"} 1`,
		`homeport_requests_unjudged_total{app="",status="401"} 1`,
		`homeport_decisions_total{app="support-bot",verdict="block"} 1`,
		`homeport_decisions_total{app="support-bot",verdict="allow"} 0`,
		`homeport_duties_total{app="support-bot",duty="show_filing"} 1`,
		`homeport_findings_total{app="support-bot",type="cn_resident_id"} 2`,
		`homeport_conclusions_total{outcome="ok",target="qwen/qwen3.7-plus"} 2`,
		`homeport_conclusions_total{outcome="upstream_error",target="qwen/qwen3.7-plus"} 1`,
		`homeport_upstream_calls_in_flight{target="qwen/qwen3.7-plus"} 1`,
		`homeport_config_reloads_total{result="ok"} 1`,
		`homeport_config_reloads_total{result="failed"} 1`,
		`homeport_build_info{version="1.2.3"} 1`,
		`homeport_journal_records_total 11`,
		`homeport_journal_commits_total 5`,
		`homeport_journal_bytes_total 700`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="dashscope",gen_ai_request_model="qwen3.7-plus",gen_ai_token_type="input",source="provider"} 7`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="dashscope",gen_ai_request_model="qwen3.7-plus",gen_ai_token_type="output",source="provider"} 2`,
		`gen_ai_client_token_usage_sum{gen_ai_operation_name="embeddings",gen_ai_provider_name="dashscope",gen_ai_request_model="qwen3.7-plus",gen_ai_token_type="input",source="estimated"} 3`,
		`gen_ai_server_request_duration_seconds_count{error_type="upstream_error",gen_ai_operation_name="chat",gen_ai_provider_name="dashscope",gen_ai_request_model="qwen3.7-plus"} 1`,
		`gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_provider_name="dashscope",gen_ai_request_model="qwen3.7-plus"} 0.5`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("missing %s", want)
		}
	}
}

// Attack case D7 (invariant 5): labels are names of configuration and catalog, never people, content or credentials.
func TestLabels(t *testing.T) {
	m := metrics.New("1", func() audit.Stats { return audit.Stats{} })
	fill(m)
	allowed := []string{"app", "status", "verdict", "duty", "type", "target", "outcome", "result", "version", "le", "quantile", "source", "error_type",
		"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"}
	series := 0
	for line := range strings.Lines(page(t, m)) {
		if !strings.HasPrefix(line, "homeport_") && !strings.HasPrefix(line, "gen_ai_") {
			continue
		}
		series++
		_, rest, ok := strings.Cut(line, "{")
		if !ok {
			continue
		}
		labels, _, _ := strings.Cut(rest, "}")
		for pair := range strings.SplitSeq(labels, `",`) {
			name, _, _ := strings.Cut(pair, "=")
			if !slices.Contains(allowed, name) {
				t.Errorf("label %s in %s", name, line)
			}
		}
	}
	if series < 50 {
		t.Errorf("%d series", series)
	}
}

// A target that is never used has no series: a catalog has many models.
func TestUnusedTargetsCostNothing(t *testing.T) {
	m := metrics.New("1", nil)
	m.Target("qwen/unused", "dashscope", "unused")
	if got := page(t, m); strings.Contains(got, "qwen/unused") || strings.Contains(got, "homeport_journal_") {
		t.Error("an unused target, or a journal that is not there, has series")
	}
}
