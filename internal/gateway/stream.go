package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"homeport/internal/openai"
)

// maxEvent bounds the memory of one stream.
const maxEvent = 4 << 20

// Patience holds the time limits towards clients; a zero field means its default.
type Patience struct {
	Commit    time.Duration // headers go out then, if the upstream answered 2xx but sent no event yet (DESIGN 5.1); 10 s
	KeepAlive time.Duration // a comment goes out when a stream was quiet for so long; 15 s
	Write     time.Duration // a reader that takes nothing for so long, or up to twice that, is dropped; 30 s
}

func (p Patience) withDefaults() Patience {
	return Patience{cmp.Or(p.Commit, 10*time.Second), cmp.Or(p.KeepAlive, 15*time.Second), cmp.Or(p.Write, 30*time.Second)}
}

var (
	keepAlive = []byte(": keep-alive\n\n")
	doneEvent = []byte("data: [DONE]\n\n")
)

// follower looks at each event of one upstream answer and says what the client sees of it.
type follower interface {
	// Event judges the data of one event. out may alias data; emit false leaves the event out; done marks [DONE].
	Event(name string, data []byte) (out []byte, emit, done bool, err *openai.Error)
	// Finish gives data of events still owed before [DONE], and whether the stream came to a proper end.
	Finish() (tail [][]byte, proper bool)
}

// sink is the client's side of a stream. Its mutex is held for writes, because the keep-alive timer writes too.
type sink struct {
	mu        sync.Mutex
	w         http.ResponseWriter
	rc        *http.ResponseController
	commit    func(h http.Header, early bool) // sets the answer's headers, once; early: from the timer, before any event
	conceal   func(e *openai.Error)
	now       func() time.Time
	patience  Patience
	committed bool
	early     bool
	closed    bool
	dirty     bool // bytes were written since the last flush
	last      time.Time
	deadline  time.Time
	timer     *time.Timer
	written   int64
	err       error
}

// newSink prepares a stream to w. Nothing is sent before the first event, or before patience.Commit.
func newSink(w http.ResponseWriter, now func() time.Time, patience Patience, commit func(h http.Header, early bool)) *sink {
	s := &sink{w: w, rc: http.NewResponseController(w), commit: commit, now: now, patience: patience, last: now()}
	s.mu.Lock() // the timer may come before it is known here
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(patience.Commit, s.idle)
	return s
}

// idle runs on the timer: it commits the headers, or keeps the connection alive while the upstream thinks.
func (s *sink) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil {
		return
	}
	if quiet := s.now().Sub(s.last); s.committed && quiet < s.patience.KeepAlive {
		s.timer.Reset(s.patience.KeepAlive - quiet)
		return
	}
	s.early = !s.committed
	s.put(keepAlive)
	s.early = false
	s.flush()
	s.timer.Reset(s.patience.KeepAlive)
}

// put writes b, the headers first. The caller holds mu.
func (s *sink) put(b []byte) {
	if s.err != nil {
		return
	}
	if !s.committed {
		s.committed = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		s.commit(h, s.early)
		s.arm(s.now()) // an event larger than the server's buffer is written at once
		s.w.WriteHeader(http.StatusOK)
	}
	n, err := s.w.Write(b)
	s.written += int64(n)
	s.dirty = true
	if err != nil {
		s.err = err
	}
}

// arm moves the write deadline, only now and then: moving it costs a timer each time.
func (s *sink) arm(now time.Time) {
	if s.deadline.Sub(now) >= s.patience.Write {
		return
	}
	s.deadline = now.Add(2 * s.patience.Write)
	if err := s.rc.SetWriteDeadline(s.deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = err
	}
}

// flush sends what was written.
func (s *sink) flush() {
	if !s.dirty || s.err != nil {
		return
	}
	now := s.now()
	s.last = now
	if s.arm(now); s.err != nil {
		return
	}
	s.dirty = false
	if err := s.rc.Flush(); err != nil {
		s.err = err
	}
}

// Committed reports whether headers were sent: from then on the target is fixed.
func (s *sink) Committed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed
}

// close stops the timer; after it nothing else writes to the client.
func (s *sink) close() {
	s.timer.Stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// streamEnd says how a stream came to its end.
type streamEnd struct {
	Upstream error         // the upstream broke off, or sent what cannot be read
	Client   error         // the client is gone or too slow
	InBand   *openai.Error // the upstream reported an error within its stream
	Events   int
	FirstAt  time.Time // when the first event arrived; zero when none did
}

// Proper reports a stream that ended as it should.
func (e *streamEnd) Proper() bool { return e.Upstream == nil && e.Client == nil && e.InBand == nil }

var errNoEnd = errors.New("the upstream's stream stopped without its end mark")

// copyEvents carries events from body to the client until the end of either. Events are looked at in place and flushed at
// once; those of a burst that are already in memory and go on untouched go out as the one stretch of bytes they came as. An
// error before anything was committed leaves the client untouched, so that the caller may answer with a status or try the
// next target.
func copyEvents(s *sink, body io.Reader, buf []byte, f follower) (end streamEnd) {
	er := openai.NewEventReader(body, buf, maxEvent)
	var stretch []byte // untouched events that wait for the end of the burst; it aliases the reader's buffer
	for {
		ev, err := er.Next()
		if err != nil {
			return s.finish(f, err, ev.Raw, end)
		}
		if ev.Data == nil {
			if err := s.send(stretch, nil, true); err != nil {
				end.Client = err
				return end
			}
			stretch = nil
			s.comment(ev.Raw)
			continue
		}
		if end.Events == 0 {
			end.FirstAt = s.now()
		}
		end.Events++
		out, emit, done, apiErr := f.Event(ev.Name, ev.Data)
		var changed []byte
		switch {
		case apiErr != nil || done:
		case emit && len(out) > 0 && len(out) == len(ev.Data) && &out[0] == &ev.Data[0]:
			if n := len(stretch); n > 0 && n+len(ev.Raw) <= cap(stretch) && &stretch[:n+1][n] == &ev.Raw[0] {
				stretch = stretch[:n+len(ev.Raw)] // byte for byte, behind the last one
			} else {
				err = s.send(stretch, nil, false)
				stretch = ev.Raw
			}
			if err == nil && er.Buffered() {
				continue
			}
		case emit:
			changed = appendEvent(nil, out)
		}
		if err == nil {
			err = s.send(stretch, changed, apiErr == nil && !done && !er.Buffered())
		}
		stretch = nil
		switch {
		case err != nil:
			end.Client = err
			return end
		case apiErr != nil:
			end.InBand = apiErr
			s.conceal(apiErr)
			s.fail(apiErr)
			return end
		case done:
			return s.finish(f, nil, nil, end)
		}
	}
}

// slowEvent is the most that the first piece of a slow stream has: more than this at once is a burst, and soon over.
const slowEvent = 512

// send writes two pieces, each possibly empty, and flushes when asked.
func (s *sink) send(a, b []byte, flush bool) error {
	if len(a)+len(b) == 0 && !flush {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed || len(a)+len(b) > slowEvent {
		s.write(a, b, flush)
	} else {
		// The server writes an answer's head with some 3 KB of stack. On a stack of its own that does not double the
		// stack of this goroutine, which may then wait for an hour: 8 KB for each of thousands of streams.
		apart(func() { s.write(a, b, flush) })
	}
	return s.err
}

func (s *sink) write(a, b []byte, flush bool) {
	if len(a) > 0 {
		s.put(a)
	}
	if len(b) > 0 {
		s.put(b)
	}
	if flush {
		s.flush()
	}
}

// apart runs f in a goroutine of its own and waits for it.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// comment passes the upstream's keep-alive on, but commits nothing by itself.
func (s *sink) comment(raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		s.put(raw)
		s.flush()
	}
}

// finish ends the stream: owed events and [DONE] after a proper end, an error event and no [DONE] otherwise.
func (s *sink) finish(f follower, readErr error, rest []byte, end streamEnd) streamEnd {
	if isDone(rest) { // [DONE] without the blank line after it is still the end
		readErr, rest = nil, nil
		f.Event("", []byte("[DONE]"))
	}
	tail, proper := f.Finish()
	if readErr != nil && !errors.Is(readErr, io.EOF) || len(rest) > 0 {
		proper = false
	}
	if !proper {
		end.Upstream = readErr
		if readErr == nil || errors.Is(readErr, io.EOF) {
			end.Upstream = errNoEnd
		}
		s.fail(brokenStream())
		return end
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, data := range tail {
		s.put(appendEvent(nil, data))
	}
	s.put(doneEvent)
	s.arm(s.now()) // not flushed: the server does, together with the end of the body, as soon as the request is concluded
	end.Client = s.err
	return end
}

// fail makes a committed stream look broken: an error event, then nothing. Before commitment it leaves the client alone.
func (s *sink) fail(e *openai.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		b := e.AppendJSON(nil)
		s.put(appendEvent(nil, b[:len(b)-1])) // without the newline that ends a body
		s.flush()
	}
}

func isDone(rest []byte) bool {
	data, ok := bytes.CutPrefix(bytes.TrimSpace(rest), []byte("data:"))
	return ok && string(bytes.TrimSpace(data)) == "[DONE]"
}

func appendEvent(dst, data []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, len(data)+8)
	}
	dst = append(append(dst, "data: "...), data...)
	return append(dst, "\n\n"...)
}

func brokenStream() *openai.Error {
	return &openai.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "upstream_stream_broken",
		Message: "The upstream's stream broke off; what came before is incomplete. 上游数据流中断，已收到的内容不完整。"}
}
