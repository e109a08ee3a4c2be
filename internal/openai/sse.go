package openai

import (
	"bytes"
	"errors"
	"io"
)

// ErrEventTooLarge is returned for a server-sent event over the reader's bound; the stream cannot go on.
var ErrEventTooLarge = errors.New("server-sent event over the size bound")

// Event is one server-sent event or a block of comments. Its slices alias the reader's buffer until the next call of Next.
type Event struct {
	Raw  []byte // every byte of the event, the blank line that ends it included
	Name string // value of "event:", "" when absent
	Data []byte // value of "data:", lines joined by \n; nil for a block with comments only
}

// EventReader reads server-sent events (WHATWG HTML 9.2) from r, whatever the split of bytes across reads: LF, CRLF and CR
// line ends, multi-line data, comments, a byte order mark. Its memory is one event, at most max bytes.
type EventReader struct {
	r     io.Reader
	buf   []byte
	at    int // start of unread bytes
	end   int
	max   int
	err   error
	begun bool
	full  bool // the last read filled the buffer
	ahead int  // length of the next event, when Buffered found it; else 0
	join  []byte
}

// NewEventReader reads events of at most max bytes from r, using buf as its first buffer.
func NewEventReader(r io.Reader, buf []byte, max int) *EventReader {
	if len(buf) < 512 {
		buf = make([]byte, min(4096, max))
	}
	buf = buf[:min(len(buf), max)]
	return &EventReader{r: r, buf: buf, max: max}
}

// Buffered reports whether another whole event is already in memory: the next Next will not read.
func (er *EventReader) Buffered() bool {
	if er.ahead == 0 && er.begun {
		er.ahead, _ = eventEndFrom(er.buf[er.at:er.end], 0, false)
	}
	return er.ahead > 0
}

// Next returns the next event. At the end of the stream it returns io.EOF; when bytes of an unfinished event are left,
// it returns them once in Event.Raw together with io.ErrUnexpectedEOF.
func (er *EventReader) Next() (Event, error) {
	if n := er.ahead; n > 0 {
		raw := er.buf[er.at : er.at+n]
		er.at, er.ahead = er.at+n, 0
		return er.event(raw), nil
	}
	scanned := 0
	for {
		window := er.buf[er.at:er.end]
		if !er.begun && len(window) >= 3 {
			er.begun = true
			if bytes.HasPrefix(window, []byte("\xef\xbb\xbf")) {
				er.at += 3
				window = window[3:]
			}
		}
		if n, ok := eventEndFrom(window, scanned, er.err == io.EOF); ok {
			raw := window[:n]
			er.at += n
			return er.event(raw), nil
		}
		scanned = max(0, len(window)-3)
		if er.err != nil {
			er.at = er.end
			if len(window) > 0 && er.err == io.EOF {
				return Event{Raw: window}, io.ErrUnexpectedEOF
			}
			return Event{}, er.err
		}
		if err := er.fill(); err != nil {
			return Event{}, err
		}
	}
}

// burst is what a reader's buffer grows to when a read filled it: a slow stream needs a few hundred bytes, and one that
// comes in bursts is read and handed on in fewer, larger pieces. It and a chunk's frame fit a server's 4 KiB buffer.
const burst = 4080

func (er *EventReader) fill() error {
	if er.at == er.end {
		er.at, er.end = 0, 0
	}
	if er.full && len(er.buf) < min(burst, er.max) {
		wide := make([]byte, min(burst, er.max))
		er.end = copy(wide, er.buf[er.at:er.end])
		er.buf, er.at = wide, 0
	}
	if er.end == len(er.buf) {
		if er.at > 0 {
			er.end = copy(er.buf, er.buf[er.at:er.end])
			er.at = 0
		} else {
			if len(er.buf) >= er.max {
				return ErrEventTooLarge
			}
			grown := make([]byte, min(2*len(er.buf), er.max))
			copy(grown, er.buf[:er.end])
			er.buf = grown
		}
	}
	for range 100 {
		n, err := er.r.Read(er.buf[er.end:])
		er.end += n
		er.full = er.end == len(er.buf)
		if err != nil {
			er.err = err
		}
		if n > 0 || err != nil {
			return nil
		}
	}
	return io.ErrNoProgress
}

// event splits raw into its fields.
func (er *EventReader) event(raw []byte) Event {
	ev := Event{Raw: raw}
	if bytes.HasPrefix(raw, []byte("data:")) { // nearly all events: one line of data and the blank line
		if j := lineEndIndex(raw); string(raw[j:]) == "\n\n" || string(raw[j:]) == "\r\n\r\n" {
			ev.Data = bytes.TrimPrefix(raw[len("data:"):j], []byte(" "))
			return ev
		}
	}
	lines := 0
	for i := 0; i < len(raw); {
		line := raw[i:]
		if j := lineEndIndex(line); j >= 0 {
			line = line[:j]
			i += j + 1
			if raw[i-1] == '\r' && i < len(raw) && raw[i] == '\n' {
				i++
			}
		} else {
			i = len(raw)
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			switch lines++; lines {
			case 1:
				ev.Data = value
				if ev.Data == nil {
					ev.Data = []byte{}
				}
			case 2:
				er.join = append(append(append(er.join[:0], ev.Data...), '\n'), value...)
				ev.Data = er.join
			default:
				er.join = append(append(er.join, '\n'), value...)
				ev.Data = er.join
			}
		case "event":
			ev.Name = string(value)
		}
	}
	return ev
}

// eventEndFrom finds the end of the first event: the blank line that ends it included, looking from index from on.
// Blank lines before any other line belong to the event (keep-alives), so an event is never empty of bytes.
// final says that nothing follows b.
func eventEndFrom(b []byte, from int, final bool) (int, bool) {
	// A blank line is two line ends in a row. A CR at the very end may be half of a CRLF: wait for the next byte.
	for i := from; i < len(b); {
		j := lineEndIndex(b[i:])
		if j < 0 {
			return 0, false
		}
		e, ok := lineEnd(b, i+j, final)
		if !ok {
			return 0, false
		}
		if e >= len(b) {
			return 0, false
		}
		if b[e] == '\n' || b[e] == '\r' {
			e2, ok := lineEnd(b, e, final)
			if !ok {
				// The blank line's CR is there; whether an LF follows decides only who owns it.
				return 0, false
			}
			return e2, true
		}
		i = e
	}
	return 0, false
}

// lineEnd returns the index after the line end that starts at i; false when a trailing CR may still get its LF.
func lineEnd(b []byte, i int, final bool) (int, bool) {
	if b[i] == '\n' {
		return i + 1, true
	}
	if i+1 == len(b) {
		return i + 1, final
	}
	if b[i+1] == '\n' {
		return i + 2, true
	}
	return i + 1, true
}

// lineEndIndex is the index of the first CR or LF in b, -1 without one.
func lineEndIndex(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
