// Package appkey makes, parses and looks up the keys applications present to the gateway.
//
// A made key is
//
//	sk-hp-<id>-<secret><check>
//
// id: 10 characters that name the key in lists (50 random bits); secret: 52 characters (256 bits from crypto/rand);
// check: 7 characters, CRC-32 of all before it, so that a mistyped or cut key is told from a wrong one without a
// look-up. The alphabet is RFC 4648 base 32 in lower case, so a double click selects the parts and nothing needs quoting.
//
// What always holds: a key is hashed whole before anything is looked up (no prefix, no raw bytes reach a map or SQL),
// only the hash is kept, digests are compared in constant time, and no error holds any part of a credential.
// SHA-256 without salt is enough for secrets of 256 random bits: nothing shorter than the whole space can be tried.
package appkey

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf8"
)

// Prefix begins every key made here. A configured key may begin with it too, without a valid checksum.
const Prefix = "sk-hp-"

const (
	idLen     = 10
	secretLen = 52
	checkLen  = 7
	madeLen   = len(Prefix) + idLen + 1 + secretLen + checkLen

	// MinConfigured is the least number of characters of a configured key.
	MinConfigured = 24
	// MaxLen bounds a credential in bytes; anything longer is no key and is not even hashed.
	MaxLen = 4096
)

var alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ErrMalformed says that a string is not a key made here. It never holds the string.
var ErrMalformed = errors.New("not a homeport key: wrong form or checksum")

// Hash is the SHA-256 of a whole credential.
type Hash [sha256.Size]byte

// HashOf hashes the whole credential.
func HashOf(credential string) Hash { return sha256.Sum256([]byte(credential)) }

// String is the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Equal compares in constant time.
func (h Hash) Equal(o Hash) bool { return subtle.ConstantTimeCompare(h[:], o[:]) == 1 }

// Made is a new key. Credential is shown once and then forgotten.
type Made struct {
	ID         string
	Credential string
	Hash       Hash
	Last4      string
}

// New makes a key from crypto/rand.
func New() Made {
	var raw [7 + 32]byte
	rand.Read(raw[:]) // never fails since Go 1.24
	id := alphabet.EncodeToString(raw[:7])[:idLen]
	body := Prefix + id + "-" + alphabet.EncodeToString(raw[7:])
	cred := body + checksum(body)
	return Made{ID: id, Credential: cred, Hash: HashOf(cred), Last4: cred[len(cred)-4:]}
}

// AdminPrefix begins every admin secret.
const AdminPrefix = "hp-admin-"

// NewAdmin makes an admin secret from crypto/rand. It is no application key: Parse refuses it.
func NewAdmin() (secret string, h Hash) {
	secret = AdminPrefix + New().Credential[len(Prefix):]
	return secret, HashOf(secret)
}

// Parse checks form and checksum of a made key and returns its id.
func Parse(credential string) (id string, err error) {
	if len(credential) != madeLen || !strings.HasPrefix(credential, Prefix) || credential[len(Prefix)+idLen] != '-' {
		return "", ErrMalformed
	}
	id = credential[len(Prefix) : len(Prefix)+idLen]
	body, check := credential[:madeLen-checkLen], credential[madeLen-checkLen:]
	if !inAlphabet(id) || !inAlphabet(body[len(Prefix)+idLen+1:]) {
		return "", ErrMalformed
	}
	if subtle.ConstantTimeCompare([]byte(check), []byte(checksum(body))) != 1 {
		return "", ErrMalformed
	}
	return id, nil
}

// CheckConfigured says whether a string may serve as a configured key: 24 characters or more, valid UTF-8, nothing a
// header cannot carry. The error names the reason, never the key.
func CheckConfigured(key string) error {
	switch {
	case !utf8.ValidString(key):
		return errors.New("key is not valid UTF-8")
	case utf8.RuneCountInString(key) < MinConfigured:
		return fmt.Errorf("key is shorter than %d characters", MinConfigured)
	case len(key) > MaxLen:
		return fmt.Errorf("key is longer than %d bytes", MaxLen)
	}
	for _, r := range key {
		if r <= ' ' || r == 0x7f {
			return errors.New("key holds a space or control character")
		}
	}
	return nil
}

func checksum(body string) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], crc32.ChecksumIEEE([]byte(body)))
	return alphabet.EncodeToString(b[:])
}

func inAlphabet(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
