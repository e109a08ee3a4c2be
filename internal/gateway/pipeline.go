package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"homeport/audit"
	"homeport/internal/openai"
)

// exchange is what is known of a request from its head: fixed at admission, read by every stage.
type exchange struct {
	id         string
	began      time.Time
	op         openai.Endpoint
	deployment string // Azure: the model name in the path, which wins over the body's
	azure      bool   // the client speaks an Azure form
	pipeline   *Pipeline
	app        *App
}

// content is the life of a request that carries content: six stages in fixed order. A stage that fails ends it, and what
// was not inspected, decided and recorded is not sent (invariant 1).
func (g *Gateway) content(w http.ResponseWriter, r *http.Request, p *Pipeline, app *App, ex *exchange) {
	// admit: bounded, strict, within limits
	in, refused := g.admit(w, r, p, app, ex)
	if refused != nil {
		app.admitted(refused.Status)
		refused.Write(w)
		return
	}
	defer in.limits.release()

	// inspect: what is in it; no judgement
	found, err := inspect(in.req)
	if err != nil {
		g.fault(w, app, ex, "inspect", err)
		return
	}

	// decide: each target the route offers; pure
	ruling, refused := decide(p, app, in, &found, g.opts.Now())
	if refused != nil {
		app.admitted(refused.Status)
		refused.Write(w)
		return
	}

	// record: durable before a byte leaves
	rec, err := g.record(r.Context(), p, app, ex, in, &found, ruling)
	if err != nil {
		g.fault(w, app, ex, "record", err)
		if rec != nil {
			g.conclude(app, ex, in, rec, &outcome{status: faults["record"].Status, result: resultUnrecorded, code: faults["record"].Code})
		}
		return
	}
	var out *outcome
	defer func() {
		if out == nil { // a panic in forward: the decision must not stay open
			g.conclude(app, ex, in, rec, &outcome{status: http.StatusInternalServerError, result: resultInternal, sent: true})
		}
	}()

	// forward: within the permitted targets only, or the refusal with its reasons
	if ruling.Denied() {
		out = g.refuse(w, r, ex, ruling)
	} else {
		out = g.forward(w, r, p, app, ex, in, ruling, rec)
	}

	// conclude: what really happened, even if the client has gone
	g.conclude(app, ex, in, rec, out)
	if out.abort {
		panic(http.ErrAbortHandler) // an answer that stopped short must not look whole
	}
}

// fault answers for a stage that could not do its work. The log names stage and event, never content.
func (g *Gateway) fault(w http.ResponseWriter, app *App, ex *exchange, stage string, err error) {
	app.admitted(http.StatusServiceUnavailable)
	g.opts.Log.LogAttrs(context.Background(), slog.LevelError, "request not sent",
		slog.String("stage", stage), slog.String("event", ex.id), slog.String("app", app.ID), slog.String("error", err.Error()))
	if errors.Is(err, audit.ErrTooLarge) {
		e := *faults[stage] // asking again would not help
		e.NoRetry, e.RetryAfter = true, 0
		e.Write(w)
		return
	}
	faults[stage].Write(w)
}

var faults = map[string]*openai.Error{
	"inspect": {Status: http.StatusServiceUnavailable, Type: "server_error", Code: "inspection_failed", NoRetry: true,
		Message: "The request could not be inspected, so it was not sent. 请求未能完成检查，因此没有发出。"},
	"record": {Status: http.StatusServiceUnavailable, Type: "server_error", Code: "evidence_unavailable", RetryAfter: time.Second,
		Message: "The evidence log could not record the request in time, so it was not sent. 证据日志未能及时记录，请求没有发出。"},
}
