package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// MaxPayload is the longest record in bytes: an entry of a tlog-tiles bundle has
// a 16-bit length.
const MaxPayload = 65_535

// What a caller branches on.
var (
	// ErrUnrecorded: the record was not confirmed durable. Refuse what it was to
	// record. It may still become durable. Every error of Append that follows from
	// waiting or from the disk matches it, ErrStopped and ErrClosed included.
	ErrUnrecorded = errors.New("record not confirmed durable")
	// ErrStopped: a write or sync failed; nothing is accepted until Reopen succeeds
	// or the folder is opened again. Matches ErrUnrecorded.
	ErrStopped = fmt.Errorf("journal stopped: %w", ErrUnrecorded)
	// ErrClosed: Close was called. Matches ErrUnrecorded.
	ErrClosed = fmt.Errorf("journal closed: %w", ErrUnrecorded)
	// ErrTooLarge: the payload is over MaxPayload. Matches ErrUnrecorded.
	ErrTooLarge = fmt.Errorf("record over %d bytes: %w", MaxPayload, ErrUnrecorded)
	// ErrEmpty: the payload has no bytes; a caller's mistake. Matches ErrUnrecorded.
	ErrEmpty = fmt.Errorf("empty record: %w", ErrUnrecorded)
	// ErrLocked: another process writes to this folder.
	ErrLocked = errors.New("journal folder is in use by another process")
)

// Options of a journal; the zero value of a field means its default.
type Options struct {
	// MaxWait bounds how long Append waits for the disk. Default 250 ms.
	MaxWait time.Duration
	// JoinWithin is the longest time a joined record waits for a commit of others
	// before one is made for it. Default 20 ms.
	JoinWithin time.Duration
	// SegmentBytes is taken on disk in advance for each segment, and is where the
	// next begins. Default 64 MiB.
	SegmentBytes int64
	// QueueBytes bounds what waits in memory while the disk is busy; beyond it
	// Append and Join refuse at once. Default 32 MiB.
	QueueBytes int
	// Storage replaces the folder on disk; for fault injection.
	Storage Storage
}

func (o Options) withDefaults() Options {
	if o.MaxWait <= 0 {
		o.MaxWait = 250 * time.Millisecond
	}
	if o.JoinWithin <= 0 {
		o.JoinWithin = 20 * time.Millisecond
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 32 << 20
	}
	return o
}

// Journal is the one writer of a folder. All methods may be called from any
// goroutine.
type Journal struct {
	storage Storage
	opts    Options
	lock    io.Closer

	kick    chan struct{} // one token: the filling batch has someone waiting, or is due
	quit    chan struct{} // closed by Close
	drained chan struct{} // closed when the committer has ended
	joinDue *time.Timer   // runs while the filling batch holds only joined records

	mu      sync.Mutex
	filling *batch // what the next commit takes; never nil
	spare   *batch // an emptied batch to fill next, or nil
	next    uint64 // index of the next record put into filling
	stopped error  // why nothing is accepted (ErrStopped, ErrClosed, wrapped), or nil
	kept    [][]byte
	repair  Repair

	// commitMu is held by whoever writes segments: the committer during a commit,
	// Reopen, and Close at its end. It is taken before mu, never after.
	commitMu sync.Mutex
	seg      segmentWriter

	durable atomic.Uint64
	commits atomic.Uint64
	bytes   atomic.Uint64
}

// segmentWriter is the segment being written.
type segmentWriter struct {
	file  File // nil when stopped or closed
	first uint64
	off   int64 // offset of the next byte to write; all before is durable
}

// batch is what one write and one sync make durable.
type batch struct {
	buf     []byte // place for a mark, then whole frames
	end     uint64 // index after its last record
	waiting bool   // an Append waits for it
	joined  []span // frames' payloads that nobody waits for
	result  *result
}

type span struct{ from, to int }

// result is how a batch ended; err is set before done is closed.
type result struct {
	done chan struct{}
	err  error
}

// reset empties b. A buffer grown by a burst is let go.
func (b *batch) reset() *batch {
	if cap(b.buf) > 1<<20 {
		b.buf = nil
	}
	b.buf = append(b.buf[:0], make([]byte, markSize)...)
	b.end, b.waiting, b.joined = 0, false, b.joined[:0]
	b.result = &result{done: make(chan struct{})}
	return b
}

func (b *batch) empty() bool { return len(b.buf) <= markSize }

// Repair is what Open or Reopen found and put right.
type Repair struct {
	TornBytes int64  // bytes of a torn tail that were left out
	Rewritten uint64 // whole records of the last batch that were written afresh
}

// Open opens the journal in dir for writing, making the folder if it is missing.
// It repairs a torn tail, begins a new segment and takes the folder's lock;
// ErrLocked if another writer lives, a *CorruptError if the last segment is
// damaged before its tail. Earlier segments are not read: that is Verify.
func Open(dir string, o Options) (*Journal, error) {
	o = o.withDefaults()
	if o.Storage == nil {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		o.Storage = folder{dir}
	}
	lock, err := o.Storage.Lock()
	if err != nil {
		return nil, err
	}
	j := &Journal{
		storage: o.Storage, opts: o, lock: lock,
		kick:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		drained: make(chan struct{}),
		filling: new(batch).reset(),
	}
	j.joinDue = time.AfterFunc(time.Hour, j.wake)
	j.joinDue.Stop()
	if err := j.start(nil); err != nil {
		lock.Close()
		return nil, err
	}
	go j.run()
	return j, nil
}

// Append adds payload as the next record and returns when it is durable. The
// payload is copied. On any error the record counts as not made; see
// ErrUnrecorded. It waits no longer than Options.MaxWait, or until ctx ends.
func (j *Journal) Append(ctx context.Context, payload []byte) error {
	res, err := j.enqueue(payload, true)
	if err != nil {
		return err
	}
	timer := timers.Get().(*time.Timer)
	timer.Reset(j.opts.MaxWait)
	defer func() {
		timer.Stop()
		timers.Put(timer)
	}()
	select {
	case <-res.done:
		return res.err
	case <-timer.C:
		return fmt.Errorf("disk took longer than %v: %w", j.opts.MaxWait, ErrUnrecorded)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnrecorded, context.Cause(ctx))
	}
}

// timers are reused by Append; stopped ones only.
var timers = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}}

// Join adds payload as the next record and returns at once: it becomes durable
// with the next commit, at the latest about Options.JoinWithin from now. For
// conclusions, which nobody waits for. If the disk fails before that, the record
// is kept in memory for Reopen and lost with the process; a decision left without
// its conclusion is found by OpenDecisions.
func (j *Journal) Join(payload []byte) error {
	_, err := j.enqueue(payload, false)
	return err
}

// enqueue copies payload as a whole frame into the batch being filled.
func (j *Journal) enqueue(payload []byte, wait bool) (*result, error) {
	if len(payload) > MaxPayload {
		return nil, ErrTooLarge
	}
	if len(payload) == 0 {
		return nil, ErrEmpty
	}
	j.mu.Lock()
	if j.stopped != nil {
		err := j.stopped
		j.mu.Unlock()
		return nil, err
	}
	b := j.filling
	if len(b.buf)+frameHead+len(payload) > j.opts.QueueBytes {
		j.mu.Unlock()
		return nil, fmt.Errorf("more than %d bytes wait for the disk: %w", j.opts.QueueBytes, ErrUnrecorded)
	}
	first := b.empty()
	b.buf = appendRecord(b.buf, j.next, payload)
	j.next++
	b.end = j.next
	wake := false
	if wait {
		wake, b.waiting = !b.waiting, true
	} else {
		b.joined = append(b.joined, span{len(b.buf) - len(payload), len(b.buf)})
	}
	res := b.result
	j.mu.Unlock()
	if wake {
		j.wake()
	} else if first && !wait {
		j.joinDue.Reset(j.opts.JoinWithin)
	}
	return res, nil
}

// wake lets the committer look at the filling batch.
func (j *Journal) wake() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// Durable is the number of records on stable storage, counting all segments from
// index 0: records with a smaller index are settled for good. The tree is built
// up to here and no further.
func (j *Journal) Durable() uint64 { return j.durable.Load() }

// Err says why nothing is accepted, or nil; for readiness checks.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopped
}

// Repaired tells what the last Open or Reopen put right.
func (j *Journal) Repaired() Repair {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.repair
}

// Stats are counts since Open.
type Stats struct {
	Durable uint64 // as Durable()
	Commits uint64 // batches synced
	Bytes   uint64 // bytes written, frames and marks
}

// Stats gives the counts, each exact, together approximate.
func (j *Journal) Stats() Stats {
	return Stats{Durable: j.durable.Load(), Commits: j.commits.Load(), Bytes: j.bytes.Load()}
}

// Close makes durable what was accepted, marks the end and gives up the lock.
// Records that could not be written make it an error. A second call returns nil.
func (j *Journal) Close() error {
	j.mu.Lock()
	if errors.Is(j.stopped, ErrClosed) {
		j.mu.Unlock()
		return nil
	}
	failed := j.stopped
	j.stopped = ErrClosed
	j.mu.Unlock()
	j.joinDue.Stop()
	close(j.quit)
	<-j.drained

	j.commitMu.Lock()
	defer j.commitMu.Unlock()
	err := failed
	if j.seg.file != nil {
		err = j.seal()
	} else if err == nil {
		err = ErrStopped // the last commit failed
	}
	if cerr := j.lock.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("release journal lock: %w", cerr)
	}
	return err
}
