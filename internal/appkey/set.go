package appkey

import "fmt"

// Entry ties the hash of a credential to the app it stands for. KeyID is empty for keys of the configuration.
type Entry struct {
	Hash  Hash
	App   string
	KeyID string
}

// Set is an immutable snapshot: hash of the whole credential → app. A change makes a new Set, which is swapped in whole.
type Set struct {
	entries map[Hash]Entry
}

// NewSet builds a snapshot. One credential for two apps is an error that names the apps; the same entry twice is not.
func NewSet(entries ...Entry) (*Set, error) {
	m := make(map[Hash]Entry, len(entries))
	for _, e := range entries {
		if e.App == "" {
			return nil, fmt.Errorf("build key set: an entry names no app")
		}
		if old, ok := m[e.Hash]; ok && old.App != e.App {
			return nil, fmt.Errorf("build key set: apps %q and %q have the same key", old.App, e.App)
		}
		m[e.Hash] = e
	}
	return &Set{entries: m}, nil
}

// Lookup finds the app a credential stands for. The credential is hashed whole first; the digest found is compared
// with the digest presented in constant time. Empty and over-long credentials are never found.
func (s *Set) Lookup(credential string) (Entry, bool) {
	if s == nil || credential == "" || len(credential) > MaxLen {
		return Entry{}, false
	}
	h := HashOf(credential)
	e, ok := s.entries[h]
	if !ok || !e.Hash.Equal(h) {
		return Entry{}, false
	}
	return e, true
}

// Len is the number of credentials.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.entries)
}
