package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Sizes and names of format version 1; see the package comment.
const (
	headerSize  = 32
	markSize    = 16
	frameHead   = 8
	version     = 1
	lockName    = "lock"
	segmentExt  = ".hpj"
	tmpExt      = ".tmp"
	segmentWide = 20
)

var (
	segmentMagic = [8]byte{'H', 'P', 'J', 'O', 'U', 'R', 'N', 'L'}
	markMagic    = [4]byte{'H', 'P', 'M', 0xF8}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// segmentName gives the file name of the segment whose first record is first.
func segmentName(first uint64) string {
	return fmt.Sprintf("%0*d%s", segmentWide, first, segmentExt)
}

// segmentFirst is the reverse of segmentName; ok is false for any other name.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentExt)
	if !found || len(digits) != segmentWide {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && segmentName(first) == name
}

// segmentFirsts gives the first indexes of all segments in st, ascending.
func segmentFirsts(st Storage) ([]uint64, error) {
	names, err := st.List()
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, name := range names {
		if first, ok := segmentFirst(name); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

func appendHeader(dst []byte, first uint64) []byte {
	at := len(dst)
	dst = append(dst, segmentMagic[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func recordCRC(index uint64, payload []byte) uint32 {
	var head [12]byte
	binary.LittleEndian.PutUint64(head[:], index)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(payload)))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, payload)
}

func appendRecord(dst []byte, index uint64, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, recordCRC(index, payload))
	return append(dst, payload...)
}

// putMark writes the mark that stands at offset off into dst[:markSize].
func putMark(dst []byte, index uint64, off int64, first uint64) {
	copy(dst, markMagic[:])
	binary.LittleEndian.PutUint32(dst[4:], markCRC(index, off, first))
	binary.LittleEndian.PutUint64(dst[8:], index)
}

func markCRC(index uint64, off int64, first uint64) uint32 {
	var b [28]byte
	copy(b[:], markMagic[:])
	binary.LittleEndian.PutUint64(b[4:], index)
	binary.LittleEndian.PutUint64(b[12:], uint64(off))
	binary.LittleEndian.PutUint64(b[20:], first)
	return crc32.Checksum(b[:], castagnoli)
}

// CorruptError says that durable data is damaged, and where.
type CorruptError struct {
	Segment string // file name in the folder
	Offset  int64  // bytes from the start of the file
	Index   uint64 // record that was expected there
	What    string // what does not hold
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal damaged: segment %s, offset %d, record %d: %s", e.Segment, e.Offset, e.Index, e.What)
}

// segmentEnd is where a scan of one segment came to.
type segmentEnd struct {
	index     uint64 // index after the last record
	off       int64  // offset after the last frame
	markIndex uint64 // index and offset of the last mark: all before is durable
	markOff   int64
	torn      int64 // bytes after off that are neither frames nor trailing zeros
}

const openEnd = math.MaxUint64 // no successor

// readHeader checks the header of the segment first. blank is true when there
// is no valid header and no other byte than zero behind its place: a segment
// whose making was cut short.
func readHeader(src Source, first uint64) (blank bool, err error) {
	var got [headerSize]byte
	if _, err := src.ReadAt(got[:], 0); err != nil && err != io.EOF {
		return false, fmt.Errorf("read segment header: %w", err)
	}
	if bytes.Equal(got[:], appendHeader(nil, first)) {
		return false, nil
	}
	what := "header does not check"
	if bytes.Equal(got[:8], segmentMagic[:]) && binary.LittleEndian.Uint32(got[8:]) > version {
		return false, &CorruptError{segmentName(first), 0, first, "written by a newer version"}
	}
	last, err := lastNonZero(src, headerSize)
	if err != nil {
		return false, err
	}
	if last < headerSize {
		return true, nil
	}
	return false, &CorruptError{segmentName(first), 0, first, what}
}

// scanSegment reads the segment first up to the record before stop (openEnd:
// the last segment, to its end), calling visit for each record with index >=
// from; payload is valid during the call only.
func scanSegment(src Source, first, from, stop uint64, visit func(index uint64, payload []byte) error) (segmentEnd, error) {
	end := segmentEnd{index: first, off: headerSize, markIndex: first, markOff: headerSize}
	reader := bufio.NewReaderSize(nil, bufferFor(src))
	rewind := func() { reader.Reset(io.NewSectionReader(src, end.off, src.Size()-end.off)) }
	rewind()
	damaged := func(what string) error {
		return &CorruptError{segmentName(first), end.off, end.index, what}
	}
	reread := int64(-1) // offset already read afresh once
	for end.index < stop {
		payload, size, kind, err := nextFrame(reader, end.index, end.off, first)
		if err != nil {
			return end, fmt.Errorf("read segment %s: %w", segmentName(first), err)
		}
		switch kind {
		case frameRecord:
			if visit != nil && end.index >= from {
				if err := visit(end.index, payload); err != nil {
					return end, err
				}
			}
			end.index++
		case frameMark:
			end.markIndex, end.markOff = end.index, end.off
		case frameBad:
			if stop != openEnd {
				return end, damaged("frame does not check")
			}
			last, err := lastNonZero(src, end.off)
			if err != nil || last < end.off {
				return end, err // zeros to the end of the file
			}
			at, err := findMark(src, end.off+1, first)
			if err != nil {
				return end, err
			}
			if at >= 0 {
				// A writer may have finished this frame after it was read: a mark behind it
				// says that it is whole now, so one fresh look settles it.
				if reread == end.off {
					return end, damaged("frame does not check")
				}
				reread = end.off
				rewind()
				continue
			}
			end.torn = last + 1 - end.off
			return end, nil
		case frameNone:
			if stop != openEnd {
				return end, damaged(fmt.Sprintf("ends before record %d", stop))
			}
			return end, nil
		}
		end.off += int64(size)
		if _, err := reader.Discard(size); err != nil {
			return end, fmt.Errorf("read segment %s: %w", segmentName(first), err)
		}
	}
	return end, nil
}

// bufferFor sizes a reading buffer: any frame fits, and small files cost little.
func bufferFor(src Source) int { return int(min(256<<10, max(src.Size(), 512))) }

type frameKind uint8

const (
	frameNone   frameKind = iota // nothing more in the file
	frameRecord                  // a whole record
	frameMark                    // a valid mark
	frameBad                     // bytes that are neither
)

// nextFrame looks at the frame at the reader's position without consuming it.
func nextFrame(r *bufio.Reader, index uint64, off int64, first uint64) (payload []byte, size int, kind frameKind, err error) {
	head, err := r.Peek(frameHead)
	if err != nil && err != io.EOF {
		return nil, 0, frameBad, err
	}
	if len(head) == 0 {
		return nil, 0, frameNone, nil
	}
	if len(head) < frameHead {
		return nil, 0, frameBad, nil
	}
	if [4]byte(head) == markMagic {
		mark, err := r.Peek(markSize)
		if err != nil && err != io.EOF {
			return nil, 0, frameBad, err
		}
		if len(mark) < markSize || binary.LittleEndian.Uint64(mark[8:]) != index ||
			binary.LittleEndian.Uint32(mark[4:]) != markCRC(index, off, first) {
			return nil, 0, frameBad, nil
		}
		return nil, markSize, frameMark, nil
	}
	n := binary.LittleEndian.Uint32(head)
	if n == 0 || n > MaxPayload {
		return nil, 0, frameBad, nil
	}
	frame, err := r.Peek(frameHead + int(n))
	if err == bufio.ErrBufferFull {
		return nil, 0, frameBad, nil // longer than the file; see bufferFor
	}
	if err != nil && err != io.EOF {
		return nil, 0, frameBad, err
	}
	if len(frame) < frameHead+int(n) {
		return nil, 0, frameBad, nil
	}
	payload = frame[frameHead:]
	if binary.LittleEndian.Uint32(frame[4:]) != recordCRC(index, payload) {
		return nil, 0, frameBad, nil
	}
	return payload, len(frame), frameRecord, nil
}

// findMark gives the offset of the first valid mark at or after off, or -1.
func findMark(src Source, off int64, first uint64) (int64, error) {
	buf := make([]byte, bufferFor(src))
	for off < src.Size() {
		n, err := src.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return -1, fmt.Errorf("read segment %s: %w", segmentName(first), err)
		}
		if n < markSize {
			return -1, nil
		}
		for at := 0; ; at++ {
			i := bytes.Index(buf[at:n], markMagic[:])
			if i < 0 || at+i+markSize > n {
				break
			}
			at += i
			index := binary.LittleEndian.Uint64(buf[at+8:])
			if binary.LittleEndian.Uint32(buf[at+4:]) == markCRC(index, off+int64(at), first) {
				return off + int64(at), nil
			}
		}
		off += int64(n - markSize + 1)
	}
	return -1, nil
}

// lastNonZero gives the offset of the last byte at or after off that is not
// zero, or off-1.
func lastNonZero(src Source, off int64) (int64, error) {
	buf := make([]byte, bufferFor(src))
	last := off - 1
	for off < src.Size() {
		n, err := src.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return last, fmt.Errorf("read segment: %w", err)
		}
		if n == 0 {
			break
		}
		if trimmed := bytes.TrimRight(buf[:n], "\x00"); len(trimmed) > 0 {
			last = off + int64(len(trimmed)) - 1
		}
		off += int64(n)
	}
	return last, nil
}
