package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	"golang.org/x/crypto/blake2b"

	"homeport/audit"
)

// CommitKey is the key of one app's commitments in one month. Destroying it in the primary state unlinks every event that
// names its id.
//
// Bodies are committed to with keyed BLAKE2b (RFC 7693), which binds like HMAC-SHA256 and costs well under half where the
// processor has no instructions for SHA: on long prompts this is the dearest part of a request.
type CommitKey struct {
	ID     string
	secret []byte
	bodies sync.Pool // of hash.Hash, keyed
}

// NewCommitKey returns the key named id; secret has 1 to 64 bytes.
func NewCommitKey(id string, secret []byte) (*CommitKey, error) {
	if _, err := blake2b.New256(secret); err != nil {
		return nil, fmt.Errorf("commitment key %s: %w", id, err)
	}
	k := &CommitKey{ID: id, secret: secret}
	k.bodies.New = func() any {
		h, _ := blake2b.New256(k.secret) // its length was just checked
		return h
	}
	return k, nil
}

// body commits to the exact bytes that are sent.
func (k *CommitKey) body(b []byte) (alg string, sum []byte) {
	h := k.bodies.Get().(hash.Hash)
	h.Reset()
	h.Write(b)
	sum = h.Sum(make([]byte, 0, blake2b.Size256))
	k.bodies.Put(h)
	return audit.AlgBLAKE2b, sum
}

// header commits to a header's value, nil for an absent one. The name keeps equal values of different headers apart.
func (k *CommitKey) header(name, value string) []byte {
	if value == "" {
		return nil
	}
	m := hmac.New(sha256.New, k.secret)
	m.Write([]byte(name))
	m.Write([]byte{0})
	m.Write([]byte(value))
	return m.Sum(nil)
}
