package httpx

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
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
	read     int64 // bytes since the head began
	// unsure is set for good when a head may have begun among bytes that were read with an earlier request (it was
	// pipelined): from then on the head kept may be a part of one.
	unsure bool
}

func (c *framed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if c.answered.Swap(false) {
		c.unsure = c.unsure || !c.readOne()
		c.head, c.whole, c.read = c.head[:0], false, 0
	}
	c.read += int64(n)
	if !c.whole && len(c.head) < maxHead {
		from := max(0, len(c.head)-3)
		c.head = append(c.head, b[:n]...)
		if i := bytes.Index(c.head[from:], []byte("\r\n\r\n")); i >= 0 {
			c.head, c.whole = c.head[:from+i+4], true
		}
	}
	return n, err
}

// readOne reports that the bytes since the head began are one request without Transfer-Encoding, and nothing more.
func (c *framed) readOne() bool {
	if !c.whole {
		return false
	}
	lengths, chunked := c.lengths()
	switch {
	case chunked || len(lengths) > 1:
		return false
	case len(lengths) == 0:
		return c.read == int64(len(c.head))
	}
	n, err := strconv.ParseInt(lengths[0], 10, 64)
	return err == nil && c.read-int64(len(c.head)) == n
}

// lengths gives the values of Content-Length in the head, and whether there is a Transfer-Encoding.
func (c *framed) lengths() (lengths []string, chunked bool) {
	for line := range bytes.SplitSeq(c.head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		if bytes.EqualFold(name, []byte("Content-Length")) {
			lengths = append(lengths, string(bytes.TrimSpace(value)))
		}
		chunked = chunked || bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
	return lengths, chunked
}

func (c *framed) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 100 ")) { // not an answer: the body follows
		c.answered.Store(true)
	}
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
// Content-Length, or a chunked request whose head was not seen whole (it was pipelined behind another). What follows a
// chunked request on its connection cannot be told apart: answer it with Connection: close.
func AmbiguousLength(r *http.Request) bool {
	if len(r.TransferEncoding) == 0 {
		return false
	}
	f, ok := r.Context().Value(framedKey{}).(*framed)
	if !ok {
		return len(r.Header["Content-Length"]) > 0
	}
	if !f.whole || f.unsure {
		return true
	}
	lengths, chunked := f.lengths()
	return len(lengths) > 0 || !chunked // without the latter, the head kept is another request's
}
