package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"homeport/internal/guard"
)

// Scheme says how the credential travels. Never in the URL (attack case D1).
type Scheme uint8

const (
	// AuthNone sends no credential.
	AuthNone Scheme = iota
	// AuthBearer sends Authorization: Bearer KEY.
	AuthBearer
	// AuthHeader sends the key as the value of the header Auth.Name, for example api-key.
	AuthHeader
)

// TokenSource gives bearer tokens that expire. Token must be safe for concurrent use and return at once
// while it holds a fresh token. Entra is one.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
	// Invalidate says that the upstream refused this token, so that the next Token gets a new one.
	Invalidate(token string)
}

// Auth is the credential of one provider instance.
type Auth struct {
	Scheme Scheme
	Name   string      // header name, for AuthHeader
	Key    Secret      // the credential, unless Source is set
	Source TokenSource // with AuthBearer: tokens instead of a key
}

// Timeouts of one call. Zero means no limit, except Connect, where zero means DefaultConnect.
type Timeouts struct {
	// Connect bounds name look-up and connection, and separately the TLS handshake.
	Connect time.Duration
	// FirstByte bounds the time from the start of the call to the first byte of the answer's body. While the
	// answer's headers have come and its body has not, Idle applies too, and the later of the two decides.
	FirstByte time.Duration
	// Idle bounds each wait for more of the body. Any byte resets it, so also a keep-alive comment. Time
	// the caller spends between two reads does not count: a slow client is not a silent upstream.
	Idle time.Duration
	// Total bounds the call from its start to the end of the body.
	Total time.Duration
}

// DefaultConnect is the connect time-out where none is given.
const DefaultConnect = 10 * time.Second

// DefaultTimeouts suit language models: an unstreamed answer of a reasoning model takes minutes.
func DefaultTimeouts() Timeouts {
	return Timeouts{Connect: DefaultConnect, FirstByte: 5 * time.Minute, Idle: 2 * time.Minute, Total: 30 * time.Minute}
}

// Config describes one provider instance.
type Config struct {
	// BaseURL, for example https://api.deepseek.com/v1. Its host, scheme, port and path prefix are where every
	// call of this client goes. An IP literal or localhost permits that address (package guard).
	BaseURL string
	Network guard.Network
	Auth    Auth
	// Header are constant headers of the provider, by name, for example from its catalog entry.
	Header map[string]string
	// Headers names further request headers that Call.Header may set.
	Headers  []string
	Timeouts Timeouts
	// Proxy is the URL of an HTTP, HTTPS or SOCKS5 proxy; it may hold user:password. Empty means none: the
	// environment is not asked. With a proxy the target's name is resolved there, and the guard judges the
	// proxy's address, so the proxy has to keep inner addresses out; a configured proxy belongs to the place
	// of the target and to the evidence, which is the caller's part.
	Proxy string
	// HTTP2 offers HTTP/2 by ALPN on https URLs. HTTP/1.1 otherwise.
	HTTP2 bool
	// Version is Homeport's version, for User-Agent: homeport/VERSION.
	Version string
	// RootCAs replaces the system's certificate authorities when set.
	RootCAs *x509.CertPool

	resolver *net.Resolver // for tests; nil means the system's
}

// Limits of the transport. Buffers are small because thousands of streams are open at once.
const (
	maxIdlePerHost    = 1024
	idleConnTimeout   = 90 * time.Second
	readBuffer        = 4 << 10
	writeBuffer       = 2 << 10 // a head and a short prompt; longer ones are written past it
	maxAnswerHeader   = 64 << 10
	http2PingAfter    = 30 * time.Second
	http2PingTimeout  = 15 * time.Second
	tcpKeepAlive      = 15 * time.Second
	happyEyeballDelay = 300 * time.Millisecond
)

// Client calls one provider instance. It is safe for concurrent use and immutable, but for the cached
// headers of the current token. A client lives as long as its configuration: build a new one for a new
// configuration and Close the old one; calls in flight end undisturbed (attack case H4).
type Client struct {
	transport *http.Transport
	base      *url.URL
	proto     *http.Request // template: host and method, copied for each call
	auth      Auth
	timeouts  Timeouts
	constant  http.Header     // headers of every call, without the credential
	extra     map[string]bool // canonical names from Config.Headers
	headers   atomic.Pointer[headerSet]
}

// headerSet is the complete headers of calls under one credential. The maps are shared by concurrent
// requests and never changed.
type headerSet struct {
	token             string
	get, json, stream http.Header
}

// New checks a configuration and builds its client. It opens no connection. Errors name the setting and
// the reason, never the value.
func New(cfg Config) (*Client, error) {
	base, err := guard.ParseURL(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base_url: %w", err)
	}
	if err := checkTimeouts(cfg.Timeouts); err != nil {
		return nil, err
	}
	c := &Client{base: base, auth: cfg.Auth, timeouts: cfg.Timeouts, extra: make(map[string]bool, len(cfg.Headers))}
	if c.timeouts.Connect == 0 {
		c.timeouts.Connect = DefaultConnect
	}
	for _, name := range cfg.Headers {
		if !validName(name) {
			return nil, errors.New("headers: a name is not allowed")
		}
		c.extra[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	if c.constant, err = constantHeader(cfg); err != nil {
		return nil, err
	}
	if err := c.checkAuth(); err != nil {
		return nil, err
	}
	if c.transport, err = newTransport(cfg, base, c.timeouts); err != nil {
		return nil, err
	}
	c.proto = &http.Request{Method: http.MethodPost, Host: base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if cfg.Auth.Source == nil {
		c.headers.Store(c.headerSet(cfg.Auth.Key.reveal()))
	}
	return c, nil
}

func checkTimeouts(t Timeouts) error {
	for _, d := range []time.Duration{t.Connect, t.FirstByte, t.Idle, t.Total} {
		if d < 0 {
			return errors.New("timeouts: must not be negative")
		}
	}
	return nil
}

func constantHeader(cfg Config) (http.Header, error) {
	h := http.Header{
		"User-Agent": {"homeport/" + cfg.Version},
		// We must read the text: nothing compressed (attack case E8).
		"Accept-Encoding": {"identity"},
	}
	if !cleanValue(cfg.Version) {
		return nil, errors.New("version: holds control characters")
	}
	for name, value := range cfg.Header {
		if !validName(name) || !cleanValue(value) {
			return nil, errors.New("header: a name or value is not allowed")
		}
		h.Set(name, value)
	}
	return h, nil
}

func (c *Client) checkAuth() error {
	a := c.auth
	switch {
	case a.Source != nil:
		if a.Scheme != AuthBearer {
			return errors.New("auth: tokens travel as bearer")
		}
		return nil
	case a.Scheme == AuthNone:
		return nil
	case a.Scheme != AuthBearer && a.Scheme != AuthHeader:
		return errors.New("auth: unknown scheme")
	case a.Key.Empty():
		return errors.New("auth: key is empty")
	case !cleanValue(a.Key.reveal()):
		return errors.New("auth: key holds control characters")
	}
	if a.Scheme == AuthHeader {
		name := textproto.CanonicalMIMEHeaderKey(a.Name)
		if !validName(a.Name) && name != "Api-Key" && name != "X-Api-Key" && name != "Authorization" {
			return errors.New("auth: header name is not allowed")
		}
	}
	return nil
}

// headerSet builds the headers for one credential.
func (c *Client) headerSet(token string) *headerSet {
	build := func(accept string, body bool) http.Header {
		h := c.constant.Clone()
		h["Accept"] = []string{accept}
		if body {
			h["Content-Type"] = []string{"application/json"}
		}
		switch c.auth.Scheme {
		case AuthBearer:
			h["Authorization"] = []string{"Bearer " + token}
		case AuthHeader:
			h.Set(c.auth.Name, token)
		}
		return h
	}
	return &headerSet{
		token:  token,
		get:    build("application/json", false),
		json:   build("application/json", true),
		stream: build("text/event-stream", true),
	}
}

// currentHeaders returns the headers for the present credential.
func (c *Client) currentHeaders(ctx context.Context) (*headerSet, error) {
	set := c.headers.Load()
	if c.auth.Source == nil {
		return set, nil
	}
	token, err := c.auth.Source.Token(ctx)
	if err != nil {
		return nil, err
	}
	if token == "" || !cleanValue(token) {
		return nil, &Error{Class: ClassAuth, Reason: "token_malformed"}
	}
	if set == nil || set.token != token {
		set = c.headerSet(token)
		c.headers.Store(set)
	}
	return set, nil
}

func newTransport(cfg Config, base *url.URL, t Timeouts) (*http.Transport, error) {
	permit := guard.For(base, cfg.Network)
	var proxy func(*http.Request) (*url.URL, error)
	if cfg.Proxy != "" {
		u, err := parseProxy(cfg.Proxy)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		// Only the proxy is dialled, and naming one is the operator's word that it may lie inside.
		permit = guard.For(u, guard.Private)
		proxy = http.ProxyURL(u)
	}
	dialer := &net.Dialer{
		Timeout:        t.Connect,
		KeepAlive:      tcpKeepAlive,
		FallbackDelay:  happyEyeballDelay,
		ControlContext: permit.Control,
		Resolver:       cfg.resolver,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.HTTP2)
	return &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: proxyAnswered,
		DialContext:            dial(dialer),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    t.Connect,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		ReadBufferSize:         readBuffer,
		WriteBufferSize:        writeBuffer,
		ForceAttemptHTTP2:      cfg.HTTP2, // a dialer of one's own turns HTTP/2 off in silence otherwise
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: http2PingAfter, PingTimeout: http2PingTimeout},
	}, nil
}

// proxyAnswered tells a proxy's refusal from a failed handshake with the target.
func proxyAnswered(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &Error{Class: ClassConnect, Reason: "proxy"}
	}
	return nil
}

// dial wraps connections in conn.
func dial(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			return conn{tcp}, nil
		}
		return c, nil
	}
}

// conn is a TCP connection that borrows the buffer through which a request body is copied. net/http hands
// bodies beyond its write buffer to ReadFrom; the one of net.TCPConn makes a new 32 KB buffer each time.
type conn struct{ *net.TCPConn }

const copyBuffer = 64 << 10 // a 32 KB prompt leaves in one write

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// ReadFrom implements io.ReaderFrom. The buffer holds prompt text; the next borrower overwrites what it sends.
func (c conn) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{c.TCPConn}, r, buf[:])
}

// parseProxy accepts what guard.ParseURL does, besides the scheme socks5 and a user and password.
func parseProxy(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, guard.ErrURLSyntax
	}
	scheme, user := u.Scheme, u.User
	u.User = nil
	if scheme == "socks5" || scheme == "socks5h" {
		if u.Port() == "" {
			return nil, guard.ErrURLPort
		}
		u.Scheme = "http"
	}
	clean, err := guard.ParseURL(u.String())
	if err != nil {
		return nil, err
	}
	if clean.Path != "" {
		return nil, guard.ErrURLPath
	}
	if scheme == "socks5" || scheme == "socks5h" {
		if clean.Port() == "" { // the normal form drops http's own port
			clean.Host = net.JoinHostPort(clean.Hostname(), "80")
		}
		clean.Scheme = "socks5"
	}
	clean.User = user
	return clean, nil
}

// Base returns the base URL in normal form. It holds no credential.
func (c *Client) Base() string { return c.base.String() }

// Close closes idle connections. Calls in flight go on, and their connections close when they end or
// after the idle time-out.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
