package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"

	"homeport/internal/guard"
)

// Class says what kind of thing went wrong. It is safe to log, count and record.
type Class uint8

// The classes. Kind (in Retryable, FallbackOnly, Fatal) is the usual reading of each by Error.Outcome.
const (
	ClassNone      Class = iota
	ClassInvalid         // the call itself is malformed; nothing was sent
	ClassRefused         // the address guard refused the dial; nothing was sent
	ClassConnect         // no connection: name, refusal, unreachable, connect time-out; nothing was sent
	ClassTLS             // the handshake or the certificate failed; nothing was sent
	ClassStale           // a kept-alive connection turned out closed before any byte of an answer
	ClassBroken          // a fresh connection broke before the answer, or any connection within the answer
	ClassProtocol        // the answer is not the HTTP we can read: malformed, encoded, 1xx, headers too large
	ClassRedirect        // the upstream answered 3xx; never followed
	ClassFirstByte       // time-out before the first byte of the answer's body
	ClassIdle            // time-out between two reads of the body
	ClassTotal           // time-out of the whole call
	ClassCanceled        // the caller's context ended: the client left, or the server shuts down
	ClassBusy            // the target's concurrency limit was reached and the wait ran out; nothing was sent
	ClassOpen            // the target's circuit breaker is open; nothing was sent
	ClassAuth            // no token could be got for the upstream; nothing was sent to the target
	numClass             // keep last
)

var classNames = [numClass]string{
	"none", "upstream_call_invalid", "upstream_address_refused", "upstream_connect", "upstream_tls",
	"upstream_stale_connection", "upstream_broken", "upstream_protocol", "upstream_redirect",
	"upstream_first_byte_timeout", "upstream_idle_timeout", "upstream_total_timeout", "client_canceled",
	"upstream_busy", "upstream_breaker_open", "upstream_auth",
}

// String gives the class as a code, for example "upstream_busy".
func (c Class) String() string {
	if c >= numClass {
		return "none"
	}
	return classNames[c]
}

// Error is what every function of this package that talks to the network returns. Its text is built from
// constants; the underlying error is looked at and dropped, because texts of net and net/http hold
// addresses and URLs.
type Error struct {
	Class  Class
	Reason string // one word from a fixed list, for example "no_such_host"; may be empty
	Status int    // HTTP status, for ClassRedirect only
	// Started is true when the status line of the answer had arrived.
	Started bool
	// Sent is false only when it is certain that no byte of the request left.
	Sent bool
}

// Error gives "class" or "class: reason".
func (e *Error) Error() string {
	if e.Reason == "" {
		return e.Class.String()
	}
	return e.Class.String() + ": " + e.Reason
}

// Is lets errors.Is find context.Canceled, context.DeadlineExceeded, guard.ErrRefused and
// io.ErrUnexpectedEOF where they apply.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Class == ClassCanceled
	case context.DeadlineExceeded:
		return e.Class == ClassFirstByte || e.Class == ClassIdle || e.Class == ClassTotal
	case guard.ErrRefused:
		return e.Class == ClassRefused
	case io.ErrUnexpectedEOF:
		return e.Class == ClassBroken && e.Started
	}
	return false
}

// ClassOf returns the class of an error from this package, ClassNone for nil and ClassBroken for a
// foreign error.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassBroken
}

func invalid(reason string) *Error { return &Error{Class: ClassInvalid, Reason: reason} }

// classify reads an error of net/http for a call that was not cancelled by us or by the caller.
// connected says that a connection was handed to the request, reused that it had served one before.
func classify(err error, connected, reused bool) *Error {
	e := &Error{Sent: connected}
	var refusal *guard.Refusal
	if errors.As(err, &refusal) {
		e.Class, e.Reason = ClassRefused, refusal.Range.String()
		return e
	}
	var own *Error // from a hook of ours
	if errors.As(err, &own) {
		e.Class, e.Reason = own.Class, own.Reason
		return e
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		e.Class, e.Reason = ClassConnect, "name_lookup"
		switch {
		case dns.IsNotFound:
			e.Reason = "no_such_host"
		case dns.IsTimeout:
			e.Reason = "name_lookup_timeout"
		}
		return e
	}
	if reason := tlsReason(err); reason != "" && !connected {
		e.Class, e.Reason = ClassTLS, reason
		return e
	}
	if !connected {
		return classifyDial(e, err)
	}
	if errors.As(err, new(textproto.ProtocolError)) || malformed(err) {
		e.Class = ClassProtocol
		e.Reason = "malformed_answer"
		return e
	}
	e.Class, e.Reason = ClassBroken, brokenReason(err)
	if reused {
		e.Class = ClassStale
	}
	return e
}

func classifyDial(e *Error, err error) *Error {
	var op *net.OpError
	e.Class = ClassConnect
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Reason = "refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		e.Reason = "unreachable"
	case errors.As(err, &op) && op.Op == "dial":
		if op.Timeout() {
			e.Reason = "timeout"
		}
	case errors.As(err, &op) && (op.Op == "proxyconnect" || op.Op == "socks connect"):
		e.Reason = "proxy"
	default:
		// After the dial and before the connection is handed over there is the handshake only, or the
		// proxy's CONNECT.
		e.Class, e.Reason = ClassTLS, "handshake"
		var t interface{ Timeout() bool }
		if errors.As(err, &t) && t.Timeout() {
			e.Reason = "timeout"
		}
	}
	return e
}

func tlsReason(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		cert      x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "certificate_untrusted"
	case errors.As(err, &name):
		return "certificate_name"
	case errors.As(err, &cert):
		if cert.Reason == x509.Expired {
			return "certificate_expired"
		}
		return "certificate_invalid"
	case errors.As(err, &verify):
		return "certificate_invalid"
	case errors.As(err, &record):
		return "not_tls"
	case errors.As(err, &remote) && remote.Op == "remote error": // crypto/tls wraps the peer's alert so
		return "alert"
	}
	return ""
}

// malformed recognises net/http's own complaints about an answer, which have no exported type.
func malformed(err error) bool {
	s := err.Error()
	for _, mark := range []string{
		"malformed HTTP", "malformed MIME header", "server response headers exceeded", "Content-Length",
		"unsupported transfer encoding", "too many transfer encodings", "malformed chunked encoding", "invalid byte in chunk",
		"server gave HTTP response to HTTPS client", "invalid trailer",
	} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

func brokenReason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed_early"
	}
	return "connection_lost"
}
