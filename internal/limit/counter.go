package limit

import (
	"context"
	"fmt"
	"math"
	"time"
)

// beijing is China Standard Time; it has had no summer time since 1991.
var beijing = time.FixedZone("CST", 8*3600)

// period is a Beijing day or month as one number, 20261122 or 202611; text for
// the store is made only when it is asked.
type period int64

func dayOf(t time.Time) period {
	y, m, d := t.In(beijing).Date()
	return period(y*10000 + int(m)*100 + d)
}

func monthOf(t time.Time) period {
	y, m, _ := t.In(beijing).Date()
	return period(y*100 + int(m))
}

// text gives "2026-11-22" or "2026-11".
func (p period) text(kind Kind) string {
	if kind == Tokens {
		return fmt.Sprintf("%04d-%02d-%02d", p/10000, p/100%100, p%100)
	}
	return fmt.Sprintf("%04d-%02d", p/100, p%100)
}

func untilDayEnds(t time.Time) time.Duration {
	y, m, d := t.In(beijing).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, beijing).Sub(t)
}

func untilMonthEnds(t time.Time) time.Duration {
	y, m, _ := t.In(beijing).Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, beijing).Sub(t)
}

// counter is one day's or month's figure. With a Persist, used + reserved <= drawn
// whenever Admit has returned.
type counter struct {
	period   period
	base     int64 // settled in the store: before this process, and by it
	used     int64 // settled here, not yet in the store
	reserved int64 // of calls in flight
	open     int   // calls in flight
	drawn    int64 // reserved in the store for used and reserved
}

// taken is what counts against the limit.
func (c *counter) taken() int64 { return add(c.base, add(c.used, c.reserved)) }

// room reports whether n more fit under limit. Nothing fits into a full counter,
// also where n is 0: the limit has been reached.
func (c *counter) room(n, limit int64) bool {
	taken := c.taken()
	return taken < limit && n <= limit-taken
}

func (c *counter) left(limit int64) int64 { return max(0, limit-c.taken()) }

func (c *counter) hold(n int64) {
	c.reserved = add(c.reserved, n)
	c.open++
}

func (c *counter) settle(estimate, actual int64) {
	c.reserved -= estimate
	c.used = add(c.used, max(0, actual))
	c.open--
}

// draw reserves in the store what n more needs, and a block on top of it, unless
// enough is drawn already.
func (c *counter) draw(ctx context.Context, p Persist, app string, kind Kind, n, limit int64) error {
	need := add(add(c.used, c.reserved), n)
	if p == nil || need <= c.drawn {
		return nil
	}
	ahead := min(limit/64, max(0, limit-add(c.base, need)))
	more := add(need-c.drawn, ahead)
	if err := p.Reserve(ctx, app, kind, c.period.text(kind), more); err != nil {
		return fmt.Errorf("reserve %s: %w", kind, err)
	}
	c.drawn = add(c.drawn, more)
	return nil
}

// counters are the figures of the periods last asked for. More than the current
// one: reservations outlive midnight, and a clock may step back over it.
type counters []*counter

// keep is how many periods are held beyond those with open reservations.
const keep = 4

func (cs counters) find(p period) *counter {
	for _, c := range cs {
		if c.period == p {
			return c
		}
	}
	return nil
}

// at gives the counter of when, loading it the first time.
func (cs *counters) at(ctx context.Context, p Persist, app string, kind Kind, when period) (*counter, error) {
	if c := cs.find(when); c != nil {
		return c, nil
	}
	c := &counter{period: when}
	if p != nil {
		value, err := p.Load(ctx, app, kind, when.text(kind))
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", kind, err)
		}
		c.base = max(0, value)
	}
	*cs = append(*cs, c)
	// The oldest go, once nothing is open on them and all is in the store.
	for i := 0; len(*cs) > keep && i < len(*cs)-1; {
		if c := (*cs)[i]; c.open > 0 || p != nil && (c.used > 0 || c.drawn > 0) {
			i++
			continue
		}
		*cs = append((*cs)[:i], (*cs)[i+1:]...)
	}
	return c, nil
}

func (cs counters) flush(ctx context.Context, p Persist, app string, kind Kind) error {
	for _, c := range cs {
		held := min(c.drawn, c.reserved) // stays set aside for calls in flight
		if c.used == 0 && c.drawn == held {
			continue
		}
		if err := p.Settle(ctx, app, kind, c.period.text(kind), c.drawn-held, c.used); err != nil {
			return fmt.Errorf("settle %s: %w", kind, err)
		}
		c.base = add(c.base, c.used)
		c.used, c.drawn = 0, held
	}
	return nil
}

// add is a + b for non-negative numbers, stopping at the largest.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
