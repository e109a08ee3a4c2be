// Package metrics counts what the gateway does, in Prometheus form: gen_ai_* names after the OpenTelemetry conventions for
// model traffic, homeport_* for decisions, duties, findings and the journal.
//
// Start at [New]. Labels come from configuration and catalog only, so their number is bounded; no prompt text, no finding,
// no key and no user is ever a label (invariant 5). Handles are made once per app and target: counting a request costs no
// look-up by name.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"homeport/audit"
	"homeport/internal/gateway"
	"homeport/internal/provider"
	"homeport/policy"
)

// Metrics holds one process's counters.
type Metrics struct {
	reg       *prometheus.Registry
	early     *prometheus.CounterVec
	decisions *prometheus.CounterVec
	duties    *prometheus.CounterVec
	findings  *prometheus.CounterVec
	concluded *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	reloads   *prometheus.CounterVec
	tokens    *prometheus.HistogramVec
	duration  *prometheus.HistogramVec
	first     *prometheus.HistogramVec
}

// Buckets of the OpenTelemetry GenAI conventions.
var (
	tokenBuckets = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	timeBuckets  = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstBuckets = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0}
)

// New registers every metric. journal gives the journal's counts; nil leaves them out.
func New(version string, journal func() audit.Stats) *Metrics {
	m := &Metrics{reg: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.reg.MustRegister(h)
		return h
	}
	m.early = counter("homeport_requests_unjudged_total", "Requests answered before judgement, by status: 400, 401, 404, 429 and the like.", "app", "status")
	m.decisions = counter("homeport_decisions_total", "Recorded decisions by verdict.", "app", "verdict")
	m.duties = counter("homeport_duties_total", "Duties that came with permitted requests.", "app", "duty")
	m.findings = counter("homeport_findings_total", "Findings by type; never their text.", "app", "type")
	m.concluded = counter("homeport_conclusions_total", "Concluded requests by what happened.", "target", "outcome")
	m.reloads = counter("homeport_config_reloads_total", "Reloads of the configuration by result.", "result")
	m.inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homeport_upstream_calls_in_flight", Help: "Calls under way."}, []string{"target"})
	m.reg.MustRegister(m.inFlight)
	labels := []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"}
	m.tokens = histogram("gen_ai_client_token_usage", "Tokens by type; source says whether the provider counted them.", tokenBuckets, append(labels, "gen_ai_token_type", "source")...)
	m.duration = histogram("gen_ai_server_request_duration_seconds", "Time from the request's head to its conclusion.", timeBuckets, append(labels, "error_type")...)
	m.first = histogram("gen_ai_server_time_to_first_token_seconds", "Time to the first byte of the answer's content.", firstBuckets, labels...)
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "homeport_build_info", Help: "1, with the version as label.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.reg.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if journal != nil {
		m.journal(journal)
	}
	return m
}

func (m *Metrics) journal(stats func() audit.Stats) {
	for _, c := range []struct {
		name, help string
		get        func(audit.Stats) uint64
	}{
		{"homeport_journal_records_total", "Records on stable storage.", func(s audit.Stats) uint64 { return s.Durable }},
		{"homeport_journal_commits_total", "Commits: syncs of the disk.", func(s audit.Stats) uint64 { return s.Commits }},
		{"homeport_journal_bytes_total", "Bytes written.", func(s audit.Stats) uint64 { return s.Bytes }},
	} {
		m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help}, func() float64 { return float64(c.get(stats())) }))
	}
}

// Handler serves the metrics in text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{})
}

// Reloaded counts a reload: ok or failed.
func (m *Metrics) Reloaded(ok bool) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// Unmatched counts an answer that belongs to no app.
func (m *Metrics) Unmatched(status int) {
	m.early.WithLabelValues("", strconv.Itoa(status)).Inc()
}

// App returns the meters of one app.
func (m *Metrics) App(id string) gateway.AppMeters {
	verdicts := map[policy.Verdict]prometheus.Counter{}
	for _, v := range []policy.Verdict{policy.Allow, policy.AllowWithDuties, policy.NeedsApproval, policy.Block} {
		verdicts[v] = m.decisions.WithLabelValues(id, v.String())
	}
	return gateway.AppMeters{
		Admitted: func(status int) { m.early.WithLabelValues(id, strconv.Itoa(status)).Inc() },
		Verdict:  func(v policy.Verdict) { verdicts[v].Inc() },
		Finding:  func(typ string, n int) { m.findings.WithLabelValues(id, typ).Add(float64(n)) },
		Duty:     func(duty string) { m.duties.WithLabelValues(id, duty).Inc() },
	}
}

// operations of the data plane as the conventions name them.
var operations = map[string]string{"chat.completions": "chat", "completions": "text_completion", "embeddings": "embeddings"}

// Target returns the meters of one target. system is its gen_ai.provider.name, model the configured model. Its series are
// made when it is first used: a catalog has many models, and a gateway uses few.
func (m *Metrics) Target(id, system, model string) gateway.TargetMeters {
	t := sync.OnceValue(func() *target { return m.target(id, system, model) })
	return gateway.TargetMeters{
		Begin: func() { t().flying.Inc() },
		Left:  func() { t().flying.Dec() },
		End: func(op string, _ int, outcome string, took, first time.Duration, u provider.Usage) {
			t().end(op, outcome, took, first, u)
		},
	}
}

// target holds the handles of one target.
type target struct {
	m                 *Metrics
	id, system, model string
	flying            prometheus.Gauge
	ok                prometheus.Counter
	ops               map[string]*opHandles
}

type opHandles struct {
	name                     string
	in, out, duration, first prometheus.Observer
}

func (m *Metrics) target(id, system, model string) *target {
	t := &target{m: m, id: id, system: system, model: model, flying: m.inFlight.WithLabelValues(id), ok: m.concluded.WithLabelValues(id, audit.OutcomeOK)}
	t.ops = make(map[string]*opHandles, len(operations))
	for op, name := range operations {
		once := &opHandles{name: name}
		t.ops[op] = once
		if op != "chat.completions" && !strings.Contains(model, "embed") {
			continue
		}
		t.fill(once)
	}
	return t
}

func (t *target) fill(h *opHandles) {
	h.in = t.m.tokens.WithLabelValues(h.name, t.system, t.model, "input", provider.UsageProvider)
	h.out = t.m.tokens.WithLabelValues(h.name, t.system, t.model, "output", provider.UsageProvider)
	h.duration = t.m.duration.WithLabelValues(h.name, t.system, t.model, "")
	h.first = t.m.first.WithLabelValues(h.name, t.system, t.model)
}

func (t *target) end(op, outcome string, took, first time.Duration, u provider.Usage) {
	h := t.ops[op]
	if h.in == nil {
		once := *h // not kept: the handle is shared, and this operation is rare here
		t.fill(&once)
		h = &once
	}
	if outcome == audit.OutcomeOK {
		t.ok.Inc()
		h.duration.Observe(took.Seconds())
	} else {
		t.m.concluded.WithLabelValues(t.id, outcome).Inc()
		t.m.duration.WithLabelValues(h.name, t.system, t.model, outcome).Observe(took.Seconds())
	}
	if first > 0 {
		h.first.Observe(first.Seconds())
	}
	switch u.Source {
	case provider.UsageProvider:
		h.in.Observe(float64(u.Prompt))
		h.out.Observe(float64(u.Completion))
	case provider.UsageEstimated:
		t.m.tokens.WithLabelValues(h.name, t.system, t.model, "input", u.Source).Observe(float64(u.Prompt))
		t.m.tokens.WithLabelValues(h.name, t.system, t.model, "output", u.Source).Observe(float64(u.Completion))
	}
}
