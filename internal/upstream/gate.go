package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig says when a target is left alone for a while.
type BreakerConfig struct {
	Failures int           // consecutive failures that open the breaker; at least 1
	Cooldown time.Duration // how long it stays open before one trial call is let through
}

// DefaultBreaker is what a target has when its configuration says nothing.
func DefaultBreaker() *BreakerConfig {
	return &BreakerConfig{Failures: 5, Cooldown: 30 * time.Second}
}

// GateConfig limits one target.
type GateConfig struct {
	Concurrency int            // calls at once; 0 means no limit
	Wait        time.Duration  // how long a call may wait for its turn; 0 means not at all
	Breaker     *BreakerConfig // nil means none (breaker: false)
}

// Gate stands before one target: a concurrency limit and a circuit breaker. Both count a call from Enter
// until its Ticket is done, so to the end of its stream. A Gate belongs to a target and may be kept over
// a reload of the configuration; it is safe for concurrent use.
type Gate struct {
	slots   chan struct{} // nil without a limit
	wait    time.Duration
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// The breaker's view of an outcome; the texts are never shown.
var (
	errFailure = errors.New("failure")
	errIgnored = errors.New("ignored")
)

// NewGate returns the gate for one target.
func NewGate(cfg GateConfig) (*Gate, error) {
	if cfg.Concurrency < 0 || cfg.Wait < 0 {
		return nil, errors.New("concurrency: must not be negative")
	}
	g := &Gate{wait: cfg.Wait}
	if cfg.Concurrency > 0 {
		g.slots = make(chan struct{}, cfg.Concurrency)
	}
	if b := cfg.Breaker; b != nil {
		if b.Failures < 1 || b.Failures > 1_000_000 || b.Cooldown <= 0 {
			return nil, errors.New("breaker: needs failures of 1 or more and a cooldown")
		}
		limit := uint32(b.Failures)
		g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			MaxRequests: 1,
			Timeout:     b.Cooldown,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= limit },
			IsExcluded:  func(err error) bool { return err == errIgnored },
		})
	}
	return g, nil
}

// Health is how a call went, as far as it tells about the target's health.
type Health uint8

const (
	// Ignored tells nothing: the client left, the request was at fault (4xx), nothing was sent.
	Ignored Health = iota
	// Healthy: the target answered to the end.
	Healthy
	// Failed: no connection, a time-out, a broken stream, 5xx, 429.
	Failed
)

// HealthOf reads an error of Do or of an answer's body.
func HealthOf(err error) Health {
	switch ClassOf(err) {
	case ClassNone:
		return Healthy
	case ClassCanceled, ClassInvalid, ClassBusy, ClassOpen, ClassStale:
		return Ignored
	}
	return Failed
}

// Ticket is one call's place at the gate.
type Ticket struct {
	gate *Gate
	done func(error)
}

// Enter waits for a place, at most GateConfig.Wait. Errors are *Error of ClassBusy, ClassOpen or
// ClassCanceled; then there is no ticket to give back. Otherwise Done must be called once.
func (g *Gate) Enter(ctx context.Context) (Ticket, error) {
	if err := g.takeSlot(ctx); err != nil {
		return Ticket{}, err
	}
	t := Ticket{gate: g}
	if g.breaker != nil {
		done, err := g.breaker.Allow()
		if err != nil {
			g.freeSlot()
			return Ticket{}, &Error{Class: ClassOpen}
		}
		t.done = done
	}
	return t, nil
}

func (g *Gate) takeSlot(ctx context.Context) error {
	if g.slots == nil {
		return nil
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.Open() {
		return &Error{Class: ClassOpen} // no sense in queueing for it
	}
	if g.wait == 0 {
		return &Error{Class: ClassBusy}
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return &Error{Class: ClassBusy}
	case <-ctx.Done():
		return &Error{Class: ClassCanceled}
	}
}

func (g *Gate) freeSlot() {
	if g.slots != nil {
		<-g.slots
	}
}

// Open reports that the breaker lets no call through at present.
func (g *Gate) Open() bool {
	return g.breaker != nil && g.breaker.State() == gobreaker.StateOpen
}

// Done gives the place back and tells how the call went. A trial call that never comes to Done would keep
// a half-open breaker shut: call it on every path.
func (t Ticket) Done(h Health) {
	if t.done != nil {
		switch h {
		case Healthy:
			t.done(nil)
		case Failed:
			t.done(errFailure)
		default:
			t.done(errIgnored)
		}
	}
	if t.gate != nil {
		t.gate.freeSlot()
	}
}
