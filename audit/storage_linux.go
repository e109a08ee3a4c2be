package audit

import (
	"errors"
	"os"
	"syscall"
)

// preallocate takes size bytes on disk, read as zeros, so that a full disk shows
// when a segment begins and fdatasync need not write a new file size. File
// systems without fallocate go without.
func preallocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil
		}
		return err
	}
}

// syncData is fdatasync. An interrupted call is begun again: EINTR says nothing
// of the data. Every other error is final for the file.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
