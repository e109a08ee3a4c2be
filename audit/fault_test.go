package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homeport/audit"
)

// tally is what a writer was told.
type tally struct {
	acked  []string // Append returned nil, in order
	tried  map[string]bool
	joined []string // Join returned nil
	closed bool     // Close returned nil
}

// session opens the journal on d and plays a fixed script of appends and joins,
// small enough segments included that they turn over. When the journal stops it
// tries to reopen.
func session(d *memDisk, name string, tl *tally) {
	j, err := audit.Open("", audit.Options{Storage: d, SegmentBytes: 2048, MaxWait: time.Minute, JoinWithin: time.Hour})
	if err != nil {
		return
	}
	for i := range 14 {
		payload := fmt.Sprintf("%s-%d-%s", name, i, strings.Repeat("p", i*37%400))
		tl.tried[payload] = true
		if i%4 == 1 {
			if j.Join([]byte(payload)) == nil {
				tl.joined = append(tl.joined, payload)
			}
			continue
		}
		switch err := j.Append(context.Background(), []byte(payload)); {
		case err == nil:
			tl.acked = append(tl.acked, payload)
		case errors.Is(err, audit.ErrStopped):
			for range 2 {
				if j.Reopen() == nil {
					break
				}
			}
		}
	}
	tl.closed = j.Close() == nil
}

// check compares what a journal holds with what its writers were told.
func check(got []string, tl *tally) error {
	seen := map[string]int{}
	for _, p := range got {
		seen[p]++
		if seen[p] > 1 {
			return fmt.Errorf("%d times: %.12s", seen[p], p)
		}
		if !tl.tried[p] {
			return fmt.Errorf("never written: %.12q", p)
		}
	}
	at := -1
	for _, p := range tl.acked {
		if seen[p] == 0 {
			return fmt.Errorf("acknowledged and lost: %.12s", p)
		}
		i := slices.Index(got, p)
		if i < at {
			return fmt.Errorf("out of order: %.12s", p)
		}
		at = i
	}
	if tl.closed {
		for _, p := range tl.joined {
			if seen[p] == 0 {
				return fmt.Errorf("joined, closed and lost: %.12s", p)
			}
		}
	}
	return nil
}

// aftermath opens what is left in every way it may be left, and checks each.
func aftermath(d *memDisk, tl *tally, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 7))
	ways := map[string]*memDisk{
		"killed":                          d.kill(),
		"killed, then power lost":         d.kill().crash(func() bool { return false }),
		"power lost, nothing more synced": d.crash(func() bool { return false }),
		"power lost, all had been synced": d.crash(func() bool { return true }),
		"power lost, some pages synced":   d.crash(func() bool { return rng.IntN(2) == 0 }),
	}
	for way, disk := range ways {
		after := tally{acked: slices.Clone(tl.acked), tried: map[string]bool{}, joined: tl.joined, closed: false}
		for p := range tl.tried {
			after.tried[p] = true
		}
		before, err := disk.read()
		if err != nil {
			return fmt.Errorf("%s: read before repair: %w", way, err)
		}
		if err := check(before, &after); err != nil {
			return fmt.Errorf("%s: before repair: %w", way, err)
		}
		session(disk, "again", &after)
		if !after.closed {
			return fmt.Errorf("%s: cannot be opened again", way)
		}
		after.joined = slices.DeleteFunc(slices.Clone(after.joined), func(p string) bool { return !tl.closed && slices.Contains(tl.joined, p) })
		for _, last := range []*memDisk{disk, disk.crash(func() bool { return false })} {
			got, err := last.read()
			if err != nil {
				return fmt.Errorf("%s: read after repair: %w", way, err)
			}
			if err := check(got, &after); err != nil {
				return fmt.Errorf("%s: after repair: %w", way, err)
			}
		}
	}
	return nil
}

// TestEveryOperationFailing makes each write, sync, truncate, create, open,
// publish and remove of two sessions fail, with no effect, with half of it and
// with all of it, once or from then on, and looks at what can be left.
// Invariant: acknowledged records are there once, at their place.
func TestEveryOperationFailing(t *testing.T) {
	play := func(f func(int, string) fault) (*memDisk, *tally) {
		d, tl := newMemDisk(), &tally{tried: map[string]bool{}}
		session(d, "first", tl) // undisturbed, so that there is a past to lose
		d.ops, d.fault = 0, f
		joined := tl.joined
		tl.joined = nil
		session(d, "second", tl)
		if tl.closed {
			tl.joined = append(tl.joined, joined...)
		} else {
			tl.joined = joined
		}
		d.fault = nil
		d.locked = false
		return d, tl
	}
	d, tl := play(nil)
	total := d.ops
	if !tl.closed || total < 30 || len(tl.acked) != 20 {
		t.Fatalf("script without faults: %d operations, %d acknowledged", total, len(tl.acked))
	}
	if err := aftermath(d, tl, 0); err != nil {
		t.Fatal(err)
	}
	struck, recovered := map[string]int{}, 0
	for n := range total {
		for _, kind := range []fault{failsUndone, failsPartly, failsButDone} {
			for _, times := range []int{1, 2, 1000} {
				var op string
				d, tl := play(func(i int, what string) fault {
					if i == n {
						op = what
					}
					if i < n || i >= n+times {
						return works
					}
					return kind
				})
				struck[op]++
				if len(tl.acked) == 20-1 && tl.closed {
					recovered++
				}
				if err := aftermath(d, tl, uint64(n)); err != nil {
					t.Errorf("operation %d (%s), fault %d, %d times: %v", n, op, kind, times, err)
				}
			}
		}
	}
	for _, op := range []string{"write", "sync", "create", "publish", "open", "truncate"} {
		if struck[op] == 0 {
			t.Errorf("no %s was made to fail", op)
		}
	}
	if recovered == 0 {
		t.Error("no session went on after a fault")
	}
}

func TestFailedSyncStopsTheJournalAndTheFile(t *testing.T) {
	d := newMemDisk()
	j := mustOpen(t, "", audit.Options{Storage: d, SegmentBytes: 1 << 16, MaxWait: time.Minute})
	defer j.Close()
	mustAppend(t, j, "one")
	var after []string
	failed := false
	d.fault = func(_ int, op string) fault {
		if failed {
			after = append(after, op)
			return works
		}
		if op == "sync" {
			failed = true
			return failsUndone
		}
		return works
	}
	if err := j.Append(t.Context(), []byte("two")); !errors.Is(err, audit.ErrStopped) || !errors.Is(err, errDisk) || !errors.Is(err, audit.ErrUnrecorded) {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), []byte("three")); !errors.Is(err, audit.ErrStopped) {
		t.Fatal(err)
	}
	if err := j.Join([]byte("four")); !errors.Is(err, audit.ErrStopped) {
		t.Fatal(err)
	}
	if len(after) > 0 || j.Err() == nil || j.Durable() != 1 {
		t.Fatalf("after a failed sync: %v, err %v, durable %d", after, j.Err(), j.Durable())
	}
	if err := j.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, "five")
	if got := fmt.Sprint(d.contents(t)); got != "[one five]" || j.Err() != nil || j.Durable() != 2 {
		t.Fatal(got, j.Err(), j.Durable())
	}
}

// onDisk writes n records of 100 bytes in as many batches and gives the segment's path.
func onDisk(t *testing.T, dir string, n int) string {
	t.Helper()
	j := mustOpen(t, dir, audit.Options{SegmentBytes: 1 << 20})
	for i := range n {
		mustAppend(t, j, fmt.Sprintf("%03d%s", i, strings.Repeat("r", 97)))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.hpj"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	return segments[0]
}

// headerBytes, then per batch a mark of 16 bytes and a frame of 108: the format
// as it is published.
const headerBytes, batchBytes = 32, 16 + 108

func TestTornTailIsCutAtTheLastWholeRecord(t *testing.T) {
	const n = 5
	whole, err := os.ReadFile(onDisk(t, t.TempDir(), n))
	if err != nil {
		t.Fatal(err)
	}
	last := headerBytes + (n-1)*batchBytes // where the last batch begins
	for cut := last; cut <= len(whole); cut++ {
		for _, zeros := range []int{0, 5000} {
			dir := t.TempDir()
			torn := append(slices.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.hpj", 0)), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			want := n - 1
			if cut >= last+batchBytes {
				want = n
			}
			r, err := audit.Verify(dir)
			if err != nil || r.Records != uint64(want) {
				t.Fatalf("cut at %d, %d zeros: %+v, %v", cut, zeros, r, err)
			}
			j := mustOpen(t, dir, audit.Options{SegmentBytes: 4096})
			mustAppend(t, j, "after")
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if got := contents(t, dir); len(got) != want+1 || got[want] != "after" {
				t.Fatalf("cut at %d, %d zeros: %d records after repair", cut, zeros, len(got))
			}
		}
	}
}

// TestAnyFlippedByteIsFound flips each byte of a cleanly closed journal. Reading
// must name damage or, in the very last mark only, lose nothing.
func TestAnyFlippedByteIsFound(t *testing.T) {
	const n = 4
	dir := t.TempDir()
	path := onDisk(t, dir, n)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) != headerBytes+n*batchBytes+16 {
		t.Fatalf("segment of %d bytes: the format in the package comment does not hold", len(whole))
	}
	for at := range whole {
		bad := slices.Clone(whole)
		bad[at] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(dir)
		var damage *audit.CorruptError
		switch {
		case at >= headerBytes+n*batchBytes: // closing mark: torn, all records there
			if err != nil || r.Records != n || r.TornBytes == 0 {
				t.Fatalf("byte %d: %+v, %v", at, r, err)
			}
		case !errors.As(err, &damage) || damage.Offset > int64(at) || damage.Segment != filepath.Base(path):
			t.Fatalf("byte %d: %+v, %v", at, r, err)
		default:
			if _, err := audit.Open(dir, audit.Options{}); !errors.As(err, &damage) {
				t.Fatalf("byte %d: opened for writing: %v", at, err)
			}
		}
	}
}

func TestMissingSegmentIsFound(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{SegmentBytes: 512})
	for i := range 20 {
		mustAppend(t, j, fmt.Sprintf("%d%s", i, strings.Repeat("s", 200)))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.hpj"))
	if err != nil || len(segments) < 4 {
		t.Fatal(segments, err)
	}
	if err := os.Remove(segments[2]); err != nil {
		t.Fatal(err)
	}
	var damage *audit.CorruptError
	if r, err := audit.Verify(dir); !errors.As(err, &damage) || damage.Segment != filepath.Base(segments[1]) {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestLivesOfAJournal strings sessions together, each with random faults and a
// random end, on one disk, and checks what is left after every one.
func TestLivesOfAJournal(t *testing.T) {
	var acked, faults int
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d, tl := newMemDisk(), &tally{tried: map[string]bool{}}
		for life := range 6 {
			odds := []int{0, 20, 100}[rng.IntN(3)]
			if life < 5 {
				d.fault = func(int, string) fault {
					if rng.IntN(1000) >= odds {
						return works
					}
					faults++
					return fault(1 + rng.IntN(3))
				}
			}
			session(d, fmt.Sprintf("life%d", life), tl)
			d.fault = nil
			tl.closed, tl.joined = false, nil
			switch rng.IntN(4) {
			case 0:
				d = d.crash(func() bool { return rng.IntN(2) == 0 })
			case 1:
				d = d.crash(func() bool { return false })
			default:
				d = d.kill()
			}
			got, err := d.read()
			if err == nil {
				err = check(got, tl)
			}
			if err != nil {
				t.Fatalf("seed %d, life %d: %v", seed, life, err)
			}
		}
		acked += len(tl.acked)
	}
	if acked < 200*20 || faults < 1000 {
		t.Fatalf("%d acknowledged, %d faults: the test does not test", acked, faults)
	}
}
