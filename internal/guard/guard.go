// Package guard decides which network addresses Homeport may connect to.
//
// The decision is made on the resolved address, in the dialer's control hook (Guard.Control): after the
// name was resolved, before the socket connects. The name is resolved once and the address that was
// checked is the one that is dialled, so a name that changes its answer between check and use (DNS
// rebinding) gains nothing. Checks on the text of a URL (ParseURL) only refuse what cannot be meant
// honestly; they never permit anything by themselves, except an address that an operator wrote out.
//
// Start with ParseURL for a configured URL, then For to get the Guard that belongs to it, then set
// Guard.Control as net.Dialer.ControlContext.
//
// What always holds: link-local and cloud metadata addresses, the unspecified address, multicast and
// reserved ranges are refused whatever the configuration says; an IPv4-mapped IPv6 address is judged as
// the IPv4 address it is; no error names an address or a URL.
//
// The package depends on the standard library only and knows nothing of HTTP, providers or policy.
package guard

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"syscall"
)

// ErrRefused is what every refusal to dial wraps. A caller that meets it must not try the same target
// again: the configuration or the name server has to change first.
var ErrRefused = errors.New("address refused")

// Refusal is the error for one refused address. It says which kind of range the address lies in, never
// the address: the text may reach a client.
type Refusal struct {
	Range Range
}

// Error gives a constant text per range.
func (r *Refusal) Error() string { return "address refused: " + r.Range.String() }

// Unwrap makes errors.Is(err, ErrRefused) hold.
func (r *Refusal) Unwrap() error { return ErrRefused }

// Network says how far a guard's permission reaches.
type Network uint8

const (
	// Public permits global unicast addresses only. It is the zero value: the strict branch.
	Public Network = iota
	// Private permits, besides, loopback, RFC 1918, RFC 6598 (100.64/10) and fc00::/7 addresses.
	// Link-local and metadata addresses stay refused.
	Private
)

// Guard permits or refuses addresses. It is immutable and safe for concurrent use. The zero Guard
// permits global unicast addresses only.
type Guard struct {
	network Network
	exact   []netip.Addr // addresses the operator wrote out, unmapped, without zone
}

// New returns a guard for a network. The exact addresses are permitted besides, unless they are of a kind
// that is always refused.
func New(network Network, exact ...netip.Addr) *Guard {
	g := &Guard{network: network}
	for _, a := range exact {
		g.exact = append(g.exact, a.Unmap())
	}
	return g
}

// For returns the guard for one configured URL, as ParseURL returned it: an IP literal permits that one
// address, the name localhost permits 127.0.0.1 and ::1, any other name permits nothing beyond the network.
func For(u *url.URL, network Network) *Guard {
	host := u.Hostname()
	if host == "localhost" {
		return New(network, netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return New(network, a)
	}
	return New(network)
}

// Check returns nil when the address may be dialled and a *Refusal otherwise.
func (g *Guard) Check(a netip.Addr) error {
	r := Classify(a)
	switch {
	case r == Global:
		return nil
	case r.never():
		return &Refusal{Range: r}
	}
	a = a.Unmap()
	for _, e := range g.exact {
		if e == a {
			return nil
		}
	}
	if g.network == Private && r.private() {
		return nil
	}
	return &Refusal{Range: r}
}

// Control is the hook for net.Dialer.ControlContext. The dialer hands it the resolved address of the
// connection it is about to make, as host:port.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
	default:
		// The dialer resolves to tcp4 or tcp6 before it calls the hook; anything else is not ours.
		return &Refusal{Range: Invalid}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refusal{Range: Invalid}
	}
	return g.Check(ap.Addr())
}
