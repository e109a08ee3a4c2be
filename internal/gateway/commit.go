package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// CommitKey is the key of one app's commitments in one month. Destroying it in the primary state unlinks every event that
// names its id.
type CommitKey struct {
	ID   string
	pool sync.Pool // of hash.Hash, keyed: the key's own blocks are hashed once
}

// NewCommitKey returns the key named id.
func NewCommitKey(id string, secret []byte) *CommitKey {
	return &CommitKey{ID: id, pool: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// Sum is the HMAC-SHA256 of b, 32 bytes.
func (k *CommitKey) Sum(b []byte) []byte {
	m := k.pool.Get().(hash.Hash)
	m.Reset()
	m.Write(b)
	out := m.Sum(make([]byte, 0, sha256.Size))
	k.pool.Put(m)
	return out
}
