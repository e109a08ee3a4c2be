package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is a segment open for writing, at one position that only moves forward.
//
// Write is called with whole batches and never twice for the same bytes. Sync
// returns nil only when everything written so far is on stable storage. After an
// error from Write or Sync the journal calls nothing but Truncate and Close.
type File interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// Source is a segment open for reading.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Storage is one folder. The real one is made by [Open]; tests give their own
// through Options.Storage to inject faults. Methods are called by one goroutine
// at a time.
type Storage interface {
	// Lock excludes other writers until the closer is called; ErrLocked if one lives.
	Lock() (io.Closer, error)
	// List gives the names of all files in the folder, in any order.
	List() ([]string, error)
	// Open opens name for reading.
	Open(name string) (Source, error)
	// Create makes name (emptying one that exists), with size bytes of zeros
	// taken in advance where that is possible.
	Create(name string, size int64) (File, error)
	// Append opens name for writing at offset off.
	Append(name string, off int64) (File, error)
	// Publish renames from to to, replacing it, and makes that durable.
	Publish(from, to string) error
	// Remove deletes name.
	Remove(name string) error
}

// folder is the Storage on a real file system.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) Lock() (io.Closer, error) {
	file, err := os.OpenFile(f.path(lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := lockFile(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (f folder) List() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("list journal folder: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// makeDir makes dir and what is missing above it, durably: a journal whose folder
// is forgotten by a crash would be lost whole.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return nil // there, or something that opening it will complain of
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make journal folder: %w", err)
	}
	return syncDir(parent)
}

type fileSource struct {
	*os.File
	size int64
}

func (s fileSource) Size() int64 { return s.size }

func (f folder) Open(name string) (Source, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("size of segment: %w", err)
	}
	return fileSource{file, st.Size()}, nil
}

func (f folder) Create(name string, size int64) (File, error) {
	file, err := os.OpenFile(f.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err := preallocate(file, size); err != nil {
		file.Close()
		return nil, fmt.Errorf("take %d bytes for a segment: %w", size, err)
	}
	return diskFile{file}, nil
}

func (f folder) Append(name string, off int64) (File, error) {
	file, err := os.OpenFile(f.path(name), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open segment for writing: %w", err)
	}
	if _, err := file.Seek(off, io.SeekStart); err != nil {
		file.Close()
		return nil, fmt.Errorf("seek in segment: %w", err)
	}
	return diskFile{file}, nil
}

func (f folder) Publish(from, to string) error {
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		return fmt.Errorf("publish segment: %w", err)
	}
	return syncDir(f.dir)
}

func (f folder) Remove(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// diskFile is a segment on disk; Sync is fdatasync where there is one.
type diskFile struct{ *os.File }

func (d diskFile) Sync() error { return syncData(d.File) }
