//go:build windows

package control

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// listenPrivate: access follows the data folder's list of rights, which MkdirAll inherits from the user's profile.
func listenPrivate(addr, _ string) (net.Listener, error) { return net.Listen("unix", addr) }
