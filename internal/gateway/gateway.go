package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
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
	flying   atomic.Int64 // requests under way

	mu   sync.Mutex
	owed [][]byte // conclusions the journal did not take; guarded by mu
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
		g.flying.Add(1)
		defer g.land(ex)
		g.content(w, r, ex.pipeline, ex.app, ex)
	}
}

// land ends a request, also one that panicked: what went wrong is logged by place, never by value, and the connection is cut.
func (g *Gateway) land(ex *exchange) {
	g.flying.Add(-1)
	v := recover()
	switch {
	case v == nil:
		return
	case v != http.ErrAbortHandler:
		g.opts.Log.LogAttrs(context.Background(), slog.LevelError, "request failed inside the gateway",
			slog.String("event", ex.id), slog.String("app", ex.app.ID), slog.String("stack", string(debug.Stack())))
		ex.app.admitted(http.StatusInternalServerError)
	}
	panic(http.ErrAbortHandler)
}

// Landed waits until no request is under way, at most for limit: after the listeners were closed, so that conclusions of
// requests that were cut off still find their journal.
func (g *Gateway) Landed(limit time.Duration) bool {
	for end := time.Now().Add(limit); g.flying.Load() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// maxOwed bounds the conclusions kept while the journal takes none.
const maxOwed = 10_000

// owe keeps a conclusion that the journal did not take.
func (g *Gateway) owe(payload []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.owed) < maxOwed {
		g.owed = append(g.owed, payload)
	}
}

// Settle hands the journal what it was owed; call it when a stopped journal is open again.
func (g *Gateway) Settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.owed) > 0 && g.opts.Journal.Join(g.owed[0]) == nil {
		g.owed = g.owed[1:]
	}
}

// door gives every answer an event id as x-request-id, finds the row of the route table, and authenticates. It answers what
// carries no content itself, and then returns nil.
func (g *Gateway) door(w http.ResponseWriter, r *http.Request) *exchange {
	began := g.opts.Now()
	id := audit.NewID(began)
	w.Header()["X-Request-Id"] = []string{id}
	row, arg, wrongMethod := match(r)
	if row == nil || row.kind != content {
		unwanted(w, r)
	}
	if row != nil && (row.kind == live || row.kind == ready) {
		g.health(w, row.kind)
		return nil
	}
	p := g.pipeline.Load()
	key, ok := credential(r.Header)
	entry, known := p.Keys.Lookup(key)
	app := p.Apps[entry.App]
	if !ok || !known || app == nil {
		unwanted(w, r)
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
