package upstream

import (
	"errors"
	"net/url"
	"strings"
)

// ErrPath is returned for a path element that is not a model, deployment or file name. The element is
// not quoted: it may come from a client.
var ErrPath = errors.New("path element holds a character or form that is not allowed")

// maxElement bounds a path element in bytes; the longest model names known are about 100.
const maxElement = 256

// Path builds an escaped path from its elements: Path("deployments", "prod-4o", "chat") gives
// "/deployments/prod-4o/chat". An element holds letters, digits and . _ : @ + - and slashes, which are
// escaped as %2F so that a name like Qwen/Qwen3-8B stays one element; parts between slashes must not be
// empty, "." or ".." (attack case E2).
func Path(elements ...string) (string, error) {
	var b strings.Builder
	for _, e := range elements {
		if err := checkElement(e); err != nil {
			return "", err
		}
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(e, "/", "%2F"))
	}
	return b.String(), nil
}

func checkElement(e string) error {
	if e == "" || len(e) > maxElement {
		return ErrPath
	}
	start := 0
	for i := 0; i <= len(e); i++ {
		if i == len(e) || e[i] == '/' {
			if part := e[start:i]; part == "" || part == "." || part == ".." {
				return ErrPath
			}
			start = i + 1
			continue
		}
		if !nameByte(e[i]) {
			return ErrPath
		}
	}
	return nil
}

func nameByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '.', '_', ':', '@', '+', '-':
		return true
	}
	return false
}

// checkPath verifies an escaped path as Path builds it: it begins with a slash, has no empty or dot
// segment and no escape but %2F. The empty path means the base URL itself.
func checkPath(p string) bool {
	if p == "" {
		return true
	}
	if p[0] != '/' {
		return false
	}
	start := 1
	for i := 1; i <= len(p); i++ {
		if i == len(p) || p[i] == '/' {
			if seg := p[start:i]; seg == "" || seg == "." || seg == ".." {
				return false
			}
			start = i + 1
			continue
		}
		if p[i] == '%' {
			if i+2 >= len(p) || p[i+1] != '2' || p[i+2] != 'F' {
				return false
			}
			i += 2
			continue
		}
		if !nameByte(p[i]) {
			return false
		}
	}
	// %2F must not smuggle a dot segment to a server that unescapes first.
	if strings.Contains(p, "%2F") {
		for seg := range strings.SplitSeq(strings.ReplaceAll(p[1:], "%2F", "/"), "/") {
			if seg == "" || seg == "." || seg == ".." {
				return false
			}
		}
	}
	return true
}

// checkQuery verifies an encoded query: printable ASCII without a fragment, and pairs of name and value.
func checkQuery(q string) bool {
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '"' || c == '<' || c == '>' || c == '\\' {
			return false
		}
	}
	return true
}

// target fills in the URL of a call: the base's scheme and host, the base's path, then the call's.
func target(dst *url.URL, base *url.URL, path, query string) {
	dst.Scheme, dst.Host, dst.RawQuery = base.Scheme, base.Host, query
	switch {
	case base.Path == "":
		dst.Path = path
	default:
		dst.Path = base.Path + path
	}
	if strings.IndexByte(path, '%') >= 0 {
		dst.RawPath = dst.Path
		dst.Path = strings.ReplaceAll(dst.Path, "%2F", "/")
	}
}
