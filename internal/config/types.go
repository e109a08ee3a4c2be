package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"homeport/internal/appkey"
)

// Secret holds a credential. However it is printed, logged or encoded, it shows as "[secret]"; Reveal is the only way out.
type Secret struct{ value string }

// NewSecret wraps a credential.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the credential itself; the caller puts it into a request header and nowhere else.
func (s Secret) Reveal() string { return s.value }

// IsSet reports whether there is a credential.
func (s Secret) IsSet() bool { return s.value != "" }

func (s Secret) String() string { return "[secret]" }

// GoString, MarshalText and LogValue keep %#v, encoders and slog from showing the value.
func (s Secret) GoString() string             { return "[secret]" }
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue("[secret]") }

// Format covers every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { f.Write([]byte("[secret]")) }

// Fact is a declared value: bool, string, int64, float64, []string or map[string]any
// (a done.* fact with its days); nil when Unknown (an explicit null).
type Fact struct {
	Value   any
	Unknown bool
	Pos     Pos
}

// Facts by full name, such as "service.audience".
type Facts map[string]Fact

// Places are ISO 3166-1 codes in upper case.
type Places []string

// Prefix is an address range; a single address counts as the range that holds only it.
type Prefix struct{ netip.Prefix }

// Size is a number of bytes, written as 16MiB, 512KiB, 1GB or a plain number.
type Size int64

// MicroCNY is money in millionths of a yuan.
type MicroCNY int64

// notYet stands for a key that is known by name and whose function this version lacks.
type notYet struct{}

func parseSize(s string) (Size, bool) {
	t := strings.ReplaceAll(strings.TrimSpace(s), "_", "")
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(t, u.suffix); ok {
			t, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, false
	}
	return Size(n * unit), true
}

// parseMoney reads a decimal with at most six places exactly; rounding money in a limit would make a limit nobody set.
func parseMoney(s string) (MicroCNY, bool) {
	whole, frac, dotted := strings.Cut(strings.ReplaceAll(s, "_", ""), ".")
	if !digits(whole) || (dotted && !digits(frac)) || len(frac) > 6 || len(whole) > 12 {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	return MicroCNY(n), true
}

// parseInt reads a decimal integer; digits may be grouped by single underscores, as in 5_000_000.
func parseInt(s string) (int64, bool) {
	if strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") || strings.HasPrefix(s, "-_") {
		return 0, false
	}
	t := strings.ReplaceAll(s, "_", "")
	if body := strings.TrimPrefix(t, "-"); !digits(body) || (len(body) > 1 && body[0] == '0') {
		return 0, false
	}
	n, err := strconv.ParseInt(t, 10, 64)
	return n, err == nil
}

func digits(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func parsePrefix(s string) (Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return Prefix{p.Masked()}, true
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return Prefix{netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())}, true
	}
	return Prefix{}, false
}

// keyOf turns the text of a configured key into what is kept of it.
func keyOf(text string) (Key, error) {
	if err := appkey.CheckConfigured(text); err != nil {
		return Key{}, err
	}
	return Key{Hash: appkey.HashOf(text)}, nil
}
