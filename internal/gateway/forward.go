package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/upstream"
	"homeport/policy"
)

// Bounds of what is held in memory of one answer that is not a stream.
const (
	headWindow   = 256 << 10 // an answer up to this is read whole; a longer one is streamed on where its dialect allows
	wholeAnswer  = 16 << 20  // the most that is held where a dialect must see the whole
	tailWindow   = 4 << 10   // where the usage figure is looked for in a streamed body
	errorBody    = 64 << 10
	serverBuffer = 2 << 10          // what the server holds of an answer before it writes: below that no reader is waited for here
	maxBackoff   = 10 * time.Second // all waits of one request together
)

// Results of a request, as its conclusion tells them.
const (
	resultOK           = "ok"
	resultRefused      = "refused"
	resultUpstream     = "upstream_error"
	resultClientGone   = "client_gone"
	resultStreamBroken = "stream_broken"
	resultTimeout      = "timeout"
	resultInternal     = "internal_error"
	resultUnrecorded   = "unrecorded"
)

// outcome is what really happened.
type outcome struct {
	status   int
	result   string
	code     string  // short code of an error
	target   *Target // that answered, or was asked last
	tries    int
	usage    provider.Usage
	bytesIn  int64
	bytesOut int64
	firstAt  time.Time
	adapted  []string
	sent     bool // some byte of the request may have left
	abort    bool // the connection is cut once the request is concluded
}

func (o *outcome) internal() {
	o.status, o.result = http.StatusInternalServerError, resultInternal
}

// carrier takes one request to its targets. It lives as long as forward.
type carrier struct {
	g   *Gateway
	w   http.ResponseWriter
	r   *http.Request
	app *App
	ex  *exchange
	in  *admitted
	ru  *ruling
	rec *recorded

	body []byte // for the next try
	last *openai.Error
	out  outcome
}

// forward sends the request to the first permitted target, and on failure before the first byte to the next ones, each
// made durable as an attempt before its bytes leave (invariant 3). It answers the client in every case.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, p *Pipeline, app *App, ex *exchange, in *admitted, ru *ruling, rec *recorded) outcome {
	c := &carrier{g: g, w: w, r: r, app: app, ex: ex, in: in, ru: ru, rec: rec, body: rec.body}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // an upstream is stopped as soon as nobody reads it
	plan := upstream.Plan{Steps: ru.order, Budget: maxBackoff}
	res, err := upstream.Try(ctx, plan, func(target, n int, reason string) error {
		var err error
		c.body, err = g.attempt(ctx, app, ex, in, rec, &ru.judged[target], n, reason)
		if err == nil {
			rec.events++
		}
		return err
	}, c.try)
	c.out.tries = res.Tries
	switch {
	case err != nil && upstream.ClassOf(err) == upstream.ClassCanceled && r.Context().Err() != nil:
		c.out.result, c.out.status, c.out.abort = resultClientGone, 0, true
	case err != nil:
		c.out.result, c.out.code = resultUnrecorded, "evidence_unavailable"
		c.refuseWith(faults["record"])
	case c.last != nil:
		c.refuseWith(c.last)
	}
	return c.out
}

// refuseWith answers an error, unless the client has gone.
func (c *carrier) refuseWith(e *openai.Error) {
	if c.r.Context().Err() != nil {
		c.out.result, c.out.status, c.out.abort = resultClientGone, 0, true // no answer, rather than an empty one
		return
	}
	c.headers(c.w.Header(), c.out.target, nil)
	c.out.status = e.Status
	if c.out.code == "" {
		c.out.code = e.Code
	}
	e.Write(c.w)
}

// try asks one target once. What it returns decides whether another try may follow; nothing has reached the client unless
// it says Committed.
func (c *carrier) try(ctx context.Context, index, n int) upstream.Outcome {
	j := &c.ru.judged[index]
	c.out.target, c.last = j.Target, nil
	ticket, err := j.Gate.Enter(ctx)
	if err != nil {
		return c.failed(err)
	}
	health := upstream.Ignored
	defer func() { ticket.Done(health) }()
	if j.Meters.Begin != nil {
		j.Meters.Begin()
		defer j.Meters.Left()
	}
	ans, err := j.Client.Do(ctx, &upstream.Call{Path: j.plan.Path, Query: j.plan.Query, Body: c.body, Stream: c.in.req.Stream})
	c.body = nil // not needed again: a further try builds its own
	if err != nil {
		health = upstream.HealthOf(err)
		if ue, ok := errors.AsType[*upstream.Error](err); !ok || ue.Sent {
			c.out.sent = true
		}
		return c.failed(err)
	}
	c.out.sent = true
	defer ans.Body.Close()
	if ans.Status < 200 || ans.Status > 299 {
		o := c.errorStatus(j, ans)
		if ans.Status >= 500 || ans.Status == http.StatusTooManyRequests {
			health = upstream.Failed
		}
		return o
	}
	f := j.Wire.Follow(&j.plan, provider.AnswerOptions{Endpoint: c.ex.op, Azure: c.ex.azure, Model: c.in.model,
		ID: c.ex.answerID(n), Created: c.ex.began.Unix(), PromptTokens: c.in.prompt})
	var o upstream.Outcome
	if c.in.req.Stream {
		o, health = c.stream(j, ans, f)
	} else {
		o, health = c.whole(j, ans, f)
	}
	c.out.usage, c.out.adapted = f.Usage(), f.Adapted()
	return o
}

// failed turns an error before any answer into what the client gets if nothing else helps.
func (c *carrier) failed(err error) upstream.Outcome {
	c.out.code = upstream.ClassOf(err).String()
	c.out.result = resultUpstream
	switch upstream.ClassOf(err) {
	case upstream.ClassFirstByte, upstream.ClassIdle, upstream.ClassTotal:
		c.out.result = resultTimeout
		c.last = provider.UpstreamFailure(provider.ClassTimeout)
	case upstream.ClassBusy, upstream.ClassOpen:
		c.last = provider.UpstreamFailure(provider.ClassOverload)
	case upstream.ClassAuth:
		c.last = provider.UpstreamFailure(provider.ClassAuth)
	case upstream.ClassCanceled:
		c.out.result = resultClientGone
		c.last = provider.UpstreamFailure(provider.ClassUpstream)
	default:
		c.last = provider.UpstreamFailure(provider.ClassUpstream)
	}
	return upstream.OutcomeOf(err)
}

// errorStatus judges an answer that is not 2xx, by its body before its status.
func (c *carrier) errorStatus(j *judged, ans *upstream.Answer) upstream.Outcome {
	body, _ := io.ReadAll(io.LimitReader(ans.Body, errorBody))
	e, class := provider.ClassifyError(j.Wire.Errors, ans.Status, ans.Header, body)
	return c.classified(e, class, upstream.RetryAfter(ans.Header, c.g.opts.Now()))
}

func (c *carrier) classified(e *openai.Error, class provider.Class, after time.Duration) upstream.Outcome {
	c.last, c.out.code, c.out.result = e, string(class), resultUpstream
	o := upstream.Outcome{Kind: upstream.Fatal, Reason: string(class), After: after}
	switch {
	case class.Retryable():
		o.Kind = upstream.Retryable
	case class.Fallback():
		o.Kind = upstream.FallbackOnly
	}
	return o
}

// stream carries a streamed answer. The client's headers go out with the first valid event, or after Patience.Commit.
func (c *carrier) stream(j *judged, ans *upstream.Answer, f *provider.Answer) (upstream.Outcome, upstream.Health) {
	if ct := ans.Header.Get("Content-Type"); strings.HasPrefix(ct, "application/json") {
		return c.notStream(ans, f)
	}
	counted := &countingReader{r: ans.Body}
	s := newSink(c.w, c.g.opts.Now, c.g.opts.Patience, func(h http.Header) {
		upstream.CopyHeader(h, ans.Header)
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		c.headers(h, j.Target, c.adapted(j, f))
		c.in.forget()
	})
	buf := streamBuffers.Get().(*[]byte)
	end := copyEvents(s, counted, *buf, f)
	s.close()
	clear(*buf)
	streamBuffers.Put(buf)
	c.out.bytesIn, c.out.bytesOut, c.out.firstAt = counted.n, s.written, end.FirstAt
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

// notStream reads a JSON body where a stream was asked for: mostly an error with status 200.
func (c *carrier) notStream(ans *upstream.Answer, f *provider.Answer) (upstream.Outcome, upstream.Health) {
	body, err := io.ReadAll(io.LimitReader(ans.Body, errorBody))
	if err != nil {
		return c.failed(err), upstream.HealthOf(err)
	}
	c.out.bytesIn = int64(len(body))
	if _, _, _, e := f.Event("", body); e != nil {
		return c.classified(e, f.Class(), 0), upstream.Ignored
	}
	o := c.classified(provider.UpstreamFailure(provider.ClassUpstream), provider.ClassUpstream, 0)
	c.out.code = "upstream_not_a_stream"
	return o, upstream.Failed
}

// whole carries an answer that is not a stream: read whole up to headWindow, and streamed on beyond it.
func (c *carrier) whole(j *judged, ans *upstream.Answer, f *provider.Answer) (upstream.Outcome, upstream.Health) {
	window := int64(headWindow)
	if f.NeedsWhole() {
		window = wholeAnswer
	}
	size := 4 << 10
	if ans.Length >= 0 && ans.Length < window {
		size = int(ans.Length)
	}
	head, err := readUpTo(ans.Body, make([]byte, 0, size+1), window)
	c.out.bytesIn, c.out.firstAt = int64(len(head)), c.g.opts.Now()
	if err != nil && err != io.EOF {
		o := c.failed(err)
		if o.Kind == upstream.Fatal && c.r.Context().Err() == nil {
			o.Kind = upstream.FallbackOnly
		}
		return o, upstream.HealthOf(err)
	}
	if err == nil && f.NeedsWhole() {
		o := c.classified(provider.UpstreamFailure(provider.ClassUpstream), provider.ClassUpstream, 0)
		c.out.code = "upstream_answer_too_large"
		o.Kind = upstream.Fatal
		return o, upstream.Ignored
	}
	if err == nil { // longer than the window
		return c.longBody(j, ans, f, head)
	}
	out, e := f.Body(head)
	if e != nil {
		o := c.classified(e, f.Class(), 0)
		health := upstream.Ignored
		if f.Class().Retryable() {
			health = upstream.Failed
		}
		return o, health
	}
	h := c.w.Header()
	upstream.CopyHeader(h, ans.Header)
	h["Content-Type"] = jsonType
	c.headers(h, j.Target, c.adapted(j, f))
	h["Content-Length"] = []string{strconv.Itoa(len(out))}
	if len(out) > serverBuffer {
		http.NewResponseController(c.w).SetWriteDeadline(c.g.opts.Now().Add(2 * c.g.opts.Patience.Write))
	}
	c.w.WriteHeader(http.StatusOK)
	n, err := c.w.Write(out)
	c.out.bytesOut, c.out.status, c.out.result, c.out.code = int64(n), http.StatusOK, resultOK, ""
	if err != nil {
		c.out.result, c.out.code = resultClientGone, "client_gone"
	}
	return upstream.Outcome{Kind: upstream.OK, Committed: true}, upstream.Healthy
}

var jsonType = []string{"application/json"}

// longBody streams a long answer on, looking at its head for an error and at its tail for the usage figure.
func (c *carrier) longBody(j *judged, ans *upstream.Answer, f *provider.Answer, head []byte) (upstream.Outcome, upstream.Health) {
	if e := f.Peek(head); e != nil {
		return c.classified(e, f.Class(), 0), upstream.Ignored
	}
	h := c.w.Header()
	upstream.CopyHeader(h, ans.Header)
	h["Content-Type"] = jsonType
	c.headers(h, j.Target, c.adapted(j, f))
	if ans.Length >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(ans.Length, 10)}
	}
	rc := http.NewResponseController(c.w)
	c.w.WriteHeader(http.StatusOK)
	c.out.status, c.out.result = http.StatusOK, resultOK
	t := tail{}
	var upErr error
	for chunk, buf := head, make([]byte, 32<<10); ; {
		rc.SetWriteDeadline(c.g.opts.Now().Add(2 * c.g.opts.Patience.Write))
		n, err := c.w.Write(chunk)
		c.out.bytesOut += int64(n)
		t.add(chunk)
		if err != nil {
			c.out.result, c.out.code = resultClientGone, "client_gone"
			return upstream.Outcome{Kind: upstream.Fatal, Committed: true}, upstream.Ignored
		}
		if upErr != nil {
			break
		}
		n, upErr = ans.Body.Read(buf)
		c.out.bytesIn += int64(n)
		chunk = buf[:n]
	}
	f.Tail(t.buf)
	if upErr != io.EOF {
		c.out.result, c.out.code = resultStreamBroken, upstream.ClassOf(upErr).String()
		// A body that stops short must not look whole: the connection is cut.
		c.out.abort = true
		return upstream.Outcome{Kind: upstream.Fatal, Committed: true}, upstream.HealthOf(upErr)
	}
	return upstream.Outcome{Kind: upstream.OK, Committed: true}, upstream.Healthy
}

// tail keeps the last bytes of a body.
type tail struct{ buf []byte }

func (t *tail) add(b []byte) {
	if len(b) >= tailWindow {
		t.buf = append(t.buf[:0], b[len(b)-tailWindow:]...)
		return
	}
	t.buf = append(t.buf, b...)
	if n := len(t.buf) - tailWindow; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
}

// readUpTo reads until the end (io.EOF) or until limit bytes are there (nil).
func readUpTo(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	for int64(len(buf)) < limit {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		room := buf[len(buf):min(int64(cap(buf)), limit)]
		n, err := r.Read(room)
		buf = buf[:len(buf)+n]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// headers tells the client where its answer comes from. Values that are not ASCII are percent-encoded.
func (c *carrier) headers(h http.Header, t *Target, adapted []byte) {
	if t == nil {
		return
	}
	h["X-Homeport-Target"] = []string{headerValue(t.ID)}
	h["X-Homeport-Place"] = []string{t.PlaceHeader()}
	if t.Filing != "" {
		h["X-Homeport-Filing"] = []string{headerValue(t.Filing)}
	}
	h["X-Homeport-Verdict"] = []string{c.ru.verdictOf(t).String()}
	if len(adapted) > 0 {
		h["X-Homeport-Adapted"] = []string{string(adapted)}
	}
}

// adapted is x-homeport-adapted: the request's changes and those of the answer known so far.
func (c *carrier) adapted(j *judged, f *provider.Answer) []byte {
	b := provider.AppendAdapted(nil, j.plan.Adapted)
	for _, a := range f.Adapted() {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, a...)
	}
	return b
}

func headerValue(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return url.PathEscape(s)
		}
	}
	return s
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

// answerID stands in where an upstream gives no id; attempts never share one.
func (ex *exchange) answerID(n int) string {
	if n == 1 {
		return ex.id
	}
	return ex.id + "-" + strconv.Itoa(n)
}

// streamBuffers are the first buffers of event readers: one a stream, 4 KiB, cleared before they are given back.
var streamBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

func (r *ruling) verdictOf(t *Target) policy.Verdict {
	for i := range r.judged {
		if r.judged[i].Target == t {
			return r.judged[i].decision.Verdict
		}
	}
	return policy.Block
}
