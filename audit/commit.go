package audit

import (
	"fmt"
	"math"
	"runtime"
	"strings"
)

// run is the committer: the only goroutine that writes batches.
func (j *Journal) run() {
	defer close(j.drained)
	for {
		select {
		case <-j.kick:
			j.commit()
		case <-j.quit:
			j.commit()
			return
		}
	}
}

// commit makes the filling batch durable and answers all who wait for it.
//
// If the process dies before Sync returns, nobody was told that these records
// exist; the next Open keeps those that are whole. If it dies after, they are on
// disk and the mark before the next batch will say so.
func (j *Journal) commit() {
	// Goroutines about to append get to run first: a fuller batch for the same sync.
	runtime.Gosched()

	j.commitMu.Lock()
	defer j.commitMu.Unlock()
	j.mu.Lock()
	b := j.filling
	if b.empty() || j.seg.file == nil {
		j.mu.Unlock()
		return
	}
	if j.spare == nil {
		j.spare = new(batch).reset()
	}
	j.filling, j.spare = j.spare, nil
	j.mu.Unlock()

	if err := j.write(b); err != nil {
		j.stop(b, err)
		return
	}
	j.durable.Store(b.end)
	j.commits.Add(1)
	j.bytes.Add(uint64(len(b.buf)))
	close(b.result.done)

	b.reset()
	j.mu.Lock()
	j.spare = b
	j.mu.Unlock()
}

// write puts b behind what is durable, in the next segment if this one is full.
// Caller holds commitMu.
func (j *Journal) write(b *batch) error {
	if j.seg.off+int64(len(b.buf)) > j.opts.SegmentBytes && j.seg.off > headerSize {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	putMark(b.buf, j.durable.Load(), j.seg.off, j.seg.first)
	if _, err := j.seg.file.Write(b.buf); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.seg.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	j.seg.off += int64(len(b.buf))
	return nil
}

// rotate ends the segment, all of which is durable, and begins the next. If it
// fails half way, the old segment is still the last one or the new one is whole.
func (j *Journal) rotate() error {
	next, err := createSegment(j.storage, j.durable.Load(), nil, j.opts.SegmentBytes)
	if err != nil {
		return err
	}
	old := j.seg
	j.seg = next
	// The old segment is whole without this: zeros behind its end are allowed.
	err = old.file.Truncate(old.off)
	if cerr := old.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("end journal segment: %w", err)
	}
	return nil
}

// stop refuses everything from now on, b and what has been queued behind it
// first. Joined records are kept for Reopen. Caller holds commitMu.
func (j *Journal) stop(b *batch, cause error) {
	// Its state on disk is unknown now: no retry, no further write. Close errors
	// add nothing to that.
	j.seg.file.Close()
	j.seg.file = nil
	err := fmt.Errorf("%w: %w", ErrStopped, cause)

	j.mu.Lock()
	if j.stopped == nil {
		j.stopped = err
	}
	after := j.filling
	j.filling = new(batch).reset()
	for _, lost := range []*batch{b, after} {
		lost.result.err = err
		for _, s := range lost.joined {
			j.kept = append(j.kept, lost.buf[s.from:s.to])
		}
	}
	j.mu.Unlock()
	close(b.result.done)
	close(after.result.done)
}

// seal writes the mark that says all is durable, frees unused space and closes
// the file. Caller holds commitMu.
func (j *Journal) seal() error {
	var mark [markSize]byte
	putMark(mark[:], j.durable.Load(), j.seg.off, j.seg.first)
	file := j.seg.file
	j.seg.file = nil
	_, err := file.Write(mark[:])
	if err == nil {
		err = file.Truncate(j.seg.off + markSize)
	}
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close journal segment: %w", err)
	}
	return nil
}

// createSegment makes the segment that begins with record first, holding frames
// (whole record frames from first on; nil for none), durable before it gets its
// name. A segment in sight is therefore whole up to there.
func createSegment(st Storage, first uint64, frames []byte, size int64) (segmentWriter, error) {
	name := segmentName(first)
	head := appendHeader(make([]byte, 0, headerSize+markSize+len(frames)), first)
	if len(frames) > 0 {
		var mark [markSize]byte
		putMark(mark[:], first, headerSize, first)
		head = append(append(head, mark[:]...), frames...)
	}
	file, err := st.Create(name+tmpExt, size)
	if err != nil {
		return segmentWriter{}, err
	}
	_, err = file.Write(head)
	if err == nil {
		err = file.Sync()
	}
	// Closed before the rename: Windows renames no open file.
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return segmentWriter{}, fmt.Errorf("begin journal segment: %w", err)
	}
	if err := st.Publish(name+tmpExt, name); err != nil {
		return segmentWriter{}, err
	}
	file, err = st.Append(name, int64(len(head)))
	if err != nil {
		return segmentWriter{}, err
	}
	return segmentWriter{file: file, first: first, off: int64(len(head))}, nil
}

// Reopen begins again after ErrStopped: it checks the last segment up to the
// last record known durable, leaves what followed behind, and goes on in a new
// segment with the joined records that were waiting. It does nothing if the
// journal accepts records, and returns ErrClosed after Close. On an error the
// journal stays stopped, and Reopen may be tried again.
func (j *Journal) Reopen() error {
	j.commitMu.Lock()
	defer j.commitMu.Unlock()
	j.mu.Lock()
	stopped := j.stopped
	j.mu.Unlock()
	if stopped == nil {
		return nil
	}
	if stopped == ErrClosed {
		return ErrClosed
	}
	durable := j.durable.Load()
	if err := j.start(&durable); err != nil {
		return err
	}
	return nil
}

// start finds the end of the journal and begins a segment there. durable is the
// number of records this process knows to be durable, nil when it has just
// begun: then whole records of an unmarked last batch are taken over. Caller is
// Open or holds commitMu.
func (j *Journal) start(durable *uint64) error {
	names, err := j.storage.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		segment, unfinished := strings.CutSuffix(name, tmpExt)
		if _, ours := segmentFirst(segment); unfinished && ours {
			if err := j.storage.Remove(name); err != nil {
				return err
			}
		}
	}
	limit := uint64(math.MaxUint64)
	if durable != nil {
		limit = *durable
	}
	tail, err := findTail(j.storage, limit)
	if err != nil {
		return err
	}
	if durable != nil && tail.next != *durable {
		return &CorruptError{segmentName(tail.first), tail.off, tail.next, fmt.Sprintf("ends before record %d, which was durable", *durable)}
	}

	j.mu.Lock()
	kept := j.kept
	j.mu.Unlock()
	frames, next := tail.frames, tail.next
	for _, payload := range kept {
		frames = appendRecord(frames, next, payload)
		next++
	}
	seg, err := createSegment(j.storage, tail.begin, frames, j.opts.SegmentBytes)
	if err != nil {
		return err
	}
	// From here the new segment is the truth: what the old one holds from
	// tail.begin on is left over. Cutting it off is tidiness; a disk that refuses
	// it has not made the journal wrong.
	if tail.found && tail.first != tail.begin {
		if old, err := j.storage.Append(segmentName(tail.first), tail.off); err == nil {
			_ = old.Truncate(tail.off)
			_ = old.Close()
		}
	}
	j.seg = seg
	j.durable.Store(next)
	j.mu.Lock()
	j.next, j.kept, j.stopped = next, nil, nil
	j.repair = Repair{TornBytes: tail.torn, Rewritten: tail.next - tail.begin}
	j.mu.Unlock()
	return nil
}

// tail is the end of the journal as found on disk.
type tail struct {
	found  bool   // there is a segment
	first  uint64 // its first index
	off    int64  // offset of record begin in it
	begin  uint64 // the new segment begins with this record
	next   uint64 // index after the last whole record
	frames []byte // the frames of records begin to next
	torn   int64
}

// findTail reads the last segment up to the record before limit.
func findTail(st Storage, limit uint64) (tail, error) {
	firsts, err := segmentFirsts(st)
	if err != nil {
		return tail{}, err
	}
	if len(firsts) == 0 {
		return tail{}, nil
	}
	first := firsts[len(firsts)-1]
	src, err := st.Open(segmentName(first))
	if err != nil {
		return tail{}, err
	}
	defer src.Close()
	blank, err := readHeader(src, first)
	if err != nil {
		return tail{}, err
	}
	if blank {
		// Never by this writer, which names a segment when it is durable; so not ours to mend.
		return tail{}, &CorruptError{segmentName(first), 0, first, "header is missing"}
	}
	t := tail{found: true, first: first}
	stop := uint64(openEnd)
	if limit != math.MaxUint64 {
		stop = limit
	}
	end, err := scanSegment(src, first, 0, stop, nil)
	if err != nil {
		return tail{}, err
	}
	t.torn, t.next = end.torn, end.index
	if limit != math.MaxUint64 {
		// Known durable by this process up to here, and nothing after is wanted.
		t.begin, t.off = end.index, end.off
		return t, nil
	}
	t.begin, t.off = end.markIndex, end.markOff
	if n := end.off - end.markOff; n > 0 && end.index > end.markIndex {
		body := make([]byte, n)
		if _, err := src.ReadAt(body, end.markOff); err != nil {
			return tail{}, fmt.Errorf("read segment %s: %w", segmentName(first), err)
		}
		if [4]byte(body) == markMagic {
			body = body[markSize:]
		}
		t.frames = body
	}
	return t, nil
}
