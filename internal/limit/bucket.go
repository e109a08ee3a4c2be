package limit

import "time"

// bucket is a token bucket of n per minute and a burst of n, kept as the time at
// which it will be full again (the "theoretical arrival time" of GCRA): integers
// only, so that exactly n pass.
type bucket struct {
	full time.Time
}

// step is the time one token takes to come back.
func step(n int64) time.Duration { return max(1, time.Minute/time.Duration(n)) }

// debt is how long until the bucket is full: at most from empty, which a clock
// that went back would else exceed.
func (b *bucket) debt(now time.Time, n int64) time.Duration {
	empty := step(n) * time.Duration(n)
	if b.full.Sub(now) > empty {
		b.full = now.Add(empty)
	}
	return max(0, b.full.Sub(now))
}

// wait is how long until a token is there; 0 if one is.
func (b *bucket) wait(now time.Time, n int64) time.Duration {
	return max(0, b.debt(now, n)-step(n)*time.Duration(n-1))
}

// take takes a token that wait said is there.
func (b *bucket) take(now time.Time, n int64) {
	b.full = now.Add(b.debt(now, n) + step(n))
}

func (b *bucket) window(now time.Time, n int64) Window {
	debt := b.debt(now, n)
	used := int64((debt + step(n) - 1) / step(n))
	return Window{Limit: n, Remaining: max(0, n-used), Reset: debt}
}
