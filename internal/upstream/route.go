package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Step is one permitted target of a request.
type Step struct {
	Target  int // the caller's index
	Tier    int // lower comes first
	Weight  int // share within the tier; below 1 counts as 1
	Retries int // further tries on this same target
}

// Order sorts steps by tier and, within a tier, draws by weight without putting back: the first is the
// weighted choice, the rest are its fallbacks. Equal tiers without weights are drawn evenly, so a route that is a
// plain list has a tier for each target. random gives values in [0,1); nil means math/rand/v2 (a weight
// is no secret). steps is changed in place and returned.
func Order(steps []Step, random func() float64) []Step {
	if random == nil {
		random = rand.Float64
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.Tier, b.Tier) })
	for i := range steps {
		end, sum := i, 0
		for end < len(steps) && steps[end].Tier == steps[i].Tier {
			sum += max(steps[end].Weight, 1)
			end++
		}
		if end-i < 2 {
			continue
		}
		at := int(random() * float64(sum))
		for j := i; j < end; j++ {
			at -= max(steps[j].Weight, 1)
			if at < 0 || j == end-1 {
				steps[i], steps[j] = steps[j], steps[i]
				break
			}
		}
	}
	return steps
}

// Kind is what an outcome means for further tries.
type Kind uint8

const (
	// OK ends the loop: the answer is being, or was, given to the client.
	OK Kind = iota
	// Retryable: the same target may be tried again after a wait, then the next.
	Retryable
	// FallbackOnly: this target will not do better; the next may.
	FallbackOnly
	// Fatal ends the loop: the request is at fault, or the client has gone.
	Fatal
)

// Outcome is the caller's judgement of one try.
type Outcome struct {
	Kind   Kind
	After  time.Duration // what the upstream asked to wait (RetryAfter); 0 when it did not
	Reason string        // code for the record of the next try, for example "upstream_connect" or "status_503"
	// Committed says that a byte has gone to the client. It ends the loop whatever Kind says: a stream is
	// never begun twice.
	Committed bool
	// Stale marks a kept-alive connection that had been closed: tried again at once on the same target,
	// once per request, without counting against Retries or the budget.
	Stale bool
}

// OutcomeOf reads an error of Gate.Enter or Client.Do. Answers with an error status are the caller's to
// judge: their meaning is the provider's.
func OutcomeOf(err error) Outcome {
	o := Outcome{Reason: ClassOf(err).String()}
	switch ClassOf(err) {
	case ClassNone:
		o.Kind = OK
	case ClassConnect, ClassBroken:
		o.Kind = Retryable
	case ClassStale:
		o.Kind, o.Stale = Retryable, true
	case ClassCanceled, ClassInvalid, ClassTotal:
		o.Kind = Fatal
	default:
		o.Kind = FallbackOnly
	}
	return o
}

// Plan is the tries one request may make.
type Plan struct {
	Steps  []Step        // in order, permitted ones only; see Order
	Budget time.Duration // all waits of the request together; 0 means no wait, so no retry after a wait
	Base   time.Duration // first wait, doubled each time; 0 means DefaultBase
	Cap    time.Duration // longest wait; 0 means DefaultCap
	// MaxTries bounds the tries of the request over all targets; 0 means no bound beyond the steps.
	MaxTries int
	Random   func() float64 // jitter, [0,1); nil means math/rand/v2
}

// Backoff defaults.
const (
	DefaultBase   = 200 * time.Millisecond
	DefaultCap    = 5 * time.Second
	DefaultBudget = 10 * time.Second
)

// Result is how the loop ended.
type Result struct {
	Outcome Outcome // of the last try
	Target  int     // Step.Target of the last try; -1 when there was none
	Tries   int     // tries made
}

// ErrNoStep is returned for a plan without steps.
var ErrNoStep = errors.New("no target to try")

// Try runs do over the plan's steps until one is OK or Fatal or nothing is left. n counts from 1.
//
// Before each further try, that is from n = 2 on, before is called with the target, n and the reason; it
// makes the attempt's event durable (invariant 1). When it fails, nothing is sent and its error is
// returned. The first try is covered by the decision's event.
//
// A retry waits: exponentially with jitter (between half and the whole), at least what the upstream asked
// for, and never beyond the plan's budget: where the wait does not fit, the next target is tried at once.
// No target outside the plan is ever tried (invariant 3).
//
// The error is nil whenever do ran last: what happened is in Result.Outcome. It is the context's error
// (as *Error of ClassCanceled) when the client left during a wait.
func Try(ctx context.Context, plan Plan, before func(target, n int, reason string) error, do func(ctx context.Context, target, n int) Outcome) (Result, error) {
	res := Result{Target: -1}
	if len(plan.Steps) == 0 {
		return res, ErrNoStep
	}
	loop := backoff{left: plan.Budget, next: cmp.Or(plan.Base, DefaultBase), limit: cmp.Or(plan.Cap, DefaultCap), random: plan.Random}
	if loop.random == nil {
		loop.random = rand.Float64
	}
	freeStale := true
	for _, step := range plan.Steps {
		for tries := 0; ; {
			if res.Tries > 0 {
				if plan.MaxTries > 0 && res.Tries >= plan.MaxTries {
					return res, nil
				}
				if err := ctx.Err(); err != nil {
					return res, &Error{Class: ClassCanceled}
				}
				if err := before(step.Target, res.Tries+1, res.Outcome.Reason); err != nil {
					return res, fmt.Errorf("record try %d: %w", res.Tries+1, err)
				}
			}
			res.Tries++
			res.Target = step.Target
			o := do(ctx, step.Target, res.Tries)
			res.Outcome = o
			if o.Committed || o.Kind == OK || o.Kind == Fatal {
				return res, nil
			}
			if o.Stale && freeStale {
				freeStale = false
				continue
			}
			tries++
			if o.Kind == FallbackOnly || tries > step.Retries || plan.MaxTries > 0 && res.Tries >= plan.MaxTries {
				break
			}
			waited, err := loop.wait(ctx, o.After)
			if err != nil {
				return res, err
			}
			if !waited {
				break
			}
		}
	}
	return res, nil
}

// backoff is the waiting of one request.
type backoff struct {
	left   time.Duration // budget not yet spent
	next   time.Duration
	limit  time.Duration
	random func() float64
}

// wait sleeps before a retry. It returns false without sleeping when the wait does not fit the budget.
func (b *backoff) wait(ctx context.Context, after time.Duration) (bool, error) {
	d := min(b.next, b.limit)
	d = d/2 + time.Duration(b.random()*float64(d-d/2))
	b.next = min(b.next*2, b.limit)
	d = max(d, after)
	if d > b.left {
		return false, nil
	}
	b.left -= d
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, &Error{Class: ClassCanceled}
	}
}
