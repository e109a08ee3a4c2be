package pii

import "bytes"

// email finds an address around the @ at [i, after); the local part may not reach before floor and takes no Chinese in.
func email(dst []Finding, b []byte, i, after, floor int) []Finding {
	start := i
	for start > floor && start > i-64 && localByte(b[start-1]) {
		start--
	}
	for start < i && (b[start] == '.' || b[start] == '-') {
		start++
	}
	if start == i || b[i-1] == '.' {
		return dst
	}
	end, label, tld, dots := after, 0, 0, 0
	for j := after; j < len(b) && j < after+255; j++ {
		c := b[j]
		switch {
		case isAlnum(c):
			label++
			if c >= '0' && c <= '9' {
				tld = -64
			} else {
				tld++
			}
			if dots > 0 && tld >= 2 {
				end = j + 1
			}
			continue
		case c == '-' && label > 0:
			label, tld = label+1, -64
			continue
		case c == '.' && label > 0:
			label, tld = 0, 0
			dots++
			continue
		}
		break
	}
	if end == after || end < len(b) && (isAlnum(b[end]) || b[end] == '_') {
		return dst
	}
	if string(b[start:i]) == "git" { // git@host:path is a repository, not a person
		return dst
	}
	return append(dst, Finding{Email, start, end})
}

func localByte(c byte) bool {
	return isAlnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'
}

// prefix is a credential known by how it begins.
type prefix struct {
	class uint8  // class of the byte that triggers the look
	text  string // what it begins with
	at    int    // index of the trigger in text
	min   int    // least number of token bytes after text
	fixed bool   // exactly min
	typ   Type
}

var prefixes = []prefix{
	{dash, "sk-", 2, 20, false, LLMKey}, // OpenAI, DeepSeek, Moonshot, DashScope, Anthropic
	{under, "hf_", 2, 30, false, LLMKey},
	{under, "gsk_", 3, 30, false, LLMKey},
	{dash, "xai-", 3, 30, false, LLMKey},
	{upperA, "AIza", 0, 35, true, LLMKey},
	{upperA, "AKIA", 0, 16, true, AWSKey},
	{upperA, "ASIA", 0, 16, true, AWSKey},
	{upperA, "AKID", 0, 28, false, CloudKey},
	{upperL, "LTAI", 0, 12, false, CloudKey},
	{under, "ghp_", 3, 36, false, GitHub},
	{under, "gho_", 3, 36, false, GitHub},
	{under, "ghs_", 3, 36, false, GitHub},
	{under, "github_pat_", 6, 40, false, GitHub},
}

// secret looks for a credential around the trigger byte at i.
func secret(dst []Finding, b []byte, i int, class uint8, floor int) []Finding {
	if class == upperJ {
		return jwt(dst, b, i, floor)
	}
	if class == dash && bytes.HasPrefix(b[i:], []byte("-----BEGIN ")) {
		return privateKey(dst, b, i)
	}
	for k := range prefixes {
		p := &prefixes[k]
		start := i - p.at
		if p.class != class || start < floor || !bytes.HasPrefix(b[start:], []byte(p.text)) || start > 0 && wordByte(b[start-1]) {
			continue
		}
		j, digits := start+len(p.text), 0
		body := j
		for j < len(b) && (wordByte(b[j]) || b[j] == '-') {
			if b[j] >= '0' && b[j] <= '9' {
				digits++
			}
			j++
		}
		n := j - body
		// A slug or a style class has words, not entropy: a credential of this length has digits and few repeats.
		if n < p.min || p.fixed && n != p.min || digits == 0 || distinct(b[body:j]) < min(10, p.min/2) {
			continue
		}
		return append(dst, Finding{p.typ, start, j})
	}
	return dst
}

func distinct(b []byte) int {
	var seen [128]bool
	n := 0
	for _, c := range b {
		if c < 128 && !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// jwt finds a JSON Web Token in compact form (RFC 7519) whose header begins at the J of eyJ.
func jwt(dst []Finding, b []byte, i, floor int) []Finding {
	start := i - 2
	if start < floor || b[start] != 'e' || b[start+1] != 'y' || start > 0 && wordByte(b[start-1]) {
		return dst
	}
	dots, j, part := 0, start, 0
	for ; j < len(b); j++ {
		if wordByte(b[j]) || b[j] == '-' {
			part++
			continue
		}
		if b[j] == '.' && part >= 8 && dots < 2 {
			dots++
			part = 0
			continue
		}
		break
	}
	if dots < 2 {
		return dst
	}
	return append(dst, Finding{JWT, start, j})
}

// privateKey finds a PEM private key (RFC 7468) by its header; the body may be cut.
func privateKey(dst []Finding, b []byte, i int) []Finding {
	head := b[i:min(len(b), i+64)]
	if k := bytes.Index(head, []byte("PRIVATE KEY")); k < 0 {
		return dst
	}
	end := i + len(head)
	if k := bytes.Index(b[i:min(len(b), i+16384)], []byte("-----END ")); k >= 0 {
		end = i + k
		if l := bytes.Index(b[end:min(len(b), end+64)], []byte("PRIVATE KEY-----")); l >= 0 {
			end += l + len("PRIVATE KEY-----")
		}
	}
	return append(dst, Finding{PrivateKey, i, end})
}
