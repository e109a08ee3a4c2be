package httpx

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// The standard server silently prefers Transfer-Encoding when a request has both it and Content-Length (RFC 9112 6.3
// permits that) and removes the header, so a handler cannot tell. Two readers that prefer differently see two different
// requests: request smuggling. framed remembers the raw head of the request being read, so that [AmbiguousLength] can.

const maxHead = 64 << 10

type framed struct {
	net.Conn
	answered atomic.Bool // something was written since the head began: the next byte read begins a new head
	head     []byte      // owned by the reader; the handler looks only after the head was read whole
	whole    bool
}

func (c *framed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if c.answered.Swap(false) {
		c.head, c.whole = c.head[:0], false
	}
	if !c.whole && len(c.head) < maxHead {
		from := max(0, len(c.head)-3)
		c.head = append(c.head, b[:n]...)
		if i := bytes.Index(c.head[from:], []byte("\r\n\r\n")); i >= 0 {
			c.head, c.whole = c.head[:from+i+4], true
		}
	}
	return n, err
}

func (c *framed) Write(b []byte) (int, error) {
	c.answered.Store(true)
	return c.Conn.Write(b)
}

type framedListener struct{ net.Listener }

// Framed wraps a listener's connections so that AmbiguousLength can judge their requests. Put it outermost, over TLS.
func Framed(l net.Listener) net.Listener { return framedListener{l} }

func (l framedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framed{Conn: c, head: make([]byte, 0, 512)}, nil
}

type framedKey struct{}

// FramedContext is the http.Server.ConnContext that goes with Framed.
func FramedContext(ctx context.Context, c net.Conn) context.Context {
	if f, ok := c.(*framed); ok {
		return context.WithValue(ctx, framedKey{}, f)
	}
	return ctx
}

// AmbiguousLength reports a request whose length two readers could see differently: Transfer-Encoding together with
// Content-Length, or a chunked request whose head was not seen whole (it was pipelined behind another).
func AmbiguousLength(r *http.Request) bool {
	if len(r.TransferEncoding) == 0 {
		return false
	}
	f, ok := r.Context().Value(framedKey{}).(*framed)
	if !ok {
		return len(r.Header["Content-Length"]) > 0
	}
	if !f.whole {
		return true
	}
	te := false
	for line := range bytes.SplitSeq(f.head, []byte("\r\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		if bytes.EqualFold(name, []byte("Content-Length")) {
			return true
		}
		te = te || bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
	return !te // the head kept is another request's
}
