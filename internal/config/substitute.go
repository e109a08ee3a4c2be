package config

import "strings"

// substitution is what replacing variables in one scalar came to.
type substitution struct {
	text    string // the scalar with values in place
	used    bool   // a variable was replaced: text must not be shown
	missing string // first variable that is not set, or is empty
	bad     string // "unclosed" or "name" when ${…} is malformed
}

// substitute replaces ${NAME} in one scalar that is already parsed; $${ is a literal ${. Replacement happens once: a
// value that itself holds ${X} stays as it is.
func substitute(s string, getenv func(string) string) substitution {
	if !strings.Contains(s, "${") {
		return substitution{text: s}
	}
	var out strings.Builder
	var r substitution
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			out.WriteString(s)
			break
		}
		if i > 0 && s[i-1] == '$' { // $${
			out.WriteString(s[:i-1])
			out.WriteString("${")
			s = s[i+2:]
			continue
		}
		out.WriteString(s[:i])
		rest := s[i+2:]
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			r.bad = "unclosed"
			return r
		}
		name := rest[:end]
		if !variableName(name) {
			r.bad = "name"
			return r
		}
		value := ""
		if getenv != nil {
			value = getenv(name)
		}
		if value == "" && r.missing == "" {
			r.missing = name
		}
		r.used = true
		out.WriteString(value)
		s = rest[end+1:]
	}
	r.text = out.String()
	return r
}

func variableName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
