package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// parseBase reads a base URL once and returns it in one normal form (attack case A10): scheme and host in lower case, no
// trailing dot, no default port, no trailing slash, IDN as punycode. The Text says what is wrong; it never holds the URL.
func parseBase(raw string) (string, Text) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", Text{"不是有效的 URL", "not a valid URL"}
	case u.Scheme != "http" && u.Scheme != "https":
		return "", Text{"URL 须以 http:// 或 https:// 开头", "the URL must begin with http:// or https://"}
	case u.User != nil:
		return "", Text{"URL 中不得含用户名或密码", "the URL must not hold a user name or password"}
	case u.RawQuery != "" || u.ForceQuery:
		return "", Text{"URL 中不得含查询参数", "the URL must not hold a query"}
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return "", Text{"URL 中不得含片段（#）", "the URL must not hold a fragment (#)"}
	case u.Opaque != "" || u.Host == "":
		return "", Text{"URL 缺少主机名", "the URL has no host"}
	case strings.ContainsAny(raw, " \t\r\n\\"):
		return "", Text{"URL 中含有空白或反斜杠", "the URL holds a space or backslash"}
	}
	host, ok := normalHost(u.Hostname())
	if !ok {
		return "", Text{"主机名不合法", "the host name is not valid"}
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", Text{"端口为空", "the port is empty"}
	}
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return "", Text{"端口不合法", "the port is not valid"}
		}
		if (u.Scheme == "https" && n == 443) || (u.Scheme == "http" && n == 80) {
			port = ""
		} else {
			port = strconv.Itoa(n)
		}
	}
	for _, seg := range strings.Split(u.Path, "/") {
		if seg == "." || seg == ".." {
			return "", Text{"路径中不得含 . 或 ..", "the path must not hold . or .."}
		}
	}
	if strings.ContainsAny(u.Path, "?#\\\x00\r\n") || strings.Contains(u.Path, "//") {
		return "", Text{"路径不合法", "the path is not valid"}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/"), Text{}
}

// normalHost lowers case, drops one trailing dot and turns an IDN into punycode. Numbers that only some resolvers take
// for an address (2130706433, 0177.0.0.1, 0x7f000001, 127.1) are refused (attack case A6).
func normalHost(h string) (string, bool) {
	h = strings.TrimSuffix(strings.ToLower(h), ".")
	if h == "" || strings.HasSuffix(h, ".") || len(h) > 253 {
		return "", false
	}
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Unmap().String(), a.Zone() == ""
	}
	ascii, err := idna.Lookup.ToASCII(h)
	if err != nil || ascii == "" {
		return "", false
	}
	labels := strings.Split(ascii, ".")
	last := labels[len(labels)-1]
	if digits(last) || strings.HasPrefix(last, "0x") {
		return "", false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return "", false
		}
		for i := 0; i < len(l); i++ {
			c := l[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
		}
	}
	return ascii, true
}

// parseProxy accepts scheme://host:port and nothing else.
func parseProxy(raw string) (string, Text) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", Text{"不是有效的代理地址", "not a valid proxy address"}
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return "", Text{"代理须为 http://、https:// 或 socks5://", "a proxy is http://, https:// or socks5://"}
	}
	if u.User != nil {
		return "", Text{"代理地址中不得含用户名或密码（本版本尚未提供）", "a proxy with user name or password is not in this version"}
	}
	host, ok := normalHost(u.Hostname())
	if !ok || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return "", Text{"代理应写作 scheme://主机:端口", "a proxy is written scheme://host:port"}
	}
	return u.Scheme + "://" + net.JoinHostPort(host, u.Port()), Text{}
}

// hostMatches compares a host with a catalog pattern: exact, "loopback", or one label for a label that is * or {name}.
func hostMatches(pattern, host string) bool {
	if pattern == "loopback" {
		a, err := netip.ParseAddr(host)
		return host == "localhost" || (err == nil && a.IsLoopback())
	}
	if h, _, err := net.SplitHostPort(pattern); err == nil {
		pattern = h
	}
	p, h := strings.Split(strings.ToLower(pattern), "."), strings.Split(host, ".")
	if len(p) != len(h) {
		return false
	}
	for i := range p {
		switch {
		case p[i] == h[i]:
		case h[i] != "" && (p[i] == "*" || (strings.HasPrefix(p[i], "{") && strings.HasSuffix(p[i], "}"))):
		case h[i] != "" && strings.Contains(p[i], "{"):
			before, rest, _ := strings.Cut(p[i], "{")
			_, after, _ := strings.Cut(rest, "}")
			if !strings.HasPrefix(h[i], before) || !strings.HasSuffix(h[i], after) || len(h[i]) <= len(before)+len(after) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// Hostname of a normalised base URL, "" when there is none.
func Hostname(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// IsLoopback reports whether a listen address accepts connections from this machine only. An empty host, 0.0.0.0 and ::
// are every address; a name other than localhost is not trusted to be loopback.
func IsLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// listenForm checks host:port with a port from 0 to 65535.
func listenForm(listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 || !digits(port) {
		return false
	}
	if host == "" {
		return true
	}
	_, ok := normalHost(host)
	return ok
}
