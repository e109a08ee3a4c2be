package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"homeport/audit"
)

// Journal is where events become durable. Append returns when the record is on disk; Join waits for nobody.
type Journal interface {
	Append(ctx context.Context, payload []byte) error
	Join(payload []byte) error
	Err() error
}

// Options are what a gateway is made of beside its pipeline.
type Options struct {
	Journal Journal
	Log     *slog.Logger
	Now     func() time.Time
	// Unmatched counts answers that belong to no app: 401, unknown routes.
	Unmatched func(status int)
	Patience  Patience
}

// Gateway is the data plane, an http.Handler.
type Gateway struct {
	opts     Options
	pipeline atomic.Pointer[Pipeline]
	draining atomic.Bool
}

// New returns a gateway that answers from p.
func New(p *Pipeline, o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unmatched == nil {
		o.Unmatched = func(int) {}
	}
	o.Patience = o.Patience.withDefaults()
	g := &Gateway{opts: o}
	g.pipeline.Store(p)
	return g
}

// Swap puts another pipeline in place; requests in flight end on the one they began with.
func (g *Gateway) Swap(p *Pipeline) (old *Pipeline) { return g.pipeline.Swap(p) }

// Pipeline is the one in force.
func (g *Gateway) Pipeline() *Pipeline { return g.pipeline.Load() }

// Drain makes /readyz say no, so that load balancers turn away before the listener closes.
func (g *Gateway) Drain() { g.draining.Store(true) }

// ServeHTTP carries a request that passed the door. The door is a function apart so that its needs do not stay on the
// stack of a stream.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ex := g.door(w, r); ex != nil {
		g.content(w, r, ex.pipeline, ex.app, ex)
	}
}

// door gives every answer an event id as x-request-id, finds the row of the route table, and authenticates. It answers what
// carries no content itself, and then returns nil.
func (g *Gateway) door(w http.ResponseWriter, r *http.Request) *exchange {
	began := g.opts.Now()
	id := audit.NewID(began)
	w.Header()["X-Request-Id"] = []string{id}
	row, arg, wrongMethod := match(r)
	if row != nil && (row.kind == live || row.kind == ready) {
		g.health(w, row.kind)
		return nil
	}
	p := g.pipeline.Load()
	key, ok := credential(r.Header)
	entry, known := p.Keys.Lookup(key)
	app := p.Apps[entry.App]
	if !ok || !known || app == nil {
		g.opts.Unmatched(http.StatusUnauthorized)
		unauthorized().Write(w)
		return nil
	}
	if row == nil {
		app.admitted(http.StatusNotFound)
		unknownPath(r, wrongMethod).Write(w)
		return nil
	}
	switch row.kind {
	case content:
		return &exchange{id: id, began: began, op: row.op, deployment: arg, azure: azureForm(row.path), pipeline: p, app: app}
	case models:
		writeModels(w, app)
	case model:
		writeModel(w, app, arg)
	case mistaken:
		app.admitted(http.StatusNotFound)
		doubled().Write(w)
	default:
		app.admitted(http.StatusNotImplemented)
		notOffered(row.path).Write(w)
	}
	return nil
}

// health answers liveness and readiness without a key and without asking any upstream: a check must never send content.
func (g *Gateway) health(w http.ResponseWriter, k kind) {
	status, text := http.StatusOK, "ok\n"
	if k == ready {
		switch {
		case g.draining.Load():
			status, text = http.StatusServiceUnavailable, "draining\n"
		case g.opts.Journal.Err() != nil:
			status, text = http.StatusServiceUnavailable, "the journal accepts nothing\n"
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text))
}

func (a *App) admitted(status int) {
	if a.Meters.Admitted != nil {
		a.Meters.Admitted(status)
	}
}
