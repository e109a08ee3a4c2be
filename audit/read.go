package audit

import "fmt"

// Report is what Verify found.
type Report struct {
	Records   uint64 // whole records
	Segments  int
	First     uint64 // index of the first record; 0 unless old segments were archived
	Next      uint64 // index after the last record
	Bytes     int64  // payload bytes
	TornBytes int64  // bytes behind the end that belong to no record
}

// Read calls visit for every record of the journal in dir from index from on, in
// order; payload is valid during the call only. It needs no lock and may run
// beside a writer: it then ends at the last record that was whole when it got
// there, which may be one not yet confirmed durable. An error of visit ends it
// and is returned; damage is a *CorruptError.
func Read(dir string, from uint64, visit func(index uint64, payload []byte) error) error {
	_, err := readAll(folder{dir}, from, visit)
	return err
}

// Verify reads the whole journal in dir and checks every header, frame and the
// order of indexes.
func Verify(dir string) (Report, error) {
	var bytes int64
	r, err := readAll(folder{dir}, 0, func(_ uint64, payload []byte) error {
		bytes += int64(len(payload))
		return nil
	})
	r.Bytes = bytes
	return r, err
}

func readAll(st Storage, from uint64, visit func(uint64, []byte) error) (Report, error) {
	firsts, err := segmentFirsts(st)
	if err != nil || len(firsts) == 0 {
		return Report{}, err
	}
	r := Report{First: firsts[0], Next: firsts[0]}
	for i, first := range firsts {
		stop := uint64(openEnd)
		if i+1 < len(firsts) {
			stop = firsts[i+1]
		}
		if stop <= from {
			r.Segments++
			r.Next, r.Records = stop, stop-r.First
			continue
		}
		end, err := readSegment(st, first, from, stop, visit)
		if err != nil {
			return r, err
		}
		r.Segments++
		r.TornBytes += end.torn
		r.Next, r.Records = end.index, end.index-r.First
	}
	return r, nil
}

func readSegment(st Storage, first, from, stop uint64, visit func(uint64, []byte) error) (segmentEnd, error) {
	src, err := st.Open(segmentName(first))
	if err != nil {
		return segmentEnd{}, err
	}
	defer src.Close()
	blank, err := readHeader(src, first)
	if err != nil {
		return segmentEnd{}, err
	}
	if blank {
		return segmentEnd{}, &CorruptError{segmentName(first), 0, first, "header is missing"}
	}
	end, err := scanSegment(src, first, from, stop, visit)
	if err != nil || stop == openEnd {
		return end, err
	}
	// Leftovers of a batch that the next segment took over, or of a failed one.
	last, err := leftover(src, end.off)
	if err != nil {
		return end, fmt.Errorf("read segment %s: %w", segmentName(first), err)
	}
	end.torn = last
	return end, nil
}

// leftover counts the bytes at off and behind, up to the last that is not zero,
// that are not a lone closing mark.
func leftover(src Source, off int64) (int64, error) {
	last, err := lastNonZero(src, off)
	if err != nil || last < off {
		return 0, err
	}
	if last-off < markSize {
		var got [markSize]byte
		if _, err := src.ReadAt(got[:min(markSize, src.Size()-off)], off); err != nil {
			return 0, err
		}
		if [4]byte(got[:4]) == markMagic {
			return 0, nil
		}
	}
	return last + 1 - off, nil
}
