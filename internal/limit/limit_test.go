package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"homeport/internal/limit"
)

// clock is a settable now.
type clock struct{ t atomic.Pointer[time.Time] }

func newClock(t time.Time) *clock {
	c := new(clock)
	c.set(t)
	return c
}
func (c *clock) now() time.Time      { return *c.t.Load() }
func (c *clock) set(t time.Time)     { c.t.Store(&t) }
func (c *clock) add(d time.Duration) { c.set(c.now().Add(d)) }

// start is 2026-11-22 10:00 in Beijing.
var start = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

func admit(t testing.TB, l *limit.Limiter, est limit.Amount) limit.Decision {
	t.Helper()
	d, err := l.Admit(t.Context(), "app", est)
	if err != nil {
		t.Fatal(err)
	}
	if (d.Denied == limit.None) != (d.Reservation != nil) {
		t.Fatalf("denied %v with reservation %v", d.Denied, d.Reservation)
	}
	return d
}

func one(l limit.Limits) map[string]limit.Limits { return map[string]limit.Limits{"app": l} }

func TestParallelCallsPassExactlyTheLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		limits limit.Limits
		est    limit.Amount
	}{
		"requests": {limit.Limits{RequestsPerMinute: 10}, limit.Amount{}},
		"tokens":   {limit.Limits{TokensPerDay: 1009}, limit.Amount{Tokens: 100}},
		"money":    {limit.Limits{MicroCNYPerMonth: 10_000_000}, limit.Amount{MicroCNY: 1_000_000}},
	} {
		t.Run(name, func(t *testing.T) {
			l := limit.New(one(tc.limits), newClock(start).now, newStore())
			var passed atomic.Int64
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for range 200 {
				wg.Go(func() {
					<-begin
					d, err := l.Admit(context.Background(), "app", tc.est)
					if err != nil {
						t.Error(err)
					} else if d.Denied == limit.None {
						passed.Add(1)
					}
				})
			}
			close(begin)
			wg.Wait()
			if passed.Load() != 10 {
				t.Fatalf("%d of 200 passed, want exactly 10", passed.Load())
			}
		})
	}
}

func TestRequestsComeBackOneByOne(t *testing.T) {
	c := newClock(start)
	l := limit.New(one(limit.Limits{RequestsPerMinute: 10}), c.now, nil)
	for i := range 10 {
		d := admit(t, l, limit.Amount{})
		if d.Denied != limit.None || d.Requests.Remaining != int64(9-i) || d.Requests.Limit != 10 {
			t.Fatalf("call %d: %+v", i, d)
		}
	}
	d := admit(t, l, limit.Amount{})
	if d.Denied != limit.Requests || d.Wait != 6*time.Second || d.Requests.Remaining != 0 || d.Requests.Reset != time.Minute {
		t.Fatalf("eleventh: %+v", d)
	}
	c.add(d.Wait - 1)
	if admit(t, l, limit.Amount{}).Denied != limit.Requests {
		t.Fatal("passed before Wait was over")
	}
	c.add(1)
	if admit(t, l, limit.Amount{}).Denied != limit.None {
		t.Fatal("refused after Wait")
	}
	c.add(time.Hour)
	passed := 0
	for range 50 {
		if admit(t, l, limit.Amount{}).Denied == limit.None {
			passed++
		}
	}
	if passed != 10 {
		t.Fatalf("burst of %d after an idle hour, want 10", passed)
	}
}

func TestEveryRateIsExactAtAFrozenClock(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 7, 59, 60, 61, 600, 997, 6000} {
		c := newClock(start)
		l := limit.New(one(limit.Limits{RequestsPerMinute: n}), c.now, nil)
		for range 3 {
			var passed int64
			for range n + 5 {
				if admit(t, l, limit.Amount{}).Denied == limit.None {
					passed++
				}
			}
			if passed != n {
				t.Fatalf("limit %d passes %d", n, passed)
			}
			c.add(time.Minute)
		}
	}
}

func TestClockGoingBackOpensNoRoomAndClosesNoneForLong(t *testing.T) {
	c := newClock(start)
	l := limit.New(one(limit.Limits{RequestsPerMinute: 2, TokensPerDay: 100}), c.now, nil)
	admit(t, l, limit.Amount{Tokens: 50})
	admit(t, l, limit.Amount{Tokens: 0})
	c.add(-72 * time.Hour)
	d := admit(t, l, limit.Amount{})
	if d.Denied != limit.Requests || d.Wait > time.Minute {
		t.Fatalf("%+v", d)
	}
	c.add(time.Minute)
	if admit(t, l, limit.Amount{}).Denied != limit.None {
		t.Fatal("refused for more than a minute")
	}
	c.set(start.Add(time.Hour)) // back on the first day: its tokens are still used
	if d := admit(t, l, limit.Amount{Tokens: 51}); d.Denied != limit.Tokens {
		t.Fatalf("the day's use was forgotten: %+v", d)
	}
}

func TestTokensAreReservedThenSettled(t *testing.T) {
	c := newClock(start)
	l := limit.New(one(limit.Limits{TokensPerDay: 100}), c.now, nil)
	a := admit(t, l, limit.Amount{Tokens: 60})
	if a.Tokens.Remaining != 40 || a.Tokens.Limit != 100 || a.Tokens.Reset != 14*time.Hour {
		t.Fatalf("%+v", a.Tokens)
	}
	d := admit(t, l, limit.Amount{Tokens: 41})
	if d.Denied != limit.Tokens || d.Wait != 14*time.Hour {
		t.Fatalf("%+v", d)
	}
	if !a.Reservation.Settle(limit.Amount{Tokens: 10}) || a.Reservation.Settle(limit.Amount{}) || a.Reservation.SettleEstimate() {
		t.Fatal("a reservation settles exactly once")
	}
	b := admit(t, l, limit.Amount{Tokens: 90})
	if b.Denied != limit.None {
		t.Fatalf("settled tokens did not come back: %+v", b)
	}
	if !b.Reservation.Settle(limit.Amount{Tokens: 500}) { // more than was thought: counted all the same
		t.Fatal("not settled")
	}
	if used, reserved := l.Used("app"); used.Tokens != 510 || reserved.Tokens != 0 {
		t.Fatal(used, reserved)
	}
	if d := admit(t, l, limit.Amount{}); d.Denied != limit.Tokens || d.Tokens.Remaining != 0 {
		t.Fatalf("%+v", d)
	}
	c.set(time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC)) // 23:59:59 in Beijing
	if d := admit(t, l, limit.Amount{Tokens: 1}); d.Denied != limit.Tokens || d.Wait != time.Second {
		t.Fatalf("%+v", d)
	}
	c.add(time.Second)
	if d := admit(t, l, limit.Amount{Tokens: 100}); d.Denied != limit.None {
		t.Fatalf("a new Beijing day has its own tokens: %+v", d)
	}
}

func TestSettlingAfterMidnightCountsForTheDayOfTheCall(t *testing.T) {
	c := newClock(start)
	l := limit.New(one(limit.Limits{TokensPerDay: 100}), c.now, nil)
	a := admit(t, l, limit.Amount{Tokens: 70})
	c.add(24 * time.Hour)
	b := admit(t, l, limit.Amount{Tokens: 100})
	if b.Denied != limit.None {
		t.Fatal("yesterday's call takes today's tokens")
	}
	a.Reservation.Settle(limit.Amount{Tokens: 80})
	if used, reserved := l.Used("app"); used.Tokens != 0 || reserved.Tokens != 100 {
		t.Fatal(used, reserved)
	}
	c.add(-24 * time.Hour)
	if used, reserved := l.Used("app"); used.Tokens != 80 || reserved.Tokens != 0 {
		t.Fatal(used, reserved)
	}
}

func TestMonthEndsInBeijing(t *testing.T) {
	c := newClock(time.Date(2026, 11, 30, 15, 0, 0, 0, time.UTC)) // 23:00 on the last day
	l := limit.New(one(limit.Limits{MicroCNYPerMonth: 5}), c.now, nil)
	admit(t, l, limit.Amount{MicroCNY: 5}).Reservation.SettleEstimate()
	if d := admit(t, l, limit.Amount{MicroCNY: 1}); d.Denied != limit.Money || d.Wait != time.Hour {
		t.Fatalf("%+v", d)
	}
	c.add(time.Hour)
	if d := admit(t, l, limit.Amount{MicroCNY: 5}); d.Denied != limit.None {
		t.Fatalf("%+v", d)
	}
}

func TestRefusalUsesNothingUp(t *testing.T) {
	l := limit.New(one(limit.Limits{RequestsPerMinute: 2, TokensPerDay: 100, MicroCNYPerMonth: 100}), newClock(start).now, nil)
	for range 20 {
		if d := admit(t, l, limit.Amount{Tokens: 1, MicroCNY: 101}); d.Denied != limit.Money || d.Requests.Remaining != 2 || d.Tokens.Remaining != 100 {
			t.Fatalf("%+v", d)
		}
	}
	if used, reserved := l.Used("app"); used != (limit.Amount{}) || reserved != (limit.Amount{}) {
		t.Fatal(used, reserved)
	}
}

func TestAppsWithoutLimitsPass(t *testing.T) {
	l := limit.New(one(limit.Limits{}), newClock(start).now, nil)
	for _, app := range []string{"app", "never heard of"} {
		d, err := l.Admit(t.Context(), app, limit.Amount{Tokens: 1 << 60})
		if err != nil || d.Denied != limit.None || !d.Reservation.SettleEstimate() {
			t.Fatal(d, err)
		}
		h := http.Header{}
		if d.SetHeader(h); len(h) != 0 {
			t.Fatal(h)
		}
	}
}

func TestReloadKeepsWhatWasUsed(t *testing.T) {
	l := limit.New(one(limit.Limits{RequestsPerMinute: 3, TokensPerDay: 100}), newClock(start).now, nil)
	open := admit(t, l, limit.Amount{Tokens: 60})
	l.SetLimits(nil) // gone…
	if d := admit(t, l, limit.Amount{Tokens: 500}); d.Denied != limit.None {
		t.Fatal("limits of an app that is gone")
	}
	l.SetLimits(one(limit.Limits{RequestsPerMinute: 3, TokensPerDay: 50})) // …and back, with less
	if d := admit(t, l, limit.Amount{Tokens: 1}); d.Denied != limit.Tokens {
		t.Fatalf("%+v", d)
	}
	open.Reservation.Settle(limit.Amount{Tokens: 20})
	if d := admit(t, l, limit.Amount{Tokens: 30}); d.Denied != limit.None || d.Requests.Remaining != 1 {
		t.Fatalf("%+v", d)
	}
}

func TestHeaders(t *testing.T) {
	c := newClock(start)
	l := limit.New(one(limit.Limits{RequestsPerMinute: 10, TokensPerDay: 1000}), c.now, nil)
	d := admit(t, l, limit.Amount{Tokens: 300})
	h := http.Header{}
	d.SetHeader(h)
	for name, want := range map[string]string{
		"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6s",
		"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "700", "x-ratelimit-reset-tokens": "14h0m0s",
		"retry-after": "", "x-should-retry": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for range 9 {
		admit(t, l, limit.Amount{})
	}
	c.add(500 * time.Millisecond)
	d, h = admit(t, l, limit.Amount{}), http.Header{}
	d.SetHeader(h)
	if h.Get("Retry-After") != "6" || h.Get("x-should-retry") != "" {
		t.Error(h)
	}
	c.add(time.Minute)
	d, h = admit(t, l, limit.Amount{Tokens: 701}), http.Header{}
	d.SetHeader(h)
	if h.Get("Retry-After") != "50340" || h.Get("x-should-retry") != "false" {
		t.Error(h)
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Microsecond: "1ms", 120 * time.Millisecond: "120ms", time.Second: "1s", 6 * time.Minute: "6m0s", 1500 * time.Millisecond: "2s"} {
		if got := limit.FormatReset(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// store is a Persist in memory that can fail.
type store struct {
	mu                sync.Mutex
	reserved, settled map[string]int64
	writes            int
	err               error
}

func newStore() *store { return &store{reserved: map[string]int64{}, settled: map[string]int64{}} }

func name(app string, kind limit.Kind, period string) string {
	return fmt.Sprintf("%s %s %s", app, kind, period)
}

func (s *store) Load(_ context.Context, app string, kind limit.Kind, period string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := name(app, kind, period)
	return s.reserved[n] + s.settled[n], s.err
}

func (s *store) Reserve(_ context.Context, app string, kind limit.Kind, period string, amount int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.writes++
		s.reserved[name(app, kind, period)] += amount
	}
	return s.err
}

func (s *store) Settle(_ context.Context, app string, kind limit.Kind, period string, reserved, actual int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	n := name(app, kind, period)
	if reserved < 0 || actual < 0 || reserved > s.reserved[n] {
		return fmt.Errorf("settle %d of %d reserved", reserved, s.reserved[n])
	}
	s.reserved[n] -= reserved
	s.settled[n] += actual
	return nil
}

func TestStoreThatFailsRefuses(t *testing.T) {
	for _, limits := range []limit.Limits{{TokensPerDay: 6400}, {MicroCNYPerMonth: 6400}} {
		s := newStore()
		l := limit.New(one(limits), newClock(start).now, s)
		s.err = errors.New("no store")
		if _, err := l.Admit(t.Context(), "app", limit.Amount{Tokens: 1, MicroCNY: 1}); !errors.Is(err, s.err) {
			t.Fatal("admitted without knowing what was used")
		}
		s.err = nil
		admit(t, l, limit.Amount{Tokens: 1, MicroCNY: 1})
		s.err = errors.New("full")
		if _, err := l.Admit(t.Context(), "app", limit.Amount{Tokens: 200, MicroCNY: 200}); !errors.Is(err, s.err) {
			t.Fatal("admitted without a reservation in the store")
		}
		if used, reserved := l.Used("app"); used != (limit.Amount{}) || reserved.Tokens+reserved.MicroCNY > 2 {
			t.Fatal("a call that was not admitted is counted", used, reserved)
		}
		s.err = nil
		admit(t, l, limit.Amount{Tokens: 200, MicroCNY: 200})
	}
}

// TestSumsHold plays random calls with random crashes: what the parts used is
// what the whole shows, and the store never holds less than what was reserved.
func TestSumsHold(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c, s := newClock(start), newStore()
		const most = 100_000
		limits := one(limit.Limits{TokensPerDay: most, MicroCNYPerMonth: most})
		l := limit.New(limits, c.now, s)
		type call struct {
			d   limit.Decision
			est int64
		}
		var open []call
		var used, reserved, lost int64 // lost: crashed away, may count as used
		var peak int64                 // of used + reserved since the last Flush
		admitted := 0
		for range 2000 {
			switch k := rng.IntN(100); {
			case k < 50:
				est := rng.Int64N(500)
				d := admit(t, l, limit.Amount{Tokens: est, MicroCNY: est})
				if d.Denied == limit.None {
					admitted++
					open = append(open, call{d, est})
					reserved += est
					peak = max(peak, used+reserved)
					if used+reserved > most {
						t.Fatalf("seed %d: %d admitted over a limit of %d", seed, used+reserved, most)
					}
				} else if used+reserved+lost+est <= most && used+reserved+lost < most {
					t.Fatalf("seed %d: refused with room left", seed)
				}
			case k < 96 && len(open) > 0:
				i := rng.IntN(len(open))
				actual := rng.Int64N(open[i].est + 1)
				if !open[i].d.Reservation.Settle(limit.Amount{Tokens: actual, MicroCNY: actual}) {
					t.Fatal("not settled")
				}
				used, reserved = used+actual, reserved-open[i].est
				open = append(open[:i], open[i+1:]...)
			case k < 99:
				if err := l.Flush(t.Context()); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				peak = used + reserved
			default: // crash
				l, open = limit.New(limits, c.now, s), nil
				total, _ := s.Load(t.Context(), "app", limit.Tokens, "2026-11-22")
				if total < used+reserved {
					t.Fatalf("seed %d: store holds %d of %d", seed, total, used+reserved)
				}
				if ahead := total - lost - peak; ahead > most/64 {
					t.Fatalf("seed %d: crash counts %d too many", seed, ahead)
				}
				lost, reserved, peak = total-used, 0, used
				continue
			}
			gotUsed, gotReserved := l.Used("app")
			if admitted > 0 && gotReserved.Tokens != reserved {
				t.Fatalf("seed %d: reserved %d, want %d", seed, gotReserved.Tokens, reserved)
			}
			if gotUsed != (limit.Amount{}) && gotUsed.Tokens != used+lost {
				t.Fatalf("seed %d: used %d, want %d", seed, gotUsed.Tokens, used+lost)
			}
		}
		for _, o := range open {
			o.d.Reservation.SettleEstimate()
			used += o.est
		}
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{name("app", limit.Tokens, "2026-11-22"), name("app", limit.Money, "2026-11")} {
			if total := s.settled[n] + s.reserved[n]; total != used+lost && total != 0 {
				t.Fatalf("seed %d: %s is %d in the end, want %d", seed, n, total, used+lost)
			}
		}
	}
}

func TestFewCallsPayForAWrite(t *testing.T) {
	s := newStore()
	l := limit.New(one(limit.Limits{MicroCNYPerMonth: 1_000_000}), newClock(start).now, s)
	for range 10_000 {
		admit(t, l, limit.Amount{MicroCNY: 50}).Reservation.Settle(limit.Amount{MicroCNY: 50})
	}
	if s.writes > 64 {
		t.Fatalf("%d writes for 10,000 calls", s.writes)
	}
}

func BenchmarkAdmitSettle(b *testing.B) {
	l := limit.New(one(limit.Limits{RequestsPerMinute: 1 << 40, TokensPerDay: 1 << 60, MicroCNYPerMonth: 1 << 60}), time.Now, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d, err := l.Admit(b.Context(), "app", limit.Amount{Tokens: 1000, MicroCNY: 1000})
			if err != nil {
				b.Fatal(err)
			}
			if d.Reservation != nil {
				d.Reservation.Settle(limit.Amount{Tokens: 500, MicroCNY: 500})
			}
		}
	})
}
