package gateway

import (
	"context"
	"log/slog"
	"time"

	"homeport/audit"
)

// conclude tells what really happened: to the evidence, to the app's limits, to the counters. It runs in the request's own
// goroutine, also when the client has gone. The conclusion joins the next commit and waits for nobody; if the process ends
// before that, the next start writes "unknown, process ended" for the decision.
func (g *Gateway) conclude(app *App, ex *exchange, in *admitted, rec *recorded, out *outcome) {
	now := g.opts.Now()
	if out.sent { // else the reservation is released whole
		in.limits.settle(out)
	}
	ev := audit.Conclusion{
		Head:     audit.Head{ID: audit.NewID(now), Time: now, App: app.ID},
		Ref:      ex.id,
		Status:   int64(out.status),
		Outcome:  out.result,
		Error:    out.code,
		Attempts: int64(out.tries),
		Finish:   out.finish,
		Adapted:  out.adapted,
		Usage: audit.Usage{Prompt: out.used.Prompt, Completion: out.used.Completion, Total: out.used.Total,
			Cached: out.used.Cached, Reasoning: out.used.Reasoning, Source: out.used.Source},
		BytesIn: out.bytesIn, BytesOut: out.bytesOut,
		Millis: audit.Millis{Before: rec.at.Sub(ex.began).Milliseconds(), Total: now.Sub(ex.began).Milliseconds()},
	}
	if ev.Usage.Source == "" {
		ev.Usage.Source = audit.UsageNone
	}
	if !out.firstAt.IsZero() {
		ev.Millis.First = out.firstAt.Sub(rec.at).Milliseconds()
	}
	if out.target != nil {
		ev.Target, ev.Place, ev.Filing = out.target.ID, out.target.Place, out.target.Filing
	}
	payload := audit.AppendConclusion(make([]byte, 0, 768), &ev)
	if err := g.opts.Journal.Join(payload); err != nil {
		g.owe(payload)
		g.opts.Log.LogAttrs(context.Background(), slog.LevelError, "conclusion not recorded",
			slog.String("event", ex.id), slog.String("app", app.ID), slog.String("error", err.Error()))
	}
	if out.target != nil && out.target.Meters.End != nil {
		var first time.Duration
		if !out.firstAt.IsZero() {
			first = out.firstAt.Sub(ex.began)
		}
		out.target.Meters.End(ex.op.String(), out.status, out.result, now.Sub(ex.began), first, out.usage)
	}
}
