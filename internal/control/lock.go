package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked says that another process holds the data folder.
var ErrLocked = errors.New("the data folder is in use by another process")

// Lock is the exclusive right to change a data folder. The operating system drops it when the process ends, however it
// ends. The file stays: removing it would let two processes lock two files of one name.
type Lock struct {
	f   *os.File
	dir string
}

// AcquireLock makes the folder (mode 0700) if it is not there and takes its lock without waiting; ErrLocked when another
// process holds it.
func AcquireLock(dataDir string) (*Lock, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dataDir, LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if errors.Is(err, ErrLocked) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return &Lock{f: f, dir: dataDir}, nil
}

// Dir is the data folder.
func (l *Lock) Dir() string { return l.dir }

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
