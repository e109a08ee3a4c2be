package upstream

import (
	"fmt"
	"log/slog"
)

const hidden = "[secret]"

// Secret holds a credential and prints as a constant in every format, in JSON, YAML and slog. The value
// sits behind a pointer so that reflection-based printing of a struct around it shows an address at most.
// The zero Secret is empty.
type Secret struct{ p *string }

// NewSecret wraps a credential.
func NewSecret(v string) Secret {
	if v == "" {
		return Secret{}
	}
	return Secret{p: &v}
}

// Empty reports that there is no credential.
func (s Secret) Empty() bool { return s.p == nil }

// reveal is unexported: only this package puts credentials on the wire.
func (s Secret) reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// String returns a constant.
func (s Secret) String() string { return hidden }

// GoString returns a constant.
func (s Secret) GoString() string { return hidden }

// Format writes a constant for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText returns a constant; it serves encoding/json and YAML encoders too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns a constant.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
