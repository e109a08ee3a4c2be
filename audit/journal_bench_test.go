package audit_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"homeport/audit"
)

// BenchmarkAppend writes records of 1 KB from 1, 16 and 256 goroutines to a real
// disk. records/s and records/commit are the figures; cpu-us/op is the process's
// CPU time per record, the sync's share of system time in it.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 32, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			j, err := audit.Open(b.TempDir(), audit.Options{MaxWait: time.Minute})
			if err != nil {
				b.Fatal(err)
			}
			payload := bytes.Repeat([]byte("e"), 1024)
			var failed atomic.Int64
			var mu sync.Mutex
			var waits []time.Duration
			b.ReportAllocs()
			b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
			if writers == 1 {
				b.SetParallelism(1)
			}
			before := processCPU()
			b.ResetTimer()
			if writers == 1 {
				for b.Loop() {
					from := time.Now()
					if err := j.Append(b.Context(), payload); err != nil {
						b.Fatal(err)
					}
					waits = append(waits, time.Since(from))
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					mine := make([]time.Duration, 0, 1<<12)
					for pb.Next() {
						from := time.Now()
						if j.Append(b.Context(), payload) != nil {
							failed.Add(1)
						}
						mine = append(mine, time.Since(from))
					}
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, mine...)
				})
			}
			b.StopTimer()
			cpu := processCPU() - before
			if failed.Load() > 0 {
				b.Fatalf("%d appends failed", failed.Load())
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(b.N)/float64(j.Stats().Commits), "records/commit")
			b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkAppendMemory is the cost of Append and Join without a disk.
func BenchmarkAppendMemory(b *testing.B) {
	payload := bytes.Repeat([]byte("e"), 1024)
	b.Run("append", func(b *testing.B) {
		j, err := audit.Open("", audit.Options{Storage: nullDisk{}, MaxWait: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		defer j.Close()
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := j.Append(b.Context(), payload); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkVerify reads a journal of 1 KB records.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const records = 20_000
	for range records {
		if err := j.Join(bytes.Repeat([]byte("e"), 1024)); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if r, err := audit.Verify(dir); err != nil || r.Records != records {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
}
