package policy_test

import (
	"testing"

	"homeport/policy"
)

// A fact that is not known must reach every row as unknown: neither true nor the zero value's false.
func TestUnknownReachesEachRow(t *testing.T) {
	e := strict(t)
	s := e.Schema()
	nothing := s.New()
	for i := range s.Facts() {
		nothing.Unknown(policy.ID(i))
	}
	firing := e.FiringCases()
	rules := e.Rules()
	if len(rules) < 60 {
		t.Fatalf("found %d rows only", len(rules))
	}
	for _, r := range rules {
		if got := e.RowState(r.Row, nothing); got != "unknown" {
			t.Errorf("row %s with nothing known: %s, want unknown", r.Row, got)
		}
		// From a vector that fires, forgetting one fact may leave the row true or unknown, never false; and some fact
		// it rests on makes it unknown.
		reached := false
		for _, facts := range firing[r.Row] {
			f, err := s.FromMap(facts, policy.Declared)
			if err != nil {
				t.Fatal(err)
			}
			for i, fact := range s.Facts() {
				g := f.Clone()
				g.Unknown(policy.ID(i))
				switch got := e.RowState(r.Row, g); got {
				case "true":
				case "unknown":
					reached = true
				default:
					t.Errorf("row %s without %s: %s, want true or unknown", r.Row, fact.ID, got)
				}
			}
		}
		if !reached {
			t.Errorf("row %s: no single missing fact makes it unknown", r.Row)
		}
	}
}

// With nothing known at all the decision blocks and asks.
func TestNothingKnownBlocks(t *testing.T) {
	e := load(t)
	f := e.Schema().New()
	for i := range e.Schema().Facts() {
		f.Unknown(policy.ID(i))
	}
	for _, p := range []policy.Profile{policy.Strict, policy.Counsel} {
		d := e.Decide(f, p)
		if d.Verdict != policy.Block || len(d.Needs) < 10 {
			t.Errorf("%s: %s, needs %d facts", p, d.Verdict, len(d.Needs))
		}
	}
}

// Forgetting a fact never makes a decision milder.
func TestForgettingNeverHelps(t *testing.T) {
	e := load(t)
	for i, f := range randomFacts(t, e, 60) {
		for _, p := range []policy.Profile{policy.Strict, policy.Counsel} {
			full := e.Decide(f, p)
			for id := range e.Schema().Facts() {
				g := f.Clone()
				g.Unknown(policy.ID(id))
				if less := e.Decide(g, p); less.Verdict < full.Verdict {
					t.Fatalf("vector %d, %s: without %s %s, with it %s", i, p, e.Schema().Facts()[id].ID, less.Verdict, full.Verdict)
				}
			}
		}
	}
}
