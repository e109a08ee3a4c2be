package audit_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/audit"
)

var kills = flag.Int("kills", 30, "rounds of TestKilledWriterLosesNothing")

// childDir names the journal for the process that is to be killed.
const childDir = "HOMEPORT_AUDIT_TEST_DIR"

// TestMain plays the victim when childDir is set, else runs the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendForever(dir, os.Getenv(childDir+"_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForever appends from eight goroutines and prints what was acknowledged,
// one a line, until it is killed or fails.
func appendForever(dir, round string) error {
	j, err := audit.Open(dir, audit.Options{SegmentBytes: 32 << 10, MaxWait: time.Minute})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				payload := fmt.Sprintf("%s/%d/%d", round, w, i)
				if i%3 == 2 {
					if err := j.Join([]byte(payload)); err != nil {
						failed <- err
					}
					continue
				}
				record := payload + "/" + strings.Repeat("k", i*97%2000)
				if err := j.Append(context.Background(), []byte(record)); err != nil {
					failed <- err
				}
				if _, err := os.Stdout.WriteString(payload + "\n"); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// TestKilledWriterLosesNothing kills a writing process at random moments, again
// and again on one folder. Every acknowledged record must be there, once.
func TestKilledWriterLosesNothing(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	var repaired int
	for round := range *kills {
		child := exec.CommandContext(t.Context(), exe)
		child.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_ROUND=%d", childDir, round))
		var stderr strings.Builder
		child.Stderr = &stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		after := time.Duration(rng.IntN(25_000)) * time.Microsecond
		kill := func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) }
		before := len(acked)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // a line cut short was not seen by anyone
			}
			once.Do(kill)
			acked[strings.TrimSuffix(line, "\n")] = true
		}
		_ = child.Wait() // it was killed: the error says nothing
		if len(acked) == before {
			t.Fatalf("round %d: nothing was written: %s", round, stderr.String())
		}
		if round%2 == 0 {
			continue // the next child repairs by itself
		}
		j := mustOpen(t, dir, audit.Options{SegmentBytes: 32 << 10})
		if j.Repaired() != (audit.Repair{}) {
			repaired++
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, p := range contents(t, dir) {
			parts := strings.SplitN(p, "/", 4)
			id := strings.Join(parts[:3], "/")
			if seen[id] {
				t.Fatalf("round %d: %s is there twice", round, id)
			}
			seen[id] = true
		}
		for id := range acked {
			if !seen[id] {
				t.Fatalf("round %d: %s was acknowledged and is lost", round, id)
			}
		}
	}
	t.Logf("%d records acknowledged; %d of %d openings had a tail to repair", len(acked), repaired, *kills/2)
}

// TestReadersBesideAWriter reads while another goroutine writes: no error, no
// gap, and never less than was durable before.
func TestReadersBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, audit.Options{SegmentBytes: 16 << 10, MaxWait: time.Minute})
	const writers, each = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := j.Append(t.Context(), fmt.Appendf(nil, "%d/%d/%s", w, i, strings.Repeat("b", 300))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		durable := j.Durable()
		if got := uint64(len(contents(t, dir))); got < durable {
			t.Fatalf("%d records read, %d were durable before", got, durable)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(contents(t, dir)); got != writers*each {
		t.Fatalf("%d records", got)
	}
}
