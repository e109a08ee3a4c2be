package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
)

// Call is one request to an upstream. The same Call may be given to Do several times, one after the
// other, also to several clients.
//
// Do reads Body while the request is written, which can go on after Do returned: an upstream may answer
// early, and a cancelled call unwinds in the background. Reusable says when the bytes may be changed or
// pooled again; handing them to another request earlier would send one person's prompt with another's
// (attack case E7).
type Call struct {
	Method string // POST when empty
	Path   string // escaped, as Path builds it; appended to the base URL's path
	Query  string // encoded, without the question mark
	Body   []byte // exact bytes to send; nil for none
	// Stream asks for text/event-stream, otherwise application/json.
	Stream bool
	// Header sets more headers, of the allow-list only. Nil on the hot path: it costs a copy.
	Header http.Header

	inUse atomic.Int32 // readers of Body that may still be running
}

// Reusable reports that no reader of Body is left. It is true before the first Do, and after a Do once
// its request was wholly written (which the transport may notice a moment after the answer) or is known never
// to have been handed to a connection. When it is false at the end of a call, as after a cancel in
// mid-write, drop Body and let the collector have it; do not wait.
func (c *Call) Reusable() bool { return c.inUse.Load() == 0 }

// Answer is what the upstream said. Body must be read to its end or closed, or both.
type Answer struct {
	Status int
	Header http.Header // all of the upstream's; CopyHeader picks what a client may see
	// Length of the body in bytes, -1 when not announced.
	Length int64
	// UntilClose is true when the body is delimited by the end of the connection only (neither length nor
	// chunks): then a broken connection cannot be told from the end, and the caller has to look for the
	// end in the content ([DONE], a closing brace).
	UntilClose bool
	// Body streams the answer. Its errors are *Error with Started set. One goroutine may Read while
	// another calls Close. Close before the end gives the transport a short while to drain and keep the
	// connection; to stop an upstream at once, cancel the context given to Do.
	Body io.ReadCloser
}

var (
	errFirstByte = errors.New("first byte time-out")
	errIdle      = errors.New("idle time-out")
	errTotal     = errors.New("total time-out")
	errDone      = errors.New("call ended")
)

// exchange is one Do, in one allocation: URL, body reader, hooks, timer and answer.
type exchange struct {
	answer Answer
	url    url.URL
	reader bytes.Reader
	trace  httptrace.ClientTrace
	call   *Call // for wroteRequest only
	body   io.ReadCloser
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  watch

	connected bool // written by the hook GotConn, in Do's own goroutine
	reused    bool
}

// Do sends the call and returns when the answer's headers have come. Errors are *Error. A 3xx answer is
// an error; every other final status is an Answer, also 4xx and 5xx.
//
// When ctx ends, the connection is closed at once, in every phase, and Do or the pending Read returns
// ClassCanceled.
func (c *Client) Do(ctx context.Context, call *Call) (*Answer, error) {
	if err := c.checkCall(call); err != nil {
		return nil, err
	}
	set, err := c.currentHeaders(ctx)
	if err != nil {
		return nil, authError(ctx, err)
	}
	header, err := c.header(set, call)
	if err != nil {
		return nil, err
	}
	x := &exchange{call: call, parent: ctx}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	x.trace.GotConn = x.gotConn
	if call.Body != nil {
		x.trace.WroteRequest = x.wroteRequest
	}
	req := c.proto.WithContext(httptrace.WithClientTrace(x.ctx, &x.trace))
	target(&x.url, c.base, call.Path, call.Query)
	req.URL, req.Header = &x.url, header
	if call.Method != "" {
		req.Method = call.Method
	}
	if call.Body != nil {
		// Exactly this type: net/http then knows the body is in memory and writes headers and body together.
		// No GetBody: the transport cannot replay it.
		x.reader.Reset(call.Body)
		req.Body, req.ContentLength = io.NopCloser(&x.reader), int64(len(call.Body))
		call.inUse.Add(1)
	}
	x.watch.start(c.timeouts, x.cancel)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		if call.Body != nil && !x.connected {
			call.inUse.Add(-1) // no connection ever had it
		}
		return nil, x.failed(err)
	}
	return x.answered(c, set, resp)
}

// answered turns the transport's response into an Answer, or into an error when it is one we refuse.
func (x *exchange) answered(c *Client, set *headerSet, resp *http.Response) (*Answer, error) {
	x.body = resp.Body
	if refusal := refuse(resp); refusal != nil {
		x.watch.stop()
		x.cancel(errDone) // the connection is not worth keeping
		_ = resp.Body.Close()
		return nil, refusal
	}
	if resp.StatusCode == http.StatusUnauthorized && c.auth.Source != nil {
		c.auth.Source.Invalidate(set.token)
	}
	x.watch.headersCame()
	a := &x.answer
	a.Status, a.Header, a.Length = resp.StatusCode, resp.Header, resp.ContentLength
	a.UntilClose = resp.ContentLength < 0 && resp.ProtoMajor == 1 && len(resp.TransferEncoding) == 0
	a.Body = x
	return a, nil
}

// refuse names what makes an answer unusable whatever it says.
func refuse(resp *http.Response) *Error {
	switch {
	case resp.StatusCode < 200:
		return &Error{Class: ClassProtocol, Reason: "informational_status", Started: true, Sent: true}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return &Error{Class: ClassRedirect, Status: resp.StatusCode, Started: true, Sent: true}
	}
	for _, v := range resp.Header["Content-Encoding"] {
		// We asked for identity. What cannot be read cannot be inspected.
		if v != "" && !strings.EqualFold(v, "identity") {
			return &Error{Class: ClassProtocol, Reason: "content_encoding", Started: true, Sent: true}
		}
	}
	return nil
}

func (c *Client) checkCall(call *Call) error {
	switch {
	case call.Method != "" && call.Method != http.MethodPost && call.Method != http.MethodGet && call.Method != http.MethodDelete:
		return invalid("method")
	case call.Body != nil && call.Method != "" && call.Method != http.MethodPost:
		return invalid("body_without_post")
	case !checkPath(call.Path):
		return invalid("path")
	case call.Query != "" && (!checkQuery(call.Query) || c.holdsKey(call.Query)):
		return invalid("query")
	}
	return nil
}

// holdsKey keeps the credential out of the URL (attack case D1).
func (c *Client) holdsKey(query string) bool {
	key := c.auth.Key.reveal()
	if key == "" {
		return false
	}
	if strings.Contains(query, key) || strings.Contains(query, url.QueryEscape(key)) {
		return true
	}
	plain, err := url.QueryUnescape(query)
	return err != nil || strings.Contains(plain, key)
}

// header returns the request's headers: one of three shared maps, or a copy with the call's own.
func (c *Client) header(set *headerSet, call *Call) (http.Header, error) {
	h := set.json
	switch {
	case call.Stream:
		h = set.stream
	case call.Body == nil:
		h = set.get
	}
	if len(call.Header) == 0 {
		return h, nil
	}
	h = maps.Clone(h)
	for name, values := range call.Header {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !requestHeaders[name] && !c.extra[name] {
			return nil, invalid("header_not_allowed")
		}
		if len(values) != 1 || !cleanValue(values[0]) {
			return nil, invalid("header_value")
		}
		h[name] = values
	}
	return h, nil
}

// authError gives a token source's error a class. A source that is not of this package may put anything
// into its text, so that is dropped.
func authError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &Error{Class: ClassCanceled}
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: ClassAuth, Reason: "token"}
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.connected, x.reused = true, info.Reused
}

// wroteRequest runs in the transport's writing goroutine when it has stopped reading the body. There is
// no GetBody, so nobody reads it again.
func (x *exchange) wroteRequest(httptrace.WroteRequestInfo) {
	x.reader.Reset(nil) // a stream must not keep its request's bytes alive
	x.call.inUse.Add(-1)
	x.call = nil // nor by way of the call
}

// failed ends the exchange and classes the error of RoundTrip.
func (x *exchange) failed(err error) error {
	x.watch.stop()
	e := x.interrupted()
	if e == nil {
		e = classify(err, x.connected, x.reused)
	}
	e.Sent = x.connected
	x.cancel(errDone)
	return e
}

// interrupted names the cause when it was a time-out of ours or the caller's context, else nil.
func (x *exchange) interrupted() *Error {
	switch context.Cause(x.ctx) {
	case nil, errDone:
		return nil
	case errFirstByte:
		return &Error{Class: ClassFirstByte}
	case errIdle:
		return &Error{Class: ClassIdle}
	case errTotal:
		return &Error{Class: ClassTotal}
	}
	return &Error{Class: ClassCanceled}
}

// Read implements io.Reader for Answer.Body.
func (x *exchange) Read(p []byte) (int, error) {
	x.watch.waiting()
	n, err := x.body.Read(p)
	x.watch.received(n)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		x.watch.stop()
		x.cancel(errDone)
		return n, io.EOF
	}
	x.watch.stop()
	e := x.interrupted()
	if e == nil {
		e = &Error{Class: ClassBroken, Reason: brokenReason(err)}
	}
	e.Started, e.Sent = true, true
	x.cancel(errDone)
	return n, e
}

// Close implements io.Closer for Answer.Body.
func (x *exchange) Close() error {
	x.watch.stop()
	// The context is left alone: cancelling it would close a connection that the transport may still drain
	// and keep. It ends with the caller's context, or unreferenced.
	_ = x.body.Close() // its errors tell only that the connection is gone
	return nil
}
