package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"homeport/audit"
	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/policy"
)

// recorded is a decision that is durable, with what later stages need of it.
type recorded struct {
	key    *CommitKey
	body   []byte    // exactly what the first target is sent; nil for a refusal
	at     time.Time // when the decision was durable
	events int       // attempts made durable beside the decision
}

// record builds the body that the first target will get, commits to its exact bytes, and makes the decision durable. Until
// it returns no error, nothing may be sent (invariants 1 and 2).
func (g *Gateway) record(ctx context.Context, p *Pipeline, app *App, ex *exchange, in *admitted, found *Findings, r *ruling) (*recorded, error) {
	rec := &recorded{}
	var err error
	if rec.key, err = p.Salt(app.ID, ex.began.In(beijing).Format("2006-01")); err != nil {
		return nil, fmt.Errorf("find the key of the month's commitments: %w", err)
	}
	ev := audit.Decision{
		Head:    audit.Head{ID: ex.id, Time: ex.began, App: app.ID},
		Op:      ex.op.String(),
		Route:   r.route,
		Profile: p.Profile.String(),
		Stream:  in.req.Stream,
		Verdict: r.verdict.String(),
		Digests: p.Digests,
		Bytes:   int64(len(in.req.Raw)),
	}
	ev.FactsJSON = joinMembers(app.FactsJSON, r.facts)
	ev.TargetsJSON = r.targetsJSON()
	for _, c := range found.Counts {
		ev.Findings = append(ev.Findings, audit.Count{Type: c.Type.ID, N: int64(c.Count)})
	}
	if found.Uninspected > 0 {
		ev.Findings = append(ev.Findings, audit.Count{Type: "uninspected", N: int64(found.Uninspected)})
	}
	ev.Commitments.Salt = rec.key.ID
	ev.Commitments.Subject = rec.key.header("subject", in.subject)
	ev.Commitments.Conversation = rec.key.header("conversation", in.conversation)
	ev.Commitments.Idempotency = rec.key.header("idempotency", in.idempotency)
	if !r.Denied() {
		j := &r.judged[r.order[0].Target]
		rec.body = build(in.req, &j.plan)
		ev.Chosen = j.ID
		ev.Edits, ev.Adapted = edits(j), adaptedList(j.plan.Adapted)
		ev.Commitments.Alg, ev.Commitments.Request = rec.key.body(rec.body)
		ev.Bytes = int64(len(rec.body))
	}
	// A client that leaves now must not leave a decision behind of which nobody knows whether it was recorded.
	if err := g.opts.Journal.Append(context.WithoutCancel(ctx), audit.AppendDecision(make([]byte, 0, 2560), &ev)); err != nil {
		err = fmt.Errorf("append the decision: %w", err)
		if errors.Is(err, audit.ErrTooLarge) {
			return nil, err
		}
		rec.at = g.opts.Now()
		return rec, err // waited for in vain: it may still become durable, and then wants a conclusion
	}
	rec.at = g.opts.Now()
	g.count(app, found, r)
	return rec, nil
}

// attempt makes a further try durable before its bytes leave, and builds its body.
func (g *Gateway) attempt(ctx context.Context, app *App, ex *exchange, in *admitted, rec *recorded, j *judged, n int, reason string) ([]byte, error) {
	body := build(in.req, &j.plan)
	ev := audit.Attempt{
		Head: audit.Head{ID: audit.NewID(g.opts.Now()), Time: g.opts.Now(), App: app.ID},
		Ref:  ex.id, N: int64(n), Target: j.ID, Reason: reason,
		Edits: edits(j), Adapted: adaptedList(j.plan.Adapted),
		Commitments: audit.Commitments{Salt: rec.key.ID},
		Bytes:       int64(len(body)),
	}
	ev.Commitments.Alg, ev.Commitments.Request = rec.key.body(body)
	if err := g.opts.Journal.Append(ctx, audit.AppendAttempt(nil, &ev)); err != nil {
		return nil, fmt.Errorf("append attempt %d: %w", n, err)
	}
	return body, nil
}

func build(req *openai.Request, plan *provider.Plan) []byte {
	if len(plan.Edits) == 0 {
		return req.Raw
	}
	size := len(req.Raw)
	for _, e := range plan.Edits {
		size += len(e.New) - e.Len()
	}
	return openai.Apply(make([]byte, 0, size), req.Raw, plan.Edits)
}

// edits names what differs between what was received and what this target is, or would be, sent. Names only: no value of
// the client's.
func edits(j *judged) []audit.Edit {
	out := make([]audit.Edit, 0, len(j.plan.Adapted)+2)
	if j.plan.NamedModel {
		out = append(out, audit.Edit{Op: "model", Name: j.plan.Model})
	}
	if j.plan.AskedUsage {
		out = append(out, audit.Edit{Op: "set", Name: "stream_options.include_usage"})
	}
	for _, a := range j.plan.Adapted {
		out = append(out, audit.Edit{Op: a.Action, Name: a.Param})
	}
	return out
}

func adaptedList(list []provider.Adaptation) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// targetsJSON writes the judged targets. What a decision says of a target repeats from request to request and is kept
// encoded; only the edits differ.
func (r *ruling) targetsJSON() []byte {
	out := make([]byte, 0, 1024*len(r.judged))
	for i := range r.judged {
		j := &r.judged[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, j.fragment(j.decision)...)
		out = audit.AppendTargetEdits(out, r.editsOf(j), unableCode(j))
		out = append(out, '}')
	}
	return out
}

// editsOf are the edits for a target that was permitted and can take the request; the chosen one is told the same twice.
func (r *ruling) editsOf(j *judged) []audit.Edit {
	if !j.decision.Verdict.Permitted() || j.unable != nil {
		return nil
	}
	return edits(j)
}

func unableCode(j *judged) string {
	if j.unable == nil {
		return ""
	}
	return j.unable.Code
}

const maxFragments = 256

// fragment is the encoded part of a judged target that depends on the decision only, open at its end.
func (t *Target) fragment(d *policy.Decision) []byte {
	if b, ok := t.fragments.Load(d); ok {
		return b.([]byte)
	}
	at := audit.Target{ID: t.ID, Place: t.Place, Verdict: d.Verdict.String(), Rules: d.RuleIDs(), Needs: d.Needs, Filing: t.Filing, FactsJSON: t.FactsJSON}
	for i := range d.Rules {
		for _, c := range d.Rules[i].Cites {
			at.Cites = appendOnce(at.Cites, c.String())
		}
	}
	for _, duty := range d.Duties {
		at.Duties = appendOnce(at.Duties, duty.ID)
	}
	b := audit.AppendTargets(nil, []audit.Target{at})
	b = b[:len(b)-1]
	n := 0
	t.fragments.Range(func(any, any) bool { n++; return n < maxFragments })
	if n < maxFragments {
		t.fragments.Store(d, b)
	}
	return b
}

func appendOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func joinMembers(a, b []byte) []byte {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := make([]byte, 0, len(a)+len(b)+1)
	return append(append(append(out, a...), ','), b...)
}

// count moves the counters for a recorded decision.
func (g *Gateway) count(app *App, found *Findings, r *ruling) {
	if app.Meters.Verdict != nil {
		app.Meters.Verdict(r.verdict)
	}
	if app.Meters.Finding != nil {
		for _, c := range found.Counts {
			app.Meters.Finding(c.Type.ID, c.Count)
		}
	}
	if app.Meters.Duty != nil && !r.Denied() {
		for _, d := range r.judged[r.order[0].Target].decision.Duties {
			app.Meters.Duty(d.ID)
		}
	}
}
