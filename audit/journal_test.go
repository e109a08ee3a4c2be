package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/audit"
)

// contents gives all payloads of the journal in dir, failing on a gap.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var got []string
	err := audit.Read(dir, 0, func(index uint64, payload []byte) error {
		if index != uint64(len(got)) {
			t.Fatalf("record %d came as %d", len(got), index)
		}
		got = append(got, string(payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func mustOpen(t *testing.T, dir string, o audit.Options) *audit.Journal {
	t.Helper()
	if o.MaxWait == 0 {
		o.MaxWait = time.Minute // a busy machine is no failure here
	}
	j, err := audit.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mustAppend(t *testing.T, j *audit.Journal, payload string) {
	t.Helper()
	if err := j.Append(t.Context(), []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsSurviveReopeningInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	var want []string
	for round := range 5 {
		j := mustOpen(t, dir, audit.Options{SegmentBytes: 4096})
		if j.Durable() != uint64(len(want)) {
			t.Fatalf("round %d begins at %d, want %d", round, j.Durable(), len(want))
		}
		for i := range round * 20 { // round 0: a journal closed without a record
			payload := fmt.Sprintf("%d-%d-%s", round, i, strings.Repeat("x", 100*round))
			mustAppend(t, j, payload)
			want = append(want, payload)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal("second Close:", err)
		}
		if got := contents(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: %d records read, %d written, or they differ", round, len(got), len(want))
		}
	}
	r, err := audit.Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != uint64(len(want)) || r.First != 0 || r.Next != r.Records || r.Segments < 3 || r.TornBytes != 0 {
		t.Fatalf("report %+v for %d records", r, len(want))
	}
	n := 0
	if err := audit.Read(dir, 77, func(index uint64, payload []byte) error {
		if string(payload) != want[77+n] || index != uint64(77+n) {
			return fmt.Errorf("record %d differs", index)
		}
		n++
		return nil
	}); err != nil || n != len(want)-77 {
		t.Fatal(n, err)
	}
}

func TestManyWritersEachRecordOnce(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{SegmentBytes: 64 << 10, MaxWait: time.Minute})
	const writers, each = 32, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				payload := fmt.Sprintf("%d/%d/%s", w, i, strings.Repeat("y", w*10))
				if i%5 == 4 {
					if err := j.Join([]byte(payload)); err != nil {
						t.Error(err)
					}
				} else if err := j.Append(t.Context(), []byte(payload)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	last := map[int]int{}
	for _, p := range contents(t, dir) {
		seen[p]++
		var w, i int
		if _, err := fmt.Sscanf(p, "%d/%d/", &w, &i); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[w]; ok && before >= i {
			t.Fatalf("writer %d: record %d after %d", w, i, before)
		}
		last[w] = i
	}
	if len(seen) != writers*each {
		t.Fatalf("%d distinct records, want %d", len(seen), writers*each)
	}
	for p, n := range seen {
		if n != 1 {
			t.Fatalf("%d times: %.20s", n, p)
		}
	}
	if c := j.Stats().Commits; c >= writers*each {
		t.Errorf("%d commits for %d records: no group commit", c, writers*each)
	}
}

func TestJoinedRecordBecomesDurableByItself(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{JoinWithin: time.Millisecond})
	defer j.Close()
	if err := j.Join([]byte("conclusion")); err != nil {
		t.Fatal(err)
	}
	for j.Durable() != 1 {
		if t.Context().Err() != nil {
			t.Fatal("never durable")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestJoinMakesNoCommitOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{JoinWithin: time.Hour, MaxWait: time.Minute})
	for range 100 {
		if err := j.Join([]byte("conclusion")); err != nil {
			t.Fatal(err)
		}
	}
	if s := j.Stats(); s.Commits != 0 || s.Durable != 0 {
		t.Fatalf("joined records were committed by themselves: %+v", s)
	}
	mustAppend(t, j, "decision")
	if s := j.Stats(); s.Commits != 1 || s.Durable != 101 {
		t.Fatalf("want 101 records in one commit, got %+v", s)
	}
	if err := j.Join([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); len(got) != 102 || got[101] != "last" {
		t.Fatalf("Close left out joined records: %d", len(got))
	}
}

func TestPayloadLimits(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{})
	defer j.Close()
	big := strings.Repeat("z", audit.MaxPayload)
	mustAppend(t, j, big)
	for payload, want := range map[string]error{big + "z": audit.ErrTooLarge, "": audit.ErrEmpty} {
		if err := j.Append(t.Context(), []byte(payload)); !errors.Is(err, want) || !errors.Is(err, audit.ErrUnrecorded) {
			t.Errorf("length %d: %v", len(payload), err)
		}
		if err := j.Join([]byte(payload)); !errors.Is(err, want) {
			t.Errorf("length %d: %v", len(payload), err)
		}
	}
	if got := contents(t, dir); len(got) != 1 || got[0] != big {
		t.Fatalf("%d records", len(got))
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{})
	if _, err := audit.Open(dir, audit.Options{}); !errors.Is(err, audit.ErrLocked) {
		t.Fatalf("second writer: %v", err)
	}
	mustAppend(t, j, "still mine")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), []byte("late")); !errors.Is(err, audit.ErrClosed) || !errors.Is(err, audit.ErrUnrecorded) {
		t.Fatalf("after Close: %v", err)
	}
	if err := j.Reopen(); !errors.Is(err, audit.ErrClosed) {
		t.Fatalf("Reopen after Close: %v", err)
	}
	j = mustOpen(t, dir, audit.Options{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(filepath.Join(file, "log"), audit.Options{}); err == nil {
		t.Fatal("opened a journal below a file")
	}
}

func TestCancelledAppendIsUnrecorded(t *testing.T) {
	disk := newMemDisk()
	release := disk.holdSync()
	j := mustOpen(t, "", audit.Options{Storage: disk, SegmentBytes: 1 << 16, MaxWait: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := j.Append(ctx, []byte("gone"))
	if !errors.Is(err, audit.ErrUnrecorded) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(release)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWaitIsBoundedAndQueueToo(t *testing.T) {
	disk := newMemDisk()
	release := disk.holdSync()
	j := mustOpen(t, "", audit.Options{Storage: disk, SegmentBytes: 1 << 16, MaxWait: time.Millisecond, QueueBytes: 4096})
	if err := j.Append(t.Context(), []byte("slow")); !errors.Is(err, audit.ErrUnrecorded) || errors.Is(err, audit.ErrStopped) {
		t.Fatalf("stalled disk: %v", err)
	}
	refused := false
	for range 100 {
		if err := j.Join(make([]byte, 100)); err != nil {
			refused = errors.Is(err, audit.ErrUnrecorded)
			break
		}
	}
	if !refused {
		t.Fatal("queue without bound")
	}
	close(release)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	// Refused, yet durable: allowed, and it must be there once only.
	if got := disk.contents(t); len(got) == 0 || got[0] != "slow" {
		t.Fatalf("%d records", len(got))
	}
}
