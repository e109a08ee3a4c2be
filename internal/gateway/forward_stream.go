package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync"

	"homeport/internal/provider"
	"homeport/internal/upstream"
)

// stream carries a streamed answer. The client's headers go out with the first valid event, or after Patience.Commit.
func (c *carrier) stream(j *judged, ans *upstream.Answer, f *provider.Answer) (upstream.Outcome, upstream.Health) {
	if ct := ans.Header.Get("Content-Type"); strings.HasPrefix(ct, "application/json") {
		return c.notStream(j, ans, f)
	}
	counted := &countingReader{r: ans.Body}
	s := c.sink(j, ans, f)
	buf := streamBuffers.Get().(*[]byte)
	end := copyEvents(s, counted, *buf, f)
	s.close()
	clear(*buf)
	streamBuffers.Put(buf)
	c.out.bytesIn, c.out.bytesOut, c.out.firstAt = counted.n, s.written, end.FirstAt
	return c.ended(s, f, &end)
}

// sink prepares the client's side; its headers go out with the first bytes.
func (c *carrier) sink(j *judged, ans *upstream.Answer, f *provider.Answer) *sink {
	s := newSink(c.w, c.g.opts.Now, c.g.opts.Patience, func(h http.Header, early bool) {
		upstream.CopyHeader(h, ans.Header)
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		follower := f
		if early {
			follower = nil // it may be at work on the first event
		}
		c.headers(h, j.Target, c.adapted(j, follower))
		c.in.forget()
	})
	s.conceal = j.Target.conceal
	return s
}

// ended judges how a stream came to its end.
func (c *carrier) ended(s *sink, f *provider.Answer, end *streamEnd) (upstream.Outcome, upstream.Health) {
	if end.Proper() {
		c.out.status, c.out.result, c.out.code = http.StatusOK, resultOK, ""
		return upstream.Outcome{Kind: upstream.OK, Committed: true}, upstream.Healthy
	}
	committed := s.committed // the timer has ended: nobody else writes it now
	if committed {
		c.out.status = http.StatusOK
	}
	switch {
	case end.Client != nil, c.r.Context().Err() != nil:
		c.out.result, c.out.code, c.out.abort = resultClientGone, "client_gone", true
		return upstream.Outcome{Kind: upstream.Fatal, Committed: committed, Reason: "client_gone"}, upstream.Ignored
	case end.InBand != nil:
		o := c.classified(end.InBand, f.Class(), 0)
		if o.Committed = committed; committed {
			c.last, c.out.result = nil, resultStreamBroken
		}
		health := upstream.Ignored
		if f.Class().Retryable() {
			health = upstream.Failed
		}
		return o, health
	}
	o := c.failed(end.Upstream)
	if class := upstream.ClassOf(end.Upstream); class == upstream.ClassNone || class == upstream.ClassBroken {
		c.out.code = "upstream_stream_broken"
		o.Kind = upstream.Retryable
	}
	if o.Committed = committed; committed {
		c.last = nil
		if c.out.result != resultTimeout {
			c.out.result = resultStreamBroken
		}
	}
	return o, upstream.Failed
}

// notStream takes a JSON body where a stream was asked for: mostly an error with status 200, else an answer that becomes
// one event.
func (c *carrier) notStream(j *judged, ans *upstream.Answer, f *provider.Answer) (upstream.Outcome, upstream.Health) {
	body, err := readUpTo(ans.Body, make([]byte, 0, 4<<10), headWindow)
	c.out.bytesIn, c.out.firstAt = int64(len(body)), c.g.opts.Now()
	if err == nil || err != io.EOF {
		if err == nil {
			err = &upstream.Error{Class: upstream.ClassProtocol, Started: true, Sent: true}
		}
		return c.failed(err), upstream.HealthOf(err)
	}
	event, e := f.Single(body)
	if e != nil {
		return c.classified(e, f.Class(), 0), upstream.Ignored
	}
	s := c.sink(j, ans, f)
	s.send(appendEvent(nil, event), nil, false)
	end := s.finish(f, nil, nil, streamEnd{Events: 1})
	s.close()
	c.out.bytesOut = s.written
	return c.ended(s, f, &end)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// streamBuffers are the first buffers of event readers: one a stream, cleared before they are given back. A reader that meets
// a burst takes a larger one for itself.
var streamBuffers = sync.Pool{New: func() any { b := make([]byte, 1<<10); return &b }}
