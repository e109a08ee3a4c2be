package limit

import (
	"net/http"
	"strconv"
	"time"
)

// Window is one limit as the client is told of it. Limit 0: there is none.
type Window struct {
	Limit     int64
	Remaining int64         // after this request
	Reset     time.Duration // until Remaining is Limit again
}

// Decision is what Admit says.
type Decision struct {
	// Denied is the limit that refuses, of several the one with the longest wait;
	// None if the request may go on.
	Denied Kind
	// Wait is when to try again, with Denied.
	Wait time.Duration
	// Requests and Tokens are for the headers; money is not told to clients.
	Requests, Tokens Window
	// Reservation is set exactly if Denied is None.
	Reservation *Reservation
}

func (d *Decision) deny(k Kind, wait time.Duration) {
	if d.Denied == None || wait > d.Wait {
		d.Denied, d.Wait = k, wait
	}
}

// SetHeader sets the x-ratelimit headers of a response, and on a refusal
// Retry-After; x-should-retry says no where waiting a minute will not help, so
// that clients do not repeat what stays refused until tomorrow.
func (d *Decision) SetHeader(h http.Header) {
	for _, w := range [...]struct {
		name string
		Window
	}{{"requests", d.Requests}, {"tokens", d.Tokens}} {
		if w.Limit == 0 {
			continue
		}
		h.Set("X-Ratelimit-Limit-"+w.name, strconv.FormatInt(w.Limit, 10))
		h.Set("X-Ratelimit-Remaining-"+w.name, strconv.FormatInt(w.Remaining, 10))
		h.Set("X-Ratelimit-Reset-"+w.name, FormatReset(w.Reset))
	}
	if d.Denied != None {
		h.Set("Retry-After", strconv.FormatInt(RetryAfter(d.Wait), 10))
		if d.Denied != Requests {
			h.Set("X-Should-Retry", "false")
		}
	}
}

// FormatReset writes a duration as OpenAI does: 0s, 120ms, 1s, 6m0s; rounded up,
// to milliseconds below a second and to seconds above.
func FormatReset(d time.Duration) string {
	unit := time.Second
	if d < time.Second {
		unit = time.Millisecond
	}
	return roundUp(d, unit).String()
}

// RetryAfter is d in whole seconds, rounded up, at least 1.
func RetryAfter(d time.Duration) int64 {
	return max(1, int64(roundUp(d, time.Second)/time.Second))
}

func roundUp(d, unit time.Duration) time.Duration {
	if rest := d % unit; rest > 0 {
		d += unit - rest
	}
	return d
}
