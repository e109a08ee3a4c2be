package policy_test

import (
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"homeport/policy"
)

// randomFacts makes vectors over the whole schema: enumerations, places, counts at and beside the thresholds, dated
// done facts, unknowns. The seed is fixed.
func randomFacts(t testing.TB, e *policy.Engine, n int) []*policy.Facts {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	counts := []int64{0, 1, 2, 9_999, 10_000, 10_001, 79_999, 80_000, 99_999, 100_000, 999_999, 1_000_000, 5_000_000}
	places := []string{"CN", "HK", "SG", "SE", "US"}
	days := []string{"2026-01-01", "2026-11-22", "2027-01-01"}
	var out []*policy.Facts
	for range n {
		f := e.Schema().New()
		for i, fact := range e.Schema().Facts() {
			if rnd.IntN(3) == 0 {
				continue // leave what is assumed
			}
			var v any
			switch fact.Type {
			case policy.Bool:
				v = rnd.IntN(4) == 0
			case policy.Int:
				v = counts[rnd.IntN(len(counts))]
			case policy.Number:
				v = []float64{0, 0.2, 0.5, 0.51, 1}[rnd.IntN(5)]
			case policy.Place:
				v = places[rnd.IntN(len(places))]
			case policy.Places:
				v = []string{"CN", places[rnd.IntN(len(places))]}[rnd.IntN(2):]
			case policy.Date:
				v = days[rnd.IntN(len(days))]
			case policy.Done:
				v = []any{true, false, map[string]any{"state": true, "until": days[rnd.IntN(len(days))]}}[rnd.IntN(3)]
			case policy.List, policy.String:
				v = "x"
				if len(fact.Values) > 0 {
					v = fact.Values[rnd.IntN(len(fact.Values))]
				}
			}
			if rnd.IntN(20) == 0 {
				v = nil
			}
			if err := f.Set(policy.ID(i), v, policy.Declared); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, f)
	}
	return out
}

func TestRememberedEqualsFresh(t *testing.T) {
	e := load(t)
	m := e.NewMemory()
	vectors := randomFacts(t, e, 1500)
	// A second half shares bases, as a gateway's requests do.
	var bases []*policy.Base
	for _, f := range vectors[:20] {
		bases = append(bases, f.Freeze())
	}
	for i, over := range randomFacts(t, e, 1500) {
		f := bases[i%len(bases)].Facts()
		for _, name := range []string{"data.pi_persons_ytd", "data.sensitive_persons_ytd", "data.important", "model.place", "done.certificate", "date"} {
			id, _ := e.Schema().ID(name)
			v, from := over.Value(id)
			if err := f.Set(id, v, from); err != nil {
				t.Fatal(err)
			}
		}
		vectors = append(vectors, f)
	}
	verdicts := map[policy.Verdict]int{}
	for round := range 2 {
		for i, f := range vectors {
			for _, p := range []policy.Profile{policy.Strict, policy.Counsel} {
				fresh, kept := e.Decide(f, p), m.Decide(f, p)
				verdicts[fresh.Verdict]++
				if !reflect.DeepEqual(fresh, kept) {
					t.Fatalf("round %d, vector %d, %s: remembered %v %v, fresh %v %v", round, i, p, kept.Verdict, kept.RuleIDs(), fresh.Verdict, fresh.RuleIDs())
				}
			}
		}
	}
	if len(verdicts) < 4 {
		t.Errorf("the vectors reach only the verdicts %v", verdicts)
	}
}

// One Facts value is rebased and changed between decisions: its cached key must follow.
func TestKeyFollowsChanges(t *testing.T) {
	e := load(t)
	m := e.NewMemory()
	vectors := randomFacts(t, e, 400)
	f := e.Schema().New()
	for i, v := range vectors {
		if i%3 == 0 {
			f.Reset(v.Freeze())
		} else {
			f.Rebase(v.Freeze())
		}
		for id := i % 7; id < len(e.Schema().Facts()); id += 11 {
			val, from := v.Value(policy.ID(id))
			if err := f.Set(policy.ID(id), val, from); err != nil {
				t.Fatal(err)
			}
			if fresh, kept := e.Decide(f, policy.Counsel), m.Decide(f, policy.Counsel); !reflect.DeepEqual(fresh, kept) {
				t.Fatalf("vector %d after setting %d: remembered %v, fresh %v", i, id, kept.RuleIDs(), fresh.RuleIDs())
			}
		}
	}
}

func TestQuickPathChangesNothing(t *testing.T) {
	e := load(t)
	for i, f := range randomFacts(t, e, 600) {
		for _, p := range []policy.Profile{policy.Strict, policy.Counsel} {
			with, without := e.Decide(f, p), e.DecideByCELAlone(f, p)
			if !reflect.DeepEqual(with, without) {
				t.Fatalf("vector %d, %s: quick %v, CEL alone %v", i, p, with.RuleIDs(), without.RuleIDs())
			}
		}
	}
}

func TestMemoryIsBoundedAndShared(t *testing.T) {
	e := load(t)
	const bound = 1024
	m := e.NewMemoryOf(bound)
	id, _ := e.Schema().ID("model.place")
	f := e.Schema().New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			f := f.Clone()
			for i := g; i < bound*2; i += 4 {
				set := []string{string([]byte{'A' + byte(i%26), 'A' + byte(i/26%26)}), string([]byte{'A' + byte(i/676%26), 'Z'})}
				if err := f.Set(id, set, policy.Declared); err != nil {
					t.Error(err)
					return
				}
				m.Decide(f, policy.Profile(i%2))
			}
		})
	}
	wg.Wait()
	if n := m.Len(); n > bound || n < bound/4 {
		t.Errorf("%d entries held, want at most %d", n, bound)
	}
	if first, again := m.Decide(f, policy.Strict), m.Decide(f, policy.Strict); first != again {
		t.Error("a hit does not give the same decision")
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	e := load(t)
	m := e.NewMemory()
	base := e.Schema().New().Freeze()
	pi, _ := e.Schema().ID("data.pi_persons_ytd")
	important, _ := e.Schema().ID("data.important")
	date, _ := e.Schema().ID("date")
	day, err := e.Schema().Prepare(date, "2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	f := base.Facts()
	n := testing.AllocsPerRun(200, func() {
		f.Reset(base)
		f.Put(day, policy.Measured)
		f.SetInt(pi, 12_345, policy.Measured)
		f.SetBool(important, false, policy.Measured)
		m.Decide(f, policy.Strict)
	})
	if n != 0 {
		t.Errorf("%v allocations for a remembered decision", n)
	}
	if v, from := f.Value(date); v != "2026-11-23" || from != policy.Measured {
		t.Errorf("the day is %v, %s", v, from)
	}
}
