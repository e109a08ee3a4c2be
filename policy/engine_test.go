package policy_test

import (
	"testing"

	"homeport/policy"
)

// load builds the embedded engine once for a test.
func load(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.Load()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEveryRowsOwnCases(t *testing.T) {
	results := strict(t).RunCases()
	if len(results) < 100 {
		t.Fatalf("ran %d cases only", len(results))
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s: row %s case %d: want fires=%v, got %s", r.At, r.Row, r.Case, r.Want, r.Got)
		}
	}
}

// strict loads the embedded packs with their cases.
func strict(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.LoadFS(policy.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	return e
}
