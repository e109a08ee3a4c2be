package httpx

import (
	"net"
	"net/netip"
	"testing"
)

// A listener that leaves TLS to proxies in front of it speaks to them and to loopback only.
func TestListenerSpeaksToItsProxiesOnly(t *testing.T) {
	l := fromOnly{prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for addr, want := range map[string]bool{
		"10.1.2.3:9": true, "[::ffff:10.1.2.3]:9": true, "[fd00::1]:9": true, "127.0.0.1:9": true, "[::1]:9": true,
		"10.2.0.1:9": false, "192.0.2.1:9": false, "[2001:db8::1]:9": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.permits(a); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}
