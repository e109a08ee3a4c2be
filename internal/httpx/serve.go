package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Server returns an http.Server with the bounds every listener of Homeport has: slow heads, idle connections and large
// heads are limited; there is no limit on writing as a whole, because streams are long.
func Server(h http.Handler, logs *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnContext:       FramedContext,
		ErrorLog:          slog.NewLogLogger(logs.Handler(), slog.LevelDebug), // peers' protocol errors; no content
	}
}

// Certificate serves a certificate and reads it again when its files change, looking at most once a second.
type Certificate struct {
	cert, key string

	mu      sync.Mutex // guards all below
	current *tls.Certificate
	stamp   [2]time.Time
	looked  time.Time
}

// LoadCertificate reads the pair once; a pair that does not fit is an error naming the files.
func LoadCertificate(cert, key string) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) load() error {
	stamp, err := c.stamps()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

func (c *Certificate) stamps() (out [2]time.Time, err error) {
	for i, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return out, fmt.Errorf("load certificate: %w", err)
		}
		out[i] = info.ModTime()
	}
	return out, nil
}

// Get is a tls.Config.GetCertificate. While new files do not fit together, the old pair goes on serving.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > time.Second {
		c.looked = now
		if stamp, err := c.stamps(); err == nil && stamp != c.stamp {
			_ = c.load() // half-written files are looked at again
		}
	}
	return c.current, nil
}

// Listen opens addr, with TLS when cert is given. The address in use is in the listener: port 0 is a free one. Without a
// certificate and with only given, connections from other addresses than those and loopback are closed unread: a listener
// that leaves TLS to proxies in front of it speaks to nobody else.
func Listen(addr string, cert *Certificate, only []netip.Prefix) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if cert == nil && len(only) > 0 {
		l = fromOnly{l, only}
	}
	if cert != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.Get, NextProtos: []string{"http/1.1"}})
	}
	return Framed(l), nil
}

type fromOnly struct {
	net.Listener
	prefixes []netip.Prefix
}

func (l fromOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.permits(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close()
	}
}

func (l fromOnly) permits(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	return ip.IsLoopback() || slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Serve runs the server until it is shut down, which is no error.
func Serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Drain stops accepting and waits for requests in flight until grace is over, then closes what is left.
func Drain(s *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		_ = s.Close()
		return fmt.Errorf("drain %s: requests were still open after %s", s.Addr, grace)
	}
	return nil
}
