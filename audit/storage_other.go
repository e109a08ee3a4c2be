//go:build !linux

package audit

import "os"

// preallocate does nothing: darwin and windows grow the file as it is written.
func preallocate(*os.File, int64) error { return nil }

// syncData is File.Sync (F_FULLFSYNC on darwin, FlushFileBuffers on windows).
func syncData(f *os.File) error { return f.Sync() }
