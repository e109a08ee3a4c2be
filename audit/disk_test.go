package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"homeport/audit"
)

// memDisk is a disk with a page cache: what is written is seen by readers at
// once and survives a crash only when synced. Every operation can be made to
// fail, with or without its effect.
type memDisk struct {
	mu     sync.Mutex
	files  map[string]*memFile
	locked bool
	ops    int // operations that change something, so far
	fault  func(n int, op string) fault
	hold   chan struct{} // Sync of a batch waits for it, if set
}

// fault says what an operation does: it fails or not, and if it fails, how much
// of its effect is there all the same.
type fault uint8

const (
	works        fault = iota
	failsUndone        // error, no effect; for Sync: dirty data is dropped from the way to disk
	failsPartly        // error; for Write: half of it is written
	failsButDone       // error, full effect
)

var errDisk = errors.New("disk says no")

type memFile struct {
	cache []byte // what readers see
	disk  []byte // what survives
	// dirty pages (of pageSize) are on their way to the disk. A failed sync empties
	// this too: the kernel holds them for clean then, and they never get there.
	dirty map[int]bool
}

const pageSize = 512

func newMemDisk() *memDisk { return &memDisk{files: map[string]*memFile{}} }

// holdSync makes syncs of published segments wait until the channel is closed.
func (d *memDisk) holdSync() chan struct{} {
	d.hold = make(chan struct{})
	return d.hold
}

// act counts one operation and says what shall become of it. Caller holds mu.
func (d *memDisk) act(op string) fault {
	n := d.ops
	d.ops++
	if d.fault == nil {
		return works
	}
	return d.fault(n, op)
}

// crash is what another process finds after power was lost: synced pages, and of
// the others those that keep says had reached the disk by themselves.
func (d *memDisk) crash(keep func() bool) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newMemDisk()
	for name, f := range d.files {
		disk := bytes.Clone(f.disk)
		for page := range f.dirty {
			if keep() {
				disk = copyPage(disk, f.cache, page)
			}
		}
		after.files[name] = &memFile{cache: bytes.Clone(disk), disk: disk, dirty: map[int]bool{}}
	}
	return after
}

// kill is what another process finds after this one was killed: the page cache,
// with whatever of it never reaches the disk still so.
func (d *memDisk) kill() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newMemDisk()
	for name, f := range d.files {
		dirty := map[int]bool{}
		for p := range f.dirty {
			dirty[p] = true
		}
		after.files[name] = &memFile{cache: bytes.Clone(f.cache), disk: bytes.Clone(f.disk), dirty: dirty}
	}
	return after
}

func copyPage(dst, src []byte, page int) []byte {
	from := page * pageSize
	to := min(from+pageSize, len(src))
	if from >= to {
		return dst
	}
	for len(dst) < to {
		dst = append(dst, 0)
	}
	copy(dst[from:to], src[from:to])
	return dst
}

func (d *memDisk) contents(t *testing.T) []string {
	t.Helper()
	got, err := d.read()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (d *memDisk) read() ([]string, error) {
	var got []string
	_, err := audit.ReadStorage(d, 0, func(index uint64, payload []byte) error {
		if index != uint64(len(got)) {
			return fmt.Errorf("record %d came as %d", len(got), index)
		}
		got = append(got, string(payload))
		return nil
	})
	return got, err
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func (d *memDisk) Lock() (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, audit.ErrLocked
	}
	d.locked = true
	return closerFunc(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.locked = false
		return nil
	}), nil
}

func (d *memDisk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	return names, nil
}

type memSource struct{ *bytes.Reader }

func (memSource) Close() error { return nil }

func (d *memDisk) Open(name string) (audit.Source, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return memSource{bytes.NewReader(bytes.Clone(f.cache))}, nil
}

func (d *memDisk) Create(name string, size int64) (audit.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := d.act("create")
	if what == works || what == failsButDone {
		d.files[name] = &memFile{cache: make([]byte, size), disk: make([]byte, size), dirty: map[int]bool{}}
	}
	if what != works {
		return nil, errDisk
	}
	return &memWriter{d: d, f: d.files[name], name: name}, nil
}

func (d *memDisk) Append(name string, off int64) (audit.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.act("open") != works {
		return nil, errDisk
	}
	f := d.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &memWriter{d: d, f: f, name: name, off: int(off), published: true}, nil
}

// Publish renames, durably or not at all: a rename seen but lost in a crash is
// the same as one that has not happened, to a writer that got an error.
func (d *memDisk) Publish(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := d.act("publish")
	if what == works || what == failsButDone {
		if d.files[from] == nil {
			return fs.ErrNotExist
		}
		d.files[to] = d.files[from]
		delete(d.files, from)
	}
	if what != works {
		return errDisk
	}
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := d.act("remove")
	if what == works || what == failsButDone {
		delete(d.files, name)
	}
	if what != works {
		return errDisk
	}
	return nil
}

type memWriter struct {
	d         *memDisk
	f         *memFile
	name      string
	off       int
	published bool
}

func (w *memWriter) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	what := w.d.act("write")
	n := len(p)
	switch what {
	case failsUndone:
		return 0, errDisk
	case failsPartly:
		n = len(p) / 2
	}
	for len(w.f.cache) < w.off+n {
		w.f.cache = append(w.f.cache, 0)
	}
	copy(w.f.cache[w.off:], p[:n])
	for page := w.off / pageSize; page*pageSize < w.off+n; page++ {
		w.f.dirty[page] = true
	}
	w.off += n
	if what != works {
		return n, errDisk
	}
	return n, nil
}

func (w *memWriter) Sync() error {
	if w.d.hold != nil && w.published {
		<-w.d.hold
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	what := w.d.act("sync")
	if what == works || what == failsButDone || what == failsPartly {
		for page := range w.f.dirty {
			if what == failsPartly && page%2 == 0 {
				continue
			}
			w.f.disk = copyPage(w.f.disk, w.f.cache, page)
		}
		if len(w.f.cache) < len(w.f.disk) {
			w.f.disk = w.f.disk[:len(w.f.cache)]
		}
	}
	// Also after a failure: the pages are marked clean and are never tried again.
	w.f.dirty = map[int]bool{}
	if what != works {
		return errDisk
	}
	return nil
}

func (w *memWriter) Truncate(size int64) error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	what := w.d.act("truncate")
	if what == works || what == failsButDone {
		w.f.cache = w.f.cache[:min(int(size), len(w.f.cache))]
		for page := range w.f.dirty {
			if page*pageSize >= len(w.f.cache) {
				delete(w.f.dirty, page)
			}
		}
	}
	if what != works {
		return errDisk
	}
	return nil
}

func (w *memWriter) Close() error { return nil }

// nullDisk takes everything and keeps nothing.
type nullDisk struct{}

type nullFile struct{}

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }
func (nullFile) Sync() error                 { return nil }
func (nullFile) Truncate(int64) error        { return nil }
func (nullFile) Close() error                { return nil }

func (nullDisk) Lock() (io.Closer, error)                 { return nullFile{}, nil }
func (nullDisk) List() ([]string, error)                  { return nil, nil }
func (nullDisk) Open(string) (audit.Source, error)        { return nil, fs.ErrNotExist }
func (nullDisk) Create(string, int64) (audit.File, error) { return nullFile{}, nil }
func (nullDisk) Append(string, int64) (audit.File, error) { return nullFile{}, nil }
func (nullDisk) Publish(string, string) error             { return nil }
func (nullDisk) Remove(string) error                      { return nil }
