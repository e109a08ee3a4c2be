package upstream_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homeport/internal/upstream"
)

func gate(t *testing.T, cfg upstream.GateConfig) *upstream.Gate {
	t.Helper()
	g, err := upstream.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, upstream.GateConfig{Concurrency: 10, Wait: time.Second})
		var inside, most, passed, busy atomic.Int32
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				ticket, err := g.Enter(t.Context())
				if err != nil {
					wantClass(t, err, upstream.ClassBusy)
					busy.Add(1)
					return
				}
				now := inside.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(400 * time.Millisecond)
				inside.Add(-1)
				passed.Add(1)
				ticket.Done(upstream.Healthy)
			})
		}
		wg.Wait()
		// Three rounds begin within the second: at 0, 400 and 800 ms.
		if most.Load() != 10 || passed.Load() != 30 || busy.Load() != 170 {
			t.Errorf("at most %d inside, %d passed, %d busy", most.Load(), passed.Load(), busy.Load())
		}
	})
}

func TestGateWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, upstream.GateConfig{Concurrency: 1, Wait: time.Minute})
		ticket, err := g.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = g.Enter(ctx)
		wantClass(t, err, upstream.ClassCanceled)
		ticket.Done(upstream.Ignored)
		if ticket, err = g.Enter(t.Context()); err != nil {
			t.Fatal("the place was lost:", err)
		}
		ticket.Done(upstream.Ignored)
		g = gate(t, upstream.GateConfig{Concurrency: 1})
		if _, err = g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = g.Enter(t.Context())
		wantClass(t, err, upstream.ClassBusy)
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, upstream.GateConfig{Concurrency: 2, Wait: time.Second, Breaker: &upstream.BreakerConfig{Failures: 3, Cooldown: 30 * time.Second}})
		call := func(h upstream.Health) {
			t.Helper()
			ticket, err := g.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ticket.Done(h)
		}
		// A success between failures, and what tells nothing, keep it closed.
		for _, h := range []upstream.Health{upstream.Failed, upstream.Failed, upstream.Healthy, upstream.Failed, upstream.Ignored, upstream.Failed, upstream.Ignored} {
			call(h)
		}
		call(upstream.Failed)
		closed := func() {
			t.Helper()
			_, err := g.Enter(t.Context())
			wantClass(t, err, upstream.ClassOpen)
		}
		if !g.Open() {
			t.Fatal("three failures in a row did not open it")
		}
		closed()
		time.Sleep(29 * time.Second)
		closed()
		time.Sleep(2 * time.Second)
		trial, err := g.Enter(t.Context()) // one trial at a time
		if err != nil {
			t.Fatal(err)
		}
		closed()
		trial.Done(upstream.Ignored) // the client left: the trial told nothing, and another may be made
		trial, err = g.Enter(t.Context())
		if err != nil {
			t.Fatal("an ignored trial shut the breaker for good:", err)
		}
		trial.Done(upstream.Failed)
		closed()
		time.Sleep(31 * time.Second)
		call(upstream.Healthy)
		call(upstream.Healthy)
		if g.Open() {
			t.Error("still open")
		}
	})
	for _, cfg := range []upstream.GateConfig{
		{Concurrency: -1}, {Wait: -1}, {Breaker: &upstream.BreakerConfig{}}, {Breaker: &upstream.BreakerConfig{Failures: 1}},
	} {
		if _, err := upstream.NewGate(cfg); err == nil {
			t.Errorf("accepted %+v", cfg)
		}
	}
}

func TestHealthOf(t *testing.T) {
	for class, want := range map[upstream.Class]upstream.Health{
		upstream.ClassCanceled: upstream.Ignored, upstream.ClassInvalid: upstream.Ignored, upstream.ClassStale: upstream.Ignored,
		upstream.ClassConnect: upstream.Failed, upstream.ClassBroken: upstream.Failed, upstream.ClassIdle: upstream.Failed,
		upstream.ClassRefused: upstream.Failed, upstream.ClassFirstByte: upstream.Failed,
	} {
		if got := upstream.HealthOf(&upstream.Error{Class: class}); got != want {
			t.Errorf("%s: %d", class, got)
		}
	}
	if upstream.HealthOf(nil) != upstream.Healthy {
		t.Error("nil is not healthy")
	}
}
