package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homeport/internal/upstream"
)

// tryOf scripts the outcomes of each target in turn and writes down what happened and when.
type tryOf struct {
	script map[int][]upstream.Outcome
	log    []string
	begin  time.Time
	fail   error // of before
}

func (s *tryOf) before(target, n int, reason string) error {
	s.log = append(s.log, fmt.Sprintf("record %d try %d after %s", target, n, reason))
	return s.fail
}

func (s *tryOf) do(_ context.Context, target, n int) upstream.Outcome {
	s.log = append(s.log, fmt.Sprintf("send %d try %d at %s", target, n, time.Since(s.begin)))
	o := s.script[target][0]
	s.script[target] = s.script[target][1:]
	return o
}

func TestTry(t *testing.T) {
	ok := upstream.Outcome{Kind: upstream.OK}
	retry := upstream.Outcome{Kind: upstream.Retryable, Reason: "status_503"}
	after := func(d time.Duration) upstream.Outcome {
		return upstream.Outcome{Kind: upstream.Retryable, Reason: "status_429", After: d}
	}
	next := upstream.Outcome{Kind: upstream.FallbackOnly, Reason: "upstream_busy"}
	fatal := upstream.Outcome{Kind: upstream.Fatal, Reason: "status_400"}
	stale := upstream.OutcomeOf(&upstream.Error{Class: upstream.ClassStale})
	committed := upstream.Outcome{Kind: upstream.Retryable, Reason: "upstream_broken", Committed: true}
	step := func(target, retries int) upstream.Step { return upstream.Step{Target: target, Retries: retries} }
	cases := []struct {
		name   string
		steps  []upstream.Step
		plan   upstream.Plan
		script map[int][]upstream.Outcome
		want   []string
		end    upstream.Outcome
	}{
		{"first answers", []upstream.Step{step(7, 2), step(8, 2)}, upstream.Plan{Budget: time.Minute},
			map[int][]upstream.Outcome{7: {ok}},
			[]string{"send 7 try 1 at 0s"}, ok},
		{"retries wait longer each time, up to the cap", []upstream.Step{step(7, 4)}, upstream.Plan{Budget: time.Minute, Base: time.Second, Cap: 3 * time.Second},
			map[int][]upstream.Outcome{7: {retry, retry, retry, retry, ok}},
			[]string{
				"send 7 try 1 at 0s", "record 7 try 2 after status_503", "send 7 try 2 at 1s", "record 7 try 3 after status_503", "send 7 try 3 at 3s",
				"record 7 try 4 after status_503", "send 7 try 4 at 6s", "record 7 try 5 after status_503", "send 7 try 5 at 9s",
			}, ok},
		{"retries run out, the next target follows", []upstream.Step{step(7, 1), step(3, 0)}, upstream.Plan{Budget: time.Minute, Base: time.Second},
			map[int][]upstream.Outcome{7: {retry, retry}, 3: {ok}},
			[]string{
				"send 7 try 1 at 0s", "record 7 try 2 after status_503", "send 7 try 2 at 1s",
				"record 3 try 3 after status_503", "send 3 try 3 at 1s",
			}, ok},
		{"what the upstream asks for is waited", []upstream.Step{step(7, 1)}, upstream.Plan{Budget: time.Minute, Base: time.Second},
			map[int][]upstream.Outcome{7: {after(20 * time.Second), ok}},
			[]string{"send 7 try 1 at 0s", "record 7 try 2 after status_429", "send 7 try 2 at 20s"}, ok},
		{"beyond the budget the next target follows at once", []upstream.Step{step(7, 3), step(8, 3)}, upstream.Plan{Budget: 10 * time.Second, Base: time.Second},
			map[int][]upstream.Outcome{7: {after(20 * time.Second)}, 8: {ok}},
			[]string{"send 7 try 1 at 0s", "record 8 try 2 after status_429", "send 8 try 2 at 0s"}, ok},
		{"beyond the budget without another target it ends", []upstream.Step{step(7, 3)}, upstream.Plan{Budget: 10 * time.Second, Base: time.Second},
			map[int][]upstream.Outcome{7: {after(20 * time.Second)}},
			[]string{"send 7 try 1 at 0s"}, after(20 * time.Second)},
		{"the budget is one for all targets", []upstream.Step{step(7, 1), step(8, 1)}, upstream.Plan{Budget: 5 * time.Second, Base: time.Second},
			map[int][]upstream.Outcome{7: {after(4 * time.Second), retry}, 8: {after(2 * time.Second)}},
			[]string{
				"send 7 try 1 at 0s", "record 7 try 2 after status_429", "send 7 try 2 at 4s",
				"record 8 try 3 after status_503", "send 8 try 3 at 4s",
			}, after(2 * time.Second)},
		{"fallback only", []upstream.Step{step(7, 3), step(8, 0)}, upstream.Plan{Budget: time.Minute},
			map[int][]upstream.Outcome{7: {next}, 8: {next}},
			[]string{"send 7 try 1 at 0s", "record 8 try 2 after upstream_busy", "send 8 try 2 at 0s"}, next},
		{"fatal ends it", []upstream.Step{step(7, 3), step(8, 0)}, upstream.Plan{Budget: time.Minute},
			map[int][]upstream.Outcome{7: {fatal}},
			[]string{"send 7 try 1 at 0s"}, fatal},
		{"after the first byte nothing is tried again", []upstream.Step{step(7, 3), step(8, 0)}, upstream.Plan{Budget: time.Minute},
			map[int][]upstream.Outcome{7: {committed}},
			[]string{"send 7 try 1 at 0s"}, committed},
		{"a stale connection is tried again once, recorded, without wait or retries", []upstream.Step{step(7, 0), step(8, 0)}, upstream.Plan{},
			map[int][]upstream.Outcome{7: {stale, stale}, 8: {ok}},
			[]string{
				"send 7 try 1 at 0s", "record 7 try 2 after upstream_stale_connection", "send 7 try 2 at 0s",
				"record 8 try 3 after upstream_stale_connection", "send 8 try 3 at 0s",
			}, ok},
		{"tries are bounded", []upstream.Step{step(7, 9), step(8, 9)}, upstream.Plan{Budget: time.Minute, Base: time.Second, MaxTries: 2},
			map[int][]upstream.Outcome{7: {retry, retry}},
			[]string{"send 7 try 1 at 0s", "record 7 try 2 after status_503", "send 7 try 2 at 1s"}, retry},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tryOf{script: c.script, begin: time.Now()}
				c.plan.Steps, c.plan.Random = c.steps, func() float64 { return 1 }
				res, err := upstream.Try(t.Context(), c.plan, s.before, s.do)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := strings.Join(s.log, "\n"), strings.Join(c.want, "\n"); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if res.Outcome != c.end {
					t.Errorf("outcome %+v, want %+v", res.Outcome, c.end)
				}
			})
		})
	}
}

// Invariant 1: what cannot be recorded is not sent.
func TestTryUnrecordedMeansUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk")
		s := &tryOf{begin: time.Now(), fail: broken, script: map[int][]upstream.Outcome{1: {{Kind: upstream.FallbackOnly, Reason: "x"}}}}
		res, err := upstream.Try(t.Context(), upstream.Plan{Steps: []upstream.Step{{Target: 1}, {Target: 2}}}, s.before, s.do)
		if !errors.Is(err, broken) || res.Tries != 1 || len(s.log) != 2 {
			t.Errorf("%v, %+v, %v", err, res, s.log)
		}
	})
}

func TestTryEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		s := &tryOf{begin: time.Now(), script: map[int][]upstream.Outcome{1: {{Kind: upstream.Retryable, After: time.Minute}}}}
		_, err := upstream.Try(ctx, upstream.Plan{Steps: []upstream.Step{{Target: 1, Retries: 1}, {Target: 2}}, Budget: time.Hour}, s.before, s.do)
		wantClass(t, err, upstream.ClassCanceled)
		if len(s.log) != 1 || time.Since(s.begin) != 3*time.Second {
			t.Errorf("%v after %s", s.log, time.Since(s.begin))
		}
	})
	s := &tryOf{}
	if _, err := upstream.Try(t.Context(), upstream.Plan{}, s.before, s.do); !errors.Is(err, upstream.ErrNoStep) {
		t.Error(err)
	}
}

// Jitter stays between half the wait and the whole.
func TestTryJitter(t *testing.T) {
	for _, r := range []float64{0, 0.5, 0.999999} {
		synctest.Test(t, func(t *testing.T) {
			s := &tryOf{begin: time.Now(), script: map[int][]upstream.Outcome{1: {{Kind: upstream.Retryable}, {}}}}
			plan := upstream.Plan{Steps: []upstream.Step{{Target: 1, Retries: 1}}, Budget: time.Hour, Base: 2 * time.Second, Random: func() float64 { return r }}
			if _, err := upstream.Try(t.Context(), plan, s.before, s.do); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(s.begin); d < time.Second || d > 2*time.Second {
				t.Errorf("waited %s", d)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	steps := []upstream.Step{{Target: 0, Tier: 2}, {Target: 1, Tier: 1, Weight: 3}, {Target: 2, Tier: 1, Weight: 1}, {Target: 3, Tier: 0}}
	first := map[int]int{}
	const n = 8000
	for range n {
		got := upstream.Order(append([]upstream.Step(nil), steps...), nil)
		if got[0].Target != 3 || got[3].Target != 0 || len(got) != 4 || got[1].Target+got[2].Target != 3 {
			t.Fatalf("order %v", got)
		}
		first[got[1].Target]++
	}
	// 3 to 1: 6000 expected, standard deviation 39.
	if first[1] < 5700 || first[1] > 6300 {
		t.Errorf("weight 3 of 4 came first %d times of %d", first[1], n)
	}
	for _, r := range []float64{0, 0.7499, 0.75, 0.9999} {
		got := upstream.Order(append([]upstream.Step(nil), steps...), func() float64 { return r })
		want := 1
		if r >= 0.75 {
			want = 2
		}
		if got[1].Target != want {
			t.Errorf("at %v target %d", r, got[1].Target)
		}
	}
	if got := upstream.Order(nil, nil); len(got) != 0 {
		t.Error(got)
	}
}

func TestOutcomeOf(t *testing.T) {
	want := map[upstream.Class]upstream.Kind{
		upstream.ClassInvalid: upstream.Fatal, upstream.ClassCanceled: upstream.Fatal, upstream.ClassTotal: upstream.Fatal,
		upstream.ClassConnect: upstream.Retryable, upstream.ClassBroken: upstream.Retryable, upstream.ClassStale: upstream.Retryable,
		upstream.ClassRefused: upstream.FallbackOnly, upstream.ClassTLS: upstream.FallbackOnly, upstream.ClassProtocol: upstream.FallbackOnly,
		upstream.ClassRedirect: upstream.FallbackOnly, upstream.ClassFirstByte: upstream.FallbackOnly, upstream.ClassIdle: upstream.FallbackOnly,
		upstream.ClassBusy: upstream.FallbackOnly, upstream.ClassOpen: upstream.FallbackOnly, upstream.ClassAuth: upstream.FallbackOnly,
	}
	for class, kind := range want {
		if o := upstream.OutcomeOf(&upstream.Error{Class: class}); o.Kind != kind || o.Reason != class.String() {
			t.Errorf("%s: %+v", class, o)
		}
	}
	if o := upstream.OutcomeOf(nil); o.Kind != upstream.OK {
		t.Errorf("nil: %+v", o)
	}
	if o := upstream.OutcomeOf(errors.New("foreign")); o.Kind != upstream.Retryable {
		t.Errorf("foreign: %+v", o)
	}
}
