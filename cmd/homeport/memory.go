package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A gateway's live heap is a few megabytes and each request makes some garbage, so the usual setting (collect when the heap
// has doubled) would collect every few requests. pace lets small heaps grow to heapFloor before collecting, and collects
// large ones at the usual pace and a little sooner: thousands of open streams should not cost twice their size.
const (
	heapFloor  = 48 << 20 // bytes
	leastPace  = 25       // per cent, for large heaps
	heapMetric = "/gc/heap/live:bytes"
)

// pace adjusts the collector after each collection, by a sentinel that the collection itself frees.
func pace() {
	type sentinel struct{ _ [16]byte }
	sample := []metrics.Sample{{Name: heapMetric}}
	var arm func()
	adjust := func(*sentinel) {
		metrics.Read(sample)
		percent := leastPace
		if live := sample[0].Value.Uint64(); live > 0 && live < heapFloor {
			percent = max(leastPace, int((heapFloor-live)*100/live))
		}
		debug.SetGCPercent(min(percent, 1500))
		arm()
	}
	arm = func() { runtime.SetFinalizer(&sentinel{}, adjust) }
	arm()
}
