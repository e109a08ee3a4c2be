package gateway

import (
	"io"
	"net/http"
	"strconv"

	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/upstream"
)

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
		c.out.code, c.last.NoRetry = "upstream_answer_too_large", true // it would be as large again
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
	if c.ex.op == openai.Embeddings {
		f.Tail(head[:min(len(head), tailWindow)]) // some give the figure before the vectors
	}
	var end document
	var upErr error
	for chunk, buf := head, make([]byte, 32<<10); ; {
		rc.SetWriteDeadline(c.g.opts.Now().Add(2 * c.g.opts.Patience.Write))
		n, err := c.w.Write(chunk)
		c.out.bytesOut += int64(n)
		t.add(chunk)
		if ans.UntilClose {
			end.add(chunk)
		}
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
	if upErr == io.EOF && ans.UntilClose && !end.whole() {
		upErr = &upstream.Error{Class: upstream.ClassBroken, Started: true, Sent: true}
	}
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

// document follows a JSON object to its end. Where the end of the connection is the end of a body, the braces alone tell a
// whole one from one that was cut.
type document struct {
	depth  int
	text   bool // inside a string
	escape bool // behind a backslash there
	closed bool // the outermost brace was, and only space followed
	broken bool // something else followed, or closed what was not open
}

func (d *document) add(b []byte) {
	for _, c := range b {
		switch {
		case d.text:
			switch {
			case d.escape:
				d.escape = false
			case c == '\\':
				d.escape = true
			case c == '"':
				d.text = false
			}
		case c == ' ', c == '\n', c == '\r', c == '\t':
		case d.closed:
			d.broken = true
		case c == '"':
			d.text = true
		case c == '{', c == '[':
			d.depth++
		case c == '}', c == ']':
			d.depth--
			d.closed, d.broken = d.depth == 0, d.broken || d.depth < 0
		}
	}
}

func (d *document) whole() bool { return d.closed && !d.broken }

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
