package audit

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

// IDPrefix begins every event id.
const IDPrefix = "hp_"

// IDLen is the length of an event id in bytes.
const IDLen = len(IDPrefix) + 26

// crockford is the alphabet of a ULID: digits and capitals without I, L, O, U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID makes an event id: "hp_" and a ULID of now's milliseconds and 80 random
// bits. Ids of one millisecond are in no order. Times before 1970 count as 1970.
func NewID(now time.Time) string {
	var b [IDLen]byte
	copy(b[:], IDPrefix)
	ms := uint64(max(now.UnixMilli(), 0))
	for i := len(IDPrefix) + 9; i >= len(IDPrefix); i-- {
		b[i] = crockford[ms&31]
		ms >>= 5
	}
	var entropy [10]byte
	source := entropies.Get().(*entropyBlock)
	source.read(&entropy)
	entropies.Put(source)
	out := b[len(IDPrefix)+10:]
	for half := range 2 {
		e := entropy[half*5:]
		n := uint64(e[0])<<32 | uint64(e[1])<<24 | uint64(e[2])<<16 | uint64(e[3])<<8 | uint64(e[4])
		for i := 7; i >= 0; i-- {
			out[half*8+i] = crockford[n&31]
			n >>= 5
		}
	}
	return string(b[:])
}

// ValidID reports whether id has the form that NewID gives.
func ValidID(id string) bool {
	ulid, ok := strings.CutPrefix(id, IDPrefix)
	if !ok || len(ulid) != 26 || ulid[0] > '7' {
		return false
	}
	for i := range len(ulid) {
		if strings.IndexByte(crockford, ulid[i]) < 0 {
			return false
		}
	}
	return true
}

// entropyBlock holds random bytes read ahead: one call to the operating system
// serves many ids. A block is used by one goroutine at a time and no byte twice.
type entropyBlock struct {
	bytes [640]byte
	left  int
}

var entropies = sync.Pool{New: func() any { return new(entropyBlock) }}

func (e *entropyBlock) read(dst *[10]byte) {
	if e.left < len(dst) {
		// Never fails: crypto/rand ends the process if the system has no randomness.
		_, _ = rand.Read(e.bytes[:])
		e.left = len(e.bytes)
	}
	from := e.bytes[e.left-len(dst) : e.left]
	copy(dst[:], from)
	clear(from)
	e.left -= len(dst)
}
