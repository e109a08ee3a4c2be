package guard

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// The reasons ParseURL refuses a URL. None of them holds any part of the URL: it may carry a credential.
var (
	ErrURLSyntax   = errors.New("url is malformed")
	ErrURLScheme   = errors.New("url must begin with http:// or https://")
	ErrURLUserinfo = errors.New("url must not hold a user name or password")
	ErrURLQuery    = errors.New("url must not hold a query or a fragment")
	ErrURLHost     = errors.New("url has no valid host name (write international names in their ASCII form)")
	ErrURLNumeric  = errors.New("url holds an IPv4 address in an unusual form; write four decimal numbers")
	ErrURLPort     = errors.New("url has an invalid port")
	ErrURLPath     = errors.New("url path holds dot segments, empty segments or escapes")
	ErrURLAddress  = errors.New("url names an address that is never permitted")
)

// ParseURL parses a configured URL once and returns it in normal form: host in lower case without a
// trailing dot, an IPv4-mapped literal as IPv4, no trailing slash, default ports removed. What it refuses
// is listed by the ErrURL values. It resolves nothing.
func ParseURL(raw string) (*url.URL, error) {
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] >= 0x7f || raw[i] == '\\' {
			if raw[i] >= 0x80 {
				return nil, ErrURLHost
			}
			return nil, ErrURLSyntax
		}
	}
	if strings.ContainsAny(raw, "?#") {
		return nil, ErrURLQuery
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, ErrURLSyntax // the error of net/url quotes the URL
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, ErrURLScheme
	}
	if u.User != nil || strings.Contains(u.Host, "@") {
		return nil, ErrURLUserinfo
	}
	if u.Opaque != "" || u.Host == "" {
		return nil, ErrURLSyntax
	}
	if err := checkBasePath(u); err != nil {
		return nil, err
	}
	host, err := normalHost(u.Host, u.Hostname())
	if err != nil {
		return nil, err
	}
	port, err := normalPort(u.Scheme, u.Host, u.Port())
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: u.Scheme, Host: host + port, Path: strings.TrimRight(u.Path, "/")}, nil
}

func checkBasePath(u *url.URL) error {
	if u.RawPath != "" || strings.ContainsAny(u.Path, "%;") {
		return ErrURLPath
	}
	p := strings.TrimRight(u.Path, "/")
	if p == "" {
		return nil
	}
	for seg := range strings.SplitSeq(p[1:], "/") {
		if seg == "" || seg == "." || seg == ".." {
			return ErrURLPath
		}
	}
	return nil
}

// normalHost returns the host in normal form, an IPv6 literal in brackets.
func normalHost(raw, name string) (string, error) {
	name = strings.ToLower(name)
	if strings.HasPrefix(raw, "[") {
		a, err := netip.ParseAddr(name)
		if err != nil || a.Zone() != "" {
			return "", ErrURLHost
		}
		return literalHost(a)
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", ErrURLHost
	}
	labels := strings.Split(name, ".")
	if numeric(labels[len(labels)-1]) {
		// The rule of the WHATWG URL standard: a host whose last label is a number is an IPv4 address.
		// Resolvers accept 2130706433, 0177.0.0.1, 0x7f000001 and 127.1 as such; we accept the plain form only.
		a, err := netip.ParseAddr(name)
		if err != nil || !a.Is4() {
			return "", ErrURLNumeric
		}
		return literalHost(a)
	}
	for _, l := range labels {
		if !validLabel(l) {
			return "", ErrURLHost
		}
	}
	return name, nil
}

func literalHost(a netip.Addr) (string, error) {
	if Classify(a).never() {
		return "", ErrURLAddress
	}
	a = a.Unmap()
	if a.Is6() {
		return "[" + a.String() + "]", nil
	}
	return a.String(), nil
}

// numeric reports a label that some resolver reads as a number: digits, or 0x and hexadecimal digits.
func numeric(label string) bool {
	if label == "" {
		return false
	}
	if strings.HasPrefix(label, "0x") {
		for _, c := range []byte(label[2:]) {
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
		return true
	}
	for _, c := range []byte(label) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func validLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for _, c := range []byte(l) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// normalPort returns ":port", or nothing for the scheme's own port.
func normalPort(scheme, rawHost, port string) (string, error) {
	if port == "" {
		if strings.HasSuffix(rawHost, ":") {
			return "", ErrURLPort
		}
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return "", ErrURLPort
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return "", nil
	}
	return ":" + port, nil
}
