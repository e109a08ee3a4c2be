//go:build unix

package upstream_test

import "syscall"

// used returns the processor time this process has used, in ns.
func used() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
