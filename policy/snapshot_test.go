package policy_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"homeport/policy"
)

var update = flag.Bool("update", false, "write snapshot.json anew")

func TestSnapshotIsCurrent(t *testing.T) {
	want, err := policy.MakeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("snapshot.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile("snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) || !policy.SnapshotInUse() {
		t.Fatal("snapshot.json is not that of the packs; run: go test ./policy -run TestSnapshotIsCurrent -update")
	}
}

// An engine from the snapshot and one compiled from the YAML answer alike, also where CEL has to be asked.
func TestSnapshotChangesNothing(t *testing.T) {
	a, b := load(t), strict(t)
	if !reflect.DeepEqual(a.Schema().Assumed(), b.Schema().Assumed()) {
		t.Error("the assumptions differ")
	}
	for i, f := range randomFacts(t, a, 300) {
		g, err := b.Schema().ParseFacts(f.AppendJSON(nil, false))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []policy.Profile{policy.Strict, policy.Counsel} {
			if x, y := a.Decide(f, p), b.Decide(g, p); !reflect.DeepEqual(x, y) {
				t.Fatalf("vector %d, %s: %v, from the YAML %v", i, p, x.RuleIDs(), y.RuleIDs())
			}
			if x, y := a.Decide(f, p), b.DecideByCELAlone(g, p); !reflect.DeepEqual(x, y) {
				t.Fatalf("vector %d, %s: %v, CEL alone %v", i, p, x.RuleIDs(), y.RuleIDs())
			}
		}
	}
}
