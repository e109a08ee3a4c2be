package upstream

import (
	"context"
	"sync/atomic"
	"time"
)

// watch is the time-outs of one call with one timer. The timer is not touched by reads: they note the
// time, and the timer, when it fires, looks how much is left.
type watch struct {
	limits Timeouts
	begin  time.Time
	timer  *time.Timer // nil when no limit is set
	cancel context.CancelCauseFunc

	wait    atomic.Int64 // when the pending read began, ns since begin, at least 1; 0 when none is pending
	came    atomic.Bool  // headers have come
	byteOne atomic.Bool  // a byte of the body has come
	ended   atomic.Bool
}

func (w *watch) start(t Timeouts, cancel context.CancelCauseFunc) {
	w.limits, w.cancel = t, cancel
	first := shortest(t.FirstByte, t.Total)
	if first == 0 && t.Idle == 0 {
		return
	}
	if first == 0 {
		first = t.Idle
	}
	w.begin = time.Now()
	// The timer's goroutine reads w.timer, so it has to be set before the timer can fire.
	w.timer = time.AfterFunc(time.Hour, w.tick)
	w.timer.Reset(first)
}

// headersCame begins the phase of the body.
func (w *watch) headersCame() {
	if w.timer == nil {
		return
	}
	w.came.Store(true)
	if w.limits.Idle > 0 {
		w.timer.Reset(shortest(w.limits.Idle, w.left()))
	}
}

// left returns the time until the total time-out, 0 for none, at least 1.
func (w *watch) left() time.Duration {
	if w.limits.Total == 0 {
		return 0
	}
	return max(w.limits.Total-time.Since(w.begin), 1)
}

func (w *watch) waiting() {
	if w.timer != nil {
		w.wait.Store(int64(time.Since(w.begin)) | 1)
	}
}

func (w *watch) received(n int) {
	if w.timer == nil {
		return
	}
	w.wait.Store(0)
	if n > 0 && !w.byteOne.Load() {
		w.byteOne.Store(true)
	}
}

func (w *watch) stop() {
	if w.timer != nil {
		w.ended.Store(true)
		w.timer.Stop()
	}
}

// tick runs in the timer's goroutine.
func (w *watch) tick() {
	if w.ended.Load() {
		return
	}
	now := time.Since(w.begin)
	if w.limits.Total > 0 && now >= w.limits.Total {
		w.cancel(errTotal)
		return
	}
	next, cause := w.deadline(now)
	if cause != nil && now >= next {
		w.cancel(cause)
		return
	}
	rest := next - now
	if w.limits.Total > 0 && (cause == nil || rest > w.limits.Total-now) {
		rest = w.limits.Total - now
	}
	w.timer.Reset(max(rest, time.Microsecond))
	if w.ended.Load() {
		w.timer.Stop() // stop came between
	}
}

// deadline returns the moment, since begin, at which the present wait is over and with which cause. Where
// nothing is being waited for it returns a moment to look again. A nil cause means no limit applies now.
func (w *watch) deadline(now time.Duration) (time.Duration, error) {
	first, idle := w.limits.FirstByte, w.limits.Idle
	early := first > 0 && !w.byteOne.Load() // the first byte is still awaited
	if !w.came.Load() {
		if first > 0 {
			return first, errFirstByte
		}
		return now + lookAgain(idle), nil
	}
	since := time.Duration(w.wait.Load())
	switch {
	case since == 0 && early && idle == 0:
		return now + time.Second, nil
	case since == 0:
		return now + lookAgain(idle), nil
	case early && (idle == 0 || first > since+idle):
		return first, errFirstByte
	case idle == 0:
		return now + lookAgain(idle), nil
	}
	return since + idle, errIdle
}

// lookAgain returns how long the timer may sleep while nothing is awaited: a wait that begins meanwhile
// must not run out before the timer fires. Without an idle limit only the total is left, which tick adds.
func lookAgain(idle time.Duration) time.Duration {
	if idle == 0 {
		return time.Hour
	}
	return idle
}

// shortest returns the smaller of two limits, where 0 means none.
func shortest(a, b time.Duration) time.Duration {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}
