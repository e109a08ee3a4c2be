// Package pii finds personal information and secrets in text: text in, findings with spans out, no judgement.
//
// Start at [Scan]. This is the first detector set: resident identity numbers, mainland mobile numbers, bank cards, e-mail
// addresses, API keys and private keys: the types whose form and checksum suffice. Numbers are read through full-width
// digits, zero-width characters and single separators. What it does not find is not thereby absent: names, addresses and
// the like are not looked for yet, and [Scanned] names what was.
//
// It allocates only for findings, uses no regular expressions, and is linear in the text. It must not depend on requests,
// policy or logging: findings hold spans and types, never the matched text.
package pii

// Class is the legal class of a finding (PIPL art. 28 for sensitive).
type Class string

// Classes of findings.
const (
	Personal  Class = "pi"
	Sensitive Class = "spi"
	Secret    Class = "secret"
)

// Type identifies what was found; the ids are those of the catalogue of types.
type Type struct {
	ID    string
	Class Class
}

// The types this version looks for.
var (
	ResidentID = Type{"cn_resident_id", Personal}
	MobileCN   = Type{"mobile_cn", Personal}
	BankCard   = Type{"bank_card", Sensitive}
	Email      = Type{"email", Personal}
	LLMKey     = Type{"secret_llm_key", Secret}
	CloudKey   = Type{"secret_cloud_cn", Secret}
	AWSKey     = Type{"secret_aws", Secret}
	GitHub     = Type{"secret_github", Secret}
	JWT        = Type{"secret_jwt", Secret}
	PrivateKey = Type{"secret_private_key", Secret}
)

// Scanned lists the types this version looks for, in fixed order: what a decision may say was inspected.
func Scanned() []Type {
	return []Type{ResidentID, MobileCN, BankCard, Email, LLMKey, CloudKey, AWSKey, GitHub, JWT, PrivateKey}
}

// Finding is a span of bytes of the scanned text with its type.
type Finding struct {
	Type       Type
	Start, End int
}

// What a byte may begin or be in the middle of. Bytes of class 0 are skipped without another look.
const (
	skip   uint8 = iota
	digit        // 0-9
	at           // @
	wide         // 0xEF: full-width digits and ＠
	dash         // sk-, -----BEGIN
	under        // hf_, ghp_
	upperA       // AKIA, AIza, AKID
	upperJ       // eyJ
	upperL       // LTAI
)

var classes = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = digit
	}
	t['@'], t[0xEF], t['-'], t['_'], t['A'], t['J'], t['L'] = at, wide, dash, under, upperA, upperJ, upperL
	return t
}()

// Scan appends the findings of text, in order of their start and without overlap, to dst.
func Scan(dst []Finding, text []byte) []Finding {
	var ahead looked
	floor := 0 // no finding may start before: the end of the last one
	for i := 0; i < len(text); {
		// Most bytes begin nothing: four at a time.
		for i+4 <= len(text) && classes[text[i]]|classes[text[i+1]]|classes[text[i+2]]|classes[text[i+3]] == skip {
			i += 4
		}
		if i >= len(text) {
			break
		}
		c := classes[text[i]]
		if c == skip {
			i++
			continue
		}
		n := len(dst)
		next := i + 1
		switch c {
		case digit:
			dst, next = numbers(dst, text, i)
		case wide:
			if isWideDigit(text, i) {
				dst, next = numbers(dst, text, i)
			} else if hasAt(text, i) {
				dst = email(dst, text, i, i+3, floor)
			}
		case at:
			dst = email(dst, text, i, i+1, floor)
		default:
			dst = ahead.secret(dst, text, i, c, floor)
		}
		if len(dst) > n {
			floor = dst[len(dst)-1].End
			next = max(next, floor)
		}
		i = next
	}
	return dst
}

func isWideDigit(b []byte, i int) bool {
	return i+2 < len(b) && b[i] == 0xEF && b[i+1] == 0xBC && b[i+2] >= 0x90 && b[i+2] <= 0x99
}

// hasAt reports a full-width ＠ (U+FF20) at i.
func hasAt(b []byte, i int) bool {
	return i+2 < len(b) && b[i+1] == 0xBC && b[i+2] == 0xA0
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// wordByte: an ASCII letter, digit or underscore beside a value breaks it; Chinese text does not.
func wordByte(c byte) bool { return isAlnum(c) || c == '_' }
