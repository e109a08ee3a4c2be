package audit_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"homeport/audit"
)

func TestOpenDecisions(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{})
	decide := func(id, app string) {
		mustAppend(t, j, string(audit.AppendDecision(nil, &audit.Decision{Head: audit.Head{ID: id, Time: at, App: app}, Facts: audit.Facts{}})))
	}
	conclude := func(id string) {
		mustAppend(t, j, string(audit.AppendConclusion(nil, &audit.Conclusion{Head: audit.Head{ID: "c" + id, Time: at}, Ref: id})))
	}
	open := func(to uint64, want string) {
		t.Helper()
		got, err := audit.OpenDecisions(dir, to)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("got %v, want %s", got, want)
		}
	}
	open(math.MaxUint64, "[]")
	decide("a", "one")      // 0
	decide("b", "quo\"ted") // 1: only Parse can tell its app
	conclude("a")           // 2
	mustAppend(t, j, string(audit.AppendAttempt(nil, &audit.Attempt{Head: audit.Head{ID: "t", Time: at}, Ref: "b"})))
	mustAppend(t, j, string(audit.AppendAdmin(nil, &audit.Admin{Head: audit.Head{ID: "m", Time: at}, Who: "cli", What: "x"})))
	decide("c", "") // 5
	open(math.MaxUint64, `[{b quo"ted 1} {c  5}]`)
	open(5, `[{b quo"ted 1}]`)
	open(2, `[{a one 0} {b quo"ted 1}]`)
	conclude("b")
	conclude("c") // 7
	open(math.MaxUint64, "[]")

	if err := audit.MarkSettled(dir, j.Durable()); err != nil {
		t.Fatal(err)
	}
	decide("d", "two") // 8
	open(math.MaxUint64, "[{d two 8}]")
	open(3, `[{b quo"ted 1}]`) // the hint is beyond what is asked for
	if err := os.WriteFile(filepath.Join(dir, "settled"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(math.MaxUint64, "[{d two 8}]")

	mustAppend(t, j, "no event")
	if got, err := audit.OpenDecisions(dir, math.MaxUint64); err == nil {
		t.Fatal("a record that is no event was passed over", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// The hint is no part of the journal: it reopens and verifies beside it.
	j = mustOpen(t, dir, audit.Options{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
