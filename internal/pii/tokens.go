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

// looked remembers how far a scan has looked ahead, so that text made of beginnings of credentials is still read in linear
// time: no stretch is walked to its end again for each of them.
type looked struct {
	tokenEnd int // the end of the last stretch of token bytes walked
	tokenAt  int // and where the walk began
	noJWT    int // a stretch that ends here begins no web token
	noEnd    int // no "-----END " begins before
}

// token returns the end of the stretch of letters, digits, _ and - that holds i.
func (l *looked) token(b []byte, i int) int {
	if i >= l.tokenAt && i < l.tokenEnd {
		return l.tokenEnd
	}
	j := i
	for j < len(b) && tokenByte(b[j]) {
		j++
	}
	l.tokenAt, l.tokenEnd = i, j
	return j
}

func tokenByte(c byte) bool { return wordByte(c) || c == '-' }

// secret looks for a credential around the trigger byte at i.
func (l *looked) secret(dst []Finding, b []byte, i int, class uint8, floor int) []Finding {
	if class == upperJ {
		return l.jwt(dst, b, i, floor)
	}
	if class == dash && bytes.HasPrefix(b[i:], []byte("-----BEGIN ")) {
		return l.privateKey(dst, b, i)
	}
	for k := range prefixes {
		p := &prefixes[k]
		start := i - p.at
		if p.class != class || start < floor || !bytes.HasPrefix(b[start:], []byte(p.text)) || start > 0 && wordByte(b[start-1]) {
			continue
		}
		body := start + len(p.text)
		end := l.token(b, body)
		if p.fixed && end-body > p.min && b[body+p.min] == '-' {
			end = body + p.min
		}
		if end-body < p.min || p.fixed && end-body != p.min || !random(b[body:min(end, body+64)], min(10, p.min/2)) {
			continue
		}
		return append(dst, Finding{p.typ, start, end})
	}
	return dst
}

// random tells a credential from a slug or the name of a style class, which have words: it has digits and few repeats.
func random(b []byte, least int) bool {
	var seen [128]bool
	n, digits := 0, false
	for _, c := range b {
		digits = digits || c >= '0' && c <= '9'
		if c < 128 && !seen[c] {
			seen[c] = true
			n++
		}
	}
	return digits && n >= least
}

// jwt finds a JSON Web Token in compact form (RFC 7519) whose header begins at the J of eyJ.
func (l *looked) jwt(dst []Finding, b []byte, i, floor int) []Finding {
	start := i - 2
	if start < floor || b[start] != 'e' || b[start+1] != 'y' || start > 0 && wordByte(b[start-1]) {
		return dst
	}
	end := l.token(b, start)
	if end-start < 8 || end == l.noJWT {
		return dst
	}
	header := end
	for _, least := range [...]int{8, 0} { // payload and signature, which may be empty
		if end == len(b) || b[end] != '.' {
			l.noJWT = header
			return dst
		}
		part := end + 1
		for end = part; end < len(b) && tokenByte(b[end]); {
			end++
		}
		if end-part < least {
			l.noJWT = header
			return dst
		}
	}
	return append(dst, Finding{JWT, start, end})
}

// privateKey finds a PEM private key (RFC 7468) by its header; the body may be cut.
func (l *looked) privateKey(dst []Finding, b []byte, i int) []Finding {
	head := b[i:min(len(b), i+64)]
	if k := bytes.Index(head, []byte("PRIVATE KEY")); k < 0 {
		return dst
	}
	end := i + len(head)
	from, to := max(i, l.noEnd), min(len(b), i+16384)
	if from < to {
		if k := bytes.Index(b[from:to], []byte("-----END ")); k >= 0 {
			end = from + k
			if l := bytes.Index(b[end:min(len(b), end+64)], []byte("PRIVATE KEY-----")); l >= 0 {
				end += l + len("PRIVATE KEY-----")
			}
		} else {
			l.noEnd = max(from, to-len("-----END ")+1)
		}
	}
	return append(dst, Finding{PrivateKey, i, end})
}
