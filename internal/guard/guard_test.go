package guard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"homeport/internal/guard"
)

// Attack cases A5 and A6, and the ranges beside them.
func TestAddressTable(t *testing.T) {
	cases := []struct {
		addr string
		want guard.Range
	}{
		{"0.0.0.0", guard.Unspecified}, {"0.1.2.3", guard.Unspecified},
		{"127.0.0.1", guard.Loopback}, {"127.255.255.254", guard.Loopback},
		{"10.0.0.1", guard.PrivateUse}, {"10.255.255.255", guard.PrivateUse},
		{"172.15.255.255", guard.Global}, {"172.16.0.0", guard.PrivateUse}, {"172.31.255.255", guard.PrivateUse}, {"172.32.0.0", guard.Global},
		{"192.168.0.1", guard.PrivateUse}, {"192.167.255.255", guard.Global}, {"192.169.0.0", guard.Global},
		{"100.63.255.255", guard.Global}, {"100.64.0.0", guard.Shared}, {"100.127.255.255", guard.Shared}, {"100.128.0.0", guard.Global},
		{"100.100.100.200", guard.Metadata}, {"168.63.129.16", guard.Metadata}, {"192.0.0.192", guard.Metadata},
		{"169.254.169.254", guard.LinkLocal}, {"169.254.0.23", guard.LinkLocal}, {"169.253.255.255", guard.Global},
		{"192.0.0.1", guard.Special}, {"192.0.1.1", guard.Global}, {"192.0.2.9", guard.Special},
		{"198.17.255.255", guard.Global}, {"198.18.0.1", guard.Special}, {"198.19.255.255", guard.Special}, {"198.20.0.0", guard.Global},
		{"198.51.100.7", guard.Special}, {"203.0.113.7", guard.Special}, {"192.88.99.1", guard.Translated},
		{"223.255.255.255", guard.Global}, {"224.0.0.1", guard.Multicast}, {"239.255.255.255", guard.Multicast},
		{"240.0.0.1", guard.Reserved}, {"255.255.255.255", guard.Reserved},
		{"1.1.1.1", guard.Global}, {"8.8.8.8", guard.Global}, {"223.5.5.5", guard.Global},
		{"::", guard.Unspecified}, {"::1", guard.Loopback},
		{"fe80::1", guard.LinkLocal}, {"febf::1", guard.LinkLocal}, {"fec0::1", guard.LinkLocal}, {"fe80::1%eth0", guard.Invalid},
		{"fc00::1", guard.PrivateUse}, {"fdff::1", guard.PrivateUse}, {"fd00:ec2::254", guard.Metadata}, {"fd20:ce::254", guard.Metadata},
		{"ff02::1", guard.Multicast},
		{"::ffff:127.0.0.1", guard.Loopback}, {"::ffff:169.254.169.254", guard.LinkLocal}, {"::ffff:10.0.0.1", guard.PrivateUse},
		{"::ffff:100.100.100.200", guard.Metadata}, {"::ffff:8.8.8.8", guard.Global},
		{"::127.0.0.1", guard.Translated}, {"64:ff9b::7f00:1", guard.Translated}, {"64:ff9b:1::1", guard.Translated},
		{"2002:7f00:1::", guard.Translated}, {"2001:0:4136:e378::1", guard.Translated}, {"2001:db8::1", guard.Special},
		{"2001:10::1", guard.Special}, {"3fff::1", guard.Special}, {"100::1", guard.Reserved}, {"4000::1", guard.Reserved},
		{"2400:3200::1", guard.Global}, {"2606:4700:4700::1111", guard.Global},
	}
	for _, c := range cases {
		a := netip.MustParseAddr(c.addr)
		if got := guard.Classify(a); got != c.want {
			t.Errorf("Classify(%s) = %s, want %s", c.addr, got, c.want)
		}
		err := guard.New(guard.Public).Check(a)
		if (err == nil) != (c.want == guard.Global) {
			t.Errorf("public guard on %s: %v", c.addr, err)
		}
		if err != nil && (!errors.Is(err, guard.ErrRefused) || strings.Contains(err.Error(), c.addr) && len(c.addr) > 2) {
			t.Errorf("refusal of %s is %q: must wrap ErrRefused and not name the address", c.addr, err)
		}
		err = guard.New(guard.Private).Check(a)
		private := c.want == guard.Global || c.want == guard.Loopback || c.want == guard.PrivateUse || c.want == guard.Shared
		if (err == nil) != private {
			t.Errorf("private guard on %s: %v", c.addr, err)
		}
	}
	if err := guard.New(guard.Private).Check(netip.Addr{}); err == nil {
		t.Error("the zero address was permitted")
	}
}

func TestForPermitsExactlyWhatWasWritten(t *testing.T) {
	cases := []struct {
		base    string
		permit  []string
		refused []string
	}{
		{"http://127.0.0.1:9001/v1", []string{"127.0.0.1", "::ffff:127.0.0.1", "8.8.8.8"}, []string{"127.0.0.2", "10.0.0.1", "::1"}},
		{"http://localhost:11434", []string{"127.0.0.1", "::1"}, []string{"127.0.0.2", "192.168.0.1"}},
		{"http://10.1.2.3", []string{"10.1.2.3"}, []string{"10.1.2.4", "127.0.0.1"}},
		{"http://[fd12::5]:80", []string{"fd12::5"}, []string{"fd12::6", "fd00:ec2::254"}},
		{"http://[::ffff:10.1.2.3]", []string{"10.1.2.3"}, []string{"10.1.2.4"}},
		{"https://api.example.com", []string{"1.1.1.1"}, []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"}},
		{"https://localhost.example.com", []string{"1.1.1.1"}, []string{"127.0.0.1", "::1"}},
	}
	for _, c := range cases {
		u, err := guard.ParseURL(c.base)
		if err != nil {
			t.Fatalf("ParseURL(%s): %v", c.base, err)
		}
		g := guard.For(u, guard.Public)
		for _, a := range c.permit {
			if err := g.Check(netip.MustParseAddr(a)); err != nil {
				t.Errorf("%s must permit %s: %v", c.base, a, err)
			}
		}
		for _, a := range c.refused {
			if err := g.Check(netip.MustParseAddr(a)); err == nil {
				t.Errorf("%s must refuse %s", c.base, a)
			}
		}
	}
	// Even an operator's own word does not open what is always refused.
	for _, a := range []string{"169.254.169.254", "100.100.100.200", "0.0.0.0", "::", "fe80::1", "224.0.0.1"} {
		addr := netip.MustParseAddr(a)
		if err := guard.New(guard.Private, addr).Check(addr); err == nil {
			t.Errorf("%s was permitted by its literal", a)
		}
	}
}

func TestParseURL(t *testing.T) {
	good := map[string]string{
		"https://API.DeepSeek.com.":           "https://api.deepseek.com",
		"https://api.deepseek.com:443/v1/":    "https://api.deepseek.com/v1",
		"http://127.0.0.1:9001/v1":            "http://127.0.0.1:9001/v1",
		"http://localhost:80":                 "http://localhost",
		"https://[2400:3200::1]:8443":         "https://[2400:3200::1]:8443",
		"http://[::FFFF:127.0.0.1]:80/v1":     "http://127.0.0.1/v1",
		"https://xn--fiq228c.example.com":     "https://xn--fiq228c.example.com",
		"https://a_b.internal:8000/compat/v1": "https://a_b.internal:8000/compat/v1",
		"https://7.example.com":               "https://7.example.com",
	}
	for raw, want := range good {
		u, err := guard.ParseURL(raw)
		if err != nil {
			t.Errorf("ParseURL(%s): %v", raw, err)
		} else if u.String() != want {
			t.Errorf("ParseURL(%s) = %s, want %s", raw, u, want)
		}
	}
	bad := map[string]error{
		"http://2130706433/":              guard.ErrURLNumeric,
		"http://0177.0.0.1/":              guard.ErrURLNumeric,
		"http://0x7f000001/":              guard.ErrURLNumeric,
		"http://0x7f.0.0.1":               guard.ErrURLNumeric,
		"http://127.1":                    guard.ErrURLNumeric,
		"http://127.0.1":                  guard.ErrURLNumeric,
		"http://127.0.0.1.2":              guard.ErrURLNumeric,
		"http://example.0x7f":             guard.ErrURLNumeric,
		"http://1.2.3.256":                guard.ErrURLNumeric,
		"http://00000127.0.0.1":           guard.ErrURLNumeric,
		"http://127.1.":                   guard.ErrURLNumeric,
		"https://user:pw@api.example.com": guard.ErrURLUserinfo,
		"https://api.example.com@evil":    guard.ErrURLUserinfo,
		"https://api.example.com/?x=1":    guard.ErrURLQuery,
		"https://api.example.com/#f":      guard.ErrURLQuery,
		"https://api.example.com/v1?":     guard.ErrURLQuery,
		"ftp://api.example.com":           guard.ErrURLScheme,
		"api.example.com/v1":              guard.ErrURLScheme,
		"file:///etc/passwd":              guard.ErrURLScheme,
		"https:api.example.com":           guard.ErrURLSyntax,
		"https://":                        guard.ErrURLSyntax,
		"https://.":                       guard.ErrURLHost,
		"https://a..b":                    guard.ErrURLHost,
		"https://-a.example":              guard.ErrURLHost,
		"https://a%2eb.example":           guard.ErrURLSyntax,
		"https://例子.example":              guard.ErrURLHost,
		"https://a.example\\@b":           guard.ErrURLSyntax,
		"https://a.example\r\n":           guard.ErrURLSyntax,
		"https://a.example:0":             guard.ErrURLPort,
		"https://a.example:99999":         guard.ErrURLPort,
		"https://a.example:":              guard.ErrURLPort,
		"https://a.example:08443":         guard.ErrURLPort,
		"https://a.example/../v1":         guard.ErrURLPath,
		"https://a.example/%2e%2e/v1":     guard.ErrURLPath,
		"https://a.example/a%2fb":         guard.ErrURLPath,
		"https://a.example//v1":           guard.ErrURLPath,
		"http://169.254.169.254/latest":   guard.ErrURLAddress,
		"http://[::ffff:169.254.169.254]": guard.ErrURLAddress,
		"http://100.100.100.200":          guard.ErrURLAddress,
		"http://0.0.0.0:8080":             guard.ErrURLAddress,
		"http://[::]:8080":                guard.ErrURLAddress,
		"http://[fe80::1]":                guard.ErrURLAddress,
		"http://[fe80::1%25eth0]":         guard.ErrURLHost,
	}
	for raw, want := range bad {
		if _, err := guard.ParseURL(raw); !errors.Is(err, want) {
			t.Errorf("ParseURL(%q) = %v, want %v", raw, err, want)
		}
	}
}

// The hook sees the resolved address, so a name gains nothing over the address it stands for.
func TestControlStopsTheDial(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		d := net.Dialer{ControlContext: guard.New(guard.Public).Control}
		c, err := d.DialContext(context.Background(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
			t.Errorf("%s was dialled", host)
		} else if !errors.Is(err, guard.ErrRefused) {
			t.Errorf("dial %s: %v, want ErrRefused", host, err)
		}
		d.ControlContext = guard.New(guard.Private).Control
		c, err = d.DialContext(context.Background(), "tcp4", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("private network, dial %s: %v", host, err)
		} else {
			c.Close()
		}
	}
	for _, a := range []string{"127.0.0.1:80", "x:80", "", "[::1]:80"} {
		if err := guard.New(guard.Private).Control(context.Background(), "udp4", a, nil); err == nil {
			t.Errorf("udp to %q was permitted", a)
		}
	}
}

// Whatever the text, ParseURL returns a URL whose host is one the text named, in a form that parses to
// itself, and that carries no credential.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://api.example.com/v1", "http://0x7f.1", "http://[::1]:80/", "http://a@b", "http://127.0.0.1", "http://１２７.0.0.1", "https://a.b.:443//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := guard.ParseURL(raw)
		if err != nil {
			return
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q kept a part it must refuse", raw)
		}
		again, err := guard.ParseURL(u.String())
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q: %v is not stable: %v %v", raw, u, again, err)
		}
		if std, err := url.Parse(raw); err != nil || !strings.EqualFold(strings.TrimSuffix(std.Hostname(), "."), u.Hostname()) && net.ParseIP(std.Hostname()) == nil {
			t.Fatalf("%q: host changed to %q", raw, u.Hostname())
		}
		g := guard.For(u, guard.Public)
		for _, a := range []string{"169.254.169.254", "100.100.100.200", "0.0.0.0"} {
			if g.Check(netip.MustParseAddr(a)) == nil {
				t.Fatalf("%q permits %s", raw, a)
			}
		}
	})
}

// An address and its IPv4-mapped form are judged alike; nothing refused by the private guard is
// permitted by the public one.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		public, private := guard.New(guard.Public), guard.New(guard.Private)
		if public.Check(a) == nil && private.Check(a) != nil {
			t.Fatal("private is stricter than public")
		}
		if a.Is4() {
			m := netip.AddrFrom16(a.As16())
			if guard.Classify(m) != guard.Classify(a) {
				t.Fatalf("%v and its mapped form differ", a)
			}
		}
		if public.Check(a) == nil {
			ip := net.IP(a.Unmap().AsSlice())
			if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
				t.Fatalf("%v was permitted", a)
			}
		}
	})
}
