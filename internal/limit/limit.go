package limit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Kind is what a limit counts.
type Kind uint8

// Kinds; None in a decision that passes.
const (
	None     Kind = iota
	Requests      // per minute
	Tokens        // per Beijing day
	Money         // micro-CNY per Beijing month
)

// String gives the configuration's name of the limit.
func (k Kind) String() string {
	switch k {
	case Requests:
		return "requests_per_minute"
	case Tokens:
		return "tokens_per_day"
	case Money:
		return "cny_per_month"
	}
	return "none"
}

// Limits of one app; 0 is no limit.
type Limits struct {
	RequestsPerMinute int64
	TokensPerDay      int64
	MicroCNYPerMonth  int64 // millionths of a yuan
}

// Amount is what a request costs, as estimated or as used. Both are >= 0.
type Amount struct {
	Tokens   int64
	MicroCNY int64
}

// Persist keeps the figures of days and months over restarts. kind is Tokens or
// Money, period "2026-11-22" or "2026-11". What was reserved there and not settled
// when the process ended counts as used at the next start.
type Persist interface {
	// Load gives what counts against the limit: settled and reserved.
	Load(ctx context.Context, app string, kind Kind, period string) (int64, error)
	// Reserve sets amount aside; it is durable when it returns.
	Reserve(ctx context.Context, app string, kind Kind, period string, amount int64) error
	// Settle gives reserved back and counts actual as used.
	Settle(ctx context.Context, app string, kind Kind, period string, reserved, actual int64) error
}

// Limiter holds the state of all apps. Methods may be called from any goroutine.
type Limiter struct {
	now     func() time.Time
	persist Persist // nil: figures live as long as the process

	mu   sync.RWMutex
	apps map[string]*app
}

// New makes a limiter for the apps in limits; others are not limited. persist
// may be nil.
func New(limits map[string]Limits, now func() time.Time, persist Persist) *Limiter {
	l := &Limiter{now: now, persist: persist}
	l.SetLimits(limits)
	return l
}

// SetLimits replaces the limits of all apps, as after a reload, and keeps what
// has been used.
func (l *Limiter) SetLimits(limits map[string]Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	apps := make(map[string]*app, len(limits))
	for id, lim := range limits {
		a := l.apps[id]
		if a == nil {
			a = &app{id: id}
		}
		a.mu.Lock()
		a.limits = lim
		a.mu.Unlock()
		apps[id] = a
	}
	// Apps that are gone stay, without limits: one that comes back has its past.
	for id, a := range l.apps {
		if apps[id] == nil {
			a.mu.Lock()
			a.limits = Limits{}
			a.mu.Unlock()
			apps[id] = a
		}
	}
	l.apps = apps
}

// Admit asks whether a request of app that may cost up to estimate may go on. If
// so, decision.Reservation must be settled. An error means that a figure could
// not be read or written: refuse the request (503), nothing was used.
func (l *Limiter) Admit(ctx context.Context, appID string, estimate Amount) (Decision, error) {
	l.mu.RLock()
	a := l.apps[appID]
	l.mu.RUnlock()
	if a == nil {
		return Decision{Reservation: &Reservation{estimate: estimate}}, nil
	}
	if estimate.Tokens < 0 || estimate.MicroCNY < 0 {
		return Decision{}, fmt.Errorf("admit: negative estimate")
	}
	return a.admit(ctx, l.now(), l.persist, estimate)
}

// Flush settles in the store what was used, and gives back what was drawn ahead
// of need; calls in flight stay reserved there. Call it at a clean end, and now
// and then (about every 10 s) for figures that others read.
func (l *Limiter) Flush(ctx context.Context) error {
	if l.persist == nil {
		return nil
	}
	l.mu.RLock()
	apps := make([]*app, 0, len(l.apps))
	for _, a := range l.apps {
		apps = append(apps, a)
	}
	l.mu.RUnlock()
	for _, a := range apps {
		if err := a.flush(ctx, l.persist); err != nil {
			return err
		}
	}
	return nil
}

// Used gives the settled and the reserved amount of app in the current day
// (tokens) and month (money), as far as this process has seen them.
func (l *Limiter) Used(appID string) (used, reserved Amount) {
	l.mu.RLock()
	a := l.apps[appID]
	l.mu.RUnlock()
	if a == nil {
		return Amount{}, Amount{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := l.now()
	if c := a.tokens.find(dayOf(now)); c != nil {
		used.Tokens, reserved.Tokens = add(c.base, c.used), c.reserved
	}
	if c := a.money.find(monthOf(now)); c != nil {
		used.MicroCNY, reserved.MicroCNY = add(c.base, c.used), c.reserved
	}
	return used, reserved
}

// app is the state of one app; all of it under mu, which is held during a write
// ahead: those who come meanwhile wait for the figure they depend on.
type app struct {
	id string

	mu     sync.Mutex
	limits Limits
	rate   bucket
	tokens counters
	money  counters
}

func (a *app) admit(ctx context.Context, now time.Time, p Persist, est Amount) (Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var d Decision
	var day, month *counter
	var err error

	// First ask everything, then take everything: a refusal uses nothing up.
	if n := a.limits.RequestsPerMinute; n > 0 {
		wait := a.rate.wait(now, n)
		if wait > 0 {
			d.deny(Requests, wait)
		}
	}
	if n := a.limits.TokensPerDay; n > 0 {
		if day, err = a.tokens.at(ctx, p, a.id, Tokens, dayOf(now)); err != nil {
			return Decision{}, err
		}
		if !day.room(est.Tokens, n) {
			d.deny(Tokens, untilDayEnds(now))
		}
	}
	if n := a.limits.MicroCNYPerMonth; n > 0 {
		if month, err = a.money.at(ctx, p, a.id, Money, monthOf(now)); err != nil {
			return Decision{}, err
		}
		if !month.room(est.MicroCNY, n) {
			d.deny(Money, untilMonthEnds(now))
		}
	}
	if d.Denied == None {
		// Written before the call it is for: a crash may forget a call, not its cost.
		if day != nil {
			if err := day.draw(ctx, p, a.id, Tokens, est.Tokens, a.limits.TokensPerDay); err != nil {
				return Decision{}, err
			}
		}
		if month != nil {
			if err := month.draw(ctx, p, a.id, Money, est.MicroCNY, a.limits.MicroCNYPerMonth); err != nil {
				return Decision{}, err
			}
		}
		if a.limits.RequestsPerMinute > 0 {
			a.rate.take(now, a.limits.RequestsPerMinute)
		}
		r := &Reservation{app: a, estimate: est}
		if day != nil {
			day.hold(est.Tokens)
			r.day = day
		}
		if month != nil {
			month.hold(est.MicroCNY)
			r.month = month
		}
		d.Reservation = r
	}
	if n := a.limits.RequestsPerMinute; n > 0 {
		d.Requests = a.rate.window(now, n)
	}
	if day != nil {
		d.Tokens = Window{Limit: a.limits.TokensPerDay, Remaining: day.left(a.limits.TokensPerDay), Reset: untilDayEnds(now)}
	}
	return d, nil
}

func (a *app) flush(ctx context.Context, p Persist) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.tokens.flush(ctx, p, a.id, Tokens); err != nil {
		return err
	}
	return a.money.flush(ctx, p, a.id, Money)
}

// Reservation is what an admitted request may cost. It is settled once.
type Reservation struct {
	app      *app // nil: nothing is counted
	estimate Amount
	day      *counter // nil: no such limit when admitted
	month    *counter
	settled  bool // under app.mu
}

// Estimate is what was reserved.
func (r *Reservation) Estimate() Amount { return r.estimate }

// Settle replaces the reservation by what was used, in the day and month of the
// admission: the provider's figure; for a stream that was cut, the input and what
// was relayed; nothing only if no byte left. It reports whether this call did it:
// false for a second one, which changes nothing. Negative amounts count as 0.
func (r *Reservation) Settle(actual Amount) bool {
	if r.app == nil {
		return true
	}
	r.app.mu.Lock()
	defer r.app.mu.Unlock()
	if r.settled {
		return false
	}
	r.settled = true
	if r.day != nil {
		r.day.settle(r.estimate.Tokens, actual.Tokens)
	}
	if r.month != nil {
		r.month.settle(r.estimate.MicroCNY, actual.MicroCNY)
	}
	return true
}

// SettleEstimate is Settle with the estimate, for a usage nobody told.
func (r *Reservation) SettleEstimate() bool { return r.Settle(r.estimate) }
