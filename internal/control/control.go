// Package control lets commands that change state reach the running server, and keeps two processes from changing it at
// once.
//
// The server holds the lock of the data folder (data/lock) for its life and listens on a unix socket beside it
// (data/control.sock, mode 0600: whoever may open it may do what the owner may). A command tries the socket first; with
// no server running it takes the lock itself.
//
// The protocol is JSON lines, one request and one answer a line:
//
//	{"v":1,"verb":"key.create","args":{"app":"bot","name":"laptop"}}
//	{"ok":true,"result":{…}}
//	{"ok":false,"error":{"code":"not_found","zh":"…","en":"…"}}
//
// Verbs are those of the Handler; the server answers when the change is in effect. A credential crosses the socket once,
// in the answer to key.create or admin.secret, and is in no error and no log.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Verbs of this version.
const (
	KeyCreate = "key.create"
	KeyRevoke = "key.revoke"
	KeyList   = "key.list"
	Secret    = "admin.secret"
	Reload    = "reload"
)

// Names of files in the data folder.
const (
	SocketName = "control.sock"
	LockName   = "lock"
)

const (
	version  = 1
	maxLine  = 1 << 20 // bytes of a request or answer
	maxConns = 16      // served at once
	idle     = 30 * time.Second
)

// Error is a refusal the other side should show. Code is one of bad_request, not_found, conflict, unknown_verb, failed.
type Error struct {
	Code string `json:"code"`
	Zh   string `json:"zh"`
	En   string `json:"en"`
}

func (e *Error) Error() string { return e.En }

// Handler carries out one verb. The result is sent as JSON. An error that is not *Error is sent as "failed" with its text.
type Handler interface {
	Handle(ctx context.Context, verb string, args json.RawMessage) (any, error)
}

// Verbs is a Handler made of functions, one for each verb.
type Verbs map[string]func(ctx context.Context, args json.RawMessage) (any, error)

// Handle calls the verb's function.
func (v Verbs) Handle(ctx context.Context, verb string, args json.RawMessage) (any, error) {
	fn, ok := v[verb]
	if !ok {
		return nil, &Error{"unknown_verb", "服务端不认识此操作，版本可能不同", "the server does not know this verb; its version may differ"}
	}
	return fn(ctx, args)
}

type request struct {
	V    int             `json:"v"`
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

type response struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// ErrNotRunning says that no server listens on the folder's socket.
var ErrNotRunning = errors.New("no server is running on this data folder")

// Server answers on the socket until Close.
type Server struct {
	ln      net.Listener
	path    string
	handler Handler
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	slots   chan struct{}
	mu      sync.Mutex
	conns   map[net.Conn]bool
	closed  bool
}

// Listen starts a server on the folder's socket. The caller must hold the folder's lock: a socket file found there is a
// leftover and is replaced.
func Listen(ctx context.Context, lock *Lock, h Handler) (*Server, error) {
	path := filepath.Join(lock.Dir(), SocketName)
	addr, done, err := socketAddr(path)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	ln, err := listenPrivate(addr, path)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{ln: ln, path: path, handler: h, cancel: cancel, slots: make(chan struct{}, maxConns), conns: map[net.Conn]bool{}}
	s.wg.Go(func() { s.accept(ctx) })
	return s, nil
}

// Close stops listening, cancels what runs, waits for it and removes the socket.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.SetReadDeadline(time.Now()) // an answer under way may still be written
	}
	s.mu.Unlock()
	s.cancel()
	err := s.ln.Close()
	s.wg.Wait()
	if rmErr := os.Remove(s.path); rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}

func (s *Server) accept(ctx context.Context) {
	for {
		s.slots <- struct{}{}
		c, err := s.ln.Accept()
		if err != nil {
			<-s.slots
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors, most likely: do not spin
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			<-s.slots
			continue
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
				c.Close()
				<-s.slots
			}()
			s.serve(ctx, c)
		})
	}
}

func (s *Server) serve(ctx context.Context, c net.Conn) {
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		c.SetReadDeadline(time.Now().Add(idle))
		s.mu.Unlock()
		if !lines.Scan() {
			return
		}
		c.SetWriteDeadline(time.Now().Add(idle))
		if err := json.NewEncoder(c).Encode(s.answer(ctx, lines.Bytes())); err != nil {
			return
		}
	}
}

func (s *Server) answer(ctx context.Context, line []byte) response {
	var req request
	if err := json.Unmarshal(line, &req); err != nil || req.V != version {
		return response{Error: &Error{"bad_request", "请求格式或版本不对", "the request's form or version is wrong"}}
	}
	result, err := s.handler.Handle(ctx, req.Verb, req.Args)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{"failed", "操作失败：" + err.Error(), err.Error()}
		}
		return response{Error: e}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return response{Error: &Error{"failed", "结果无法编码", "the result cannot be encoded"}}
	}
	return response{OK: true, Result: raw}
}

// Client is one connection to the running server.
type Client struct {
	c net.Conn
	r *bufio.Reader
}

// Dial connects to the server that runs on a data folder; ErrNotRunning when there is none.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	addr, done, err := socketAddr(filepath.Join(dataDir, SocketName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrNotRunning // not even a folder
	case err != nil:
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", addr)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, os.ErrPermission) {
			return nil, ErrNotRunning // no socket, or nobody behind it
		}
		return nil, fmt.Errorf("connect to the running server: %w", err)
	}
	return &Client{c: c, r: bufio.NewReader(io.LimitReader(c, 64<<20))}, nil
}

// Call sends a verb and decodes its result into out, which may be nil. A refusal comes back as *Error.
func (c *Client) Call(ctx context.Context, verb string, args, out any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(idle)
	}
	c.c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.c.SetDeadline(time.Now()) })
	defer stop()
	if err := json.NewEncoder(c.c).Encode(request{V: version, Verb: verb, Args: raw}); err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	line, err := c.r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the running server's answer: %w", err)
	}
	var resp response
	if err := json.Unmarshal(line, &resp); err != nil {
		return fmt.Errorf("read the running server's answer: %w", err)
	}
	switch {
	case resp.Error != nil:
		return resp.Error
	case !resp.OK:
		return errors.New("the running server's answer says neither yes nor no")
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(resp.Result, out); err != nil {
		return fmt.Errorf("read the running server's answer: %w", err)
	}
	return nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.c.Close() }

// socketAddr is a form of path short enough for a socket address (about 104 bytes): the path itself, relative to the
// working folder, or, on Linux, through an open descriptor of its folder. done is called when the address was used.
func socketAddr(path string) (addr string, done func(), err error) {
	const most = 100
	done = func() {}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", done, fmt.Errorf("control socket: %w", err)
	}
	if len(abs) <= most {
		return abs, done, nil
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, abs); err == nil && len(rel) <= most {
			return rel, done, nil
		}
	}
	if runtime.GOOS != "linux" {
		return "", done, fmt.Errorf("control socket: the path of the data folder is too long for a socket (%d bytes, at most %d)", len(abs), most)
	}
	dir, err := os.Open(filepath.Dir(abs))
	if err != nil {
		return "", done, fmt.Errorf("control socket: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(abs)), func() { dir.Close() }, nil
}
