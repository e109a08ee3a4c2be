package policy

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
	"sync"
)

// maxRemembered bounds a memory: entries over all its shards.
const maxRemembered = 65_536

const (
	memoryShards = 16
)

// Memory remembers decisions of one engine. A hit allocates nothing and returns the same immutable decision. It is
// safe for concurrent use; a gateway makes one per pipeline, so that a new configuration starts afresh.
type Memory struct {
	e      *Engine
	shards [memoryShards]shard
	// generation is half of a shard: of two generations the older is dropped when the younger is full.
	generation int
	seed       maphash.Seed // spreads keys over the shards; decides nothing else

	internMu sync.Mutex
	intern   map[string]*Decision // equal decisions once; dropped when it has grown to internMax
}

// internMax bounds the shared decisions: far above the number of distinct answers the tables can give in practice.
const internMax = 4096

type shard struct {
	mu         sync.RWMutex
	young, old map[string]*Decision // guarded by mu
}

// NewMemory makes an empty memory of 65,536 entries at most.
func (e *Engine) NewMemory() *Memory { return e.newMemory(maxRemembered) }

func (e *Engine) newMemory(entries int) *Memory {
	return &Memory{generation: entries / memoryShards / 2, e: e, intern: map[string]*Decision{}, seed: maphash.MakeSeed()}
}

// DecideRemembered is [Engine.Decide] through the engine's own memory.
func (e *Engine) DecideRemembered(f *Facts, p Profile) *Decision { return e.memory.Decide(f, p) }

// Len counts the entries held.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}

// Decide gives what [Engine.Decide] would, from memory where it can.
func (m *Memory) Decide(f *Facts, p Profile) *Decision {
	if f.base.schema != m.e.schema {
		return m.e.Decide(f, p)
	}
	if f.tailOf != m.e {
		f.tail = m.e.appendTail(f.tail[:0], f)
		f.tailOf = m.e
	}
	key := append(f.key[:0], byte(p))
	key = binary.LittleEndian.AppendUint64(key, f.base.seq)
	key = append(key, f.tail...)
	f.key = key
	s := &m.shards[maphash.Bytes(m.seed, key)%memoryShards]
	s.mu.RLock()
	d, ok := s.young[string(key)]
	if !ok {
		d, ok = s.old[string(key)]
	}
	s.mu.RUnlock()
	if !ok {
		d = m.shared(m.e.Decide(f, p))
		s.put(string(key), d, m.generation)
	}
	return d
}

func (s *shard) put(key string, d *Decision, generation int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= generation {
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young = make(map[string]*Decision)
	}
	s.young[key] = d
}

// shared gives one decision for all equal ones: many vectors, few answers.
func (m *Memory) shared(d *Decision) *Decision {
	if d.undecided {
		return d // its reason is not in the fingerprint, and it should never be seen
	}
	print := d.fingerprint(make([]byte, 0, 256))
	m.internMu.Lock()
	defer m.internMu.Unlock()
	if have, ok := m.intern[string(print)]; ok {
		return have
	}
	if len(m.intern) >= internMax {
		clear(m.intern)
	}
	m.intern[string(print)] = d
	return d
}

// fingerprint writes what tells two decisions of one engine apart: the profile and, of each row that answered, which
// it is, its verdict and what it lacks. Everything else of a decision follows from these.
func (d *Decision) fingerprint(dst []byte) []byte {
	dst = append(dst, d.Profile...)
	for i := range d.Rules {
		r := &d.Rules[i]
		dst = append(dst, 0)
		dst = append(dst, r.Row...)
		dst = append(dst, 0, byte(r.Verdict))
		if r.Unknown {
			dst = append(dst, 1)
		}
		for _, n := range r.Needs {
			dst = append(dst, 0xFF)
			dst = append(dst, n...)
		}
	}
	return dst
}

// appendTail writes what the overriding facts add to a key: each one that some condition reads. Counts enter as their
// interval between thresholds, everything else exactly. The engine's digest need not enter: a memory belongs to one
// engine.
func (e *Engine) appendTail(dst []byte, f *Facts) []byte {
	f.ascending(func(id ID, v *value) {
		if e.used[id>>6]&(1<<(id&63)) == 0 {
			return
		}
		dst = append(dst, byte(id))
		if !v.known {
			dst = append(dst, 0)
			return
		}
		dst = append(dst, 1)
		switch e.schema.facts[id].Type {
		case Bool:
			dst = append(dst, byte(v.n))
		case Int:
			dst = binary.AppendUvarint(dst, bucket(e.buckets[id], v.n))
		case Number:
			dst = binary.AppendUvarint(dst, bucket(e.fbuckets[id], math.Float64frombits(uint64(v.n))))
		case Date:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v.n))
		case Done:
			dst = append(dst, byte(v.n))
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v.on))
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v.until))
		case List, Places:
			dst = binary.AppendUvarint(dst, uint64(len(v.list)))
			for _, s := range v.list {
				dst = binary.AppendUvarint(dst, uint64(len(s)))
				dst = append(dst, s...)
			}
		default:
			dst = binary.AppendUvarint(dst, uint64(len(v.s)))
			dst = append(dst, v.s...)
		}
	})
	return dst
}

// bucket gives the interval of n among ascending thresholds: on a threshold, or between two. Every comparison of n
// with a threshold has one answer over the whole interval.
func bucket[T int64 | float64](thresholds []T, n T) uint64 {
	i, on := slices.BinarySearch(thresholds, n)
	if on {
		return uint64(2*i + 1)
	}
	return uint64(2 * i)
}
