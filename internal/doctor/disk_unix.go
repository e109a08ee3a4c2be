//go:build unix

package doctor

import "golang.org/x/sys/unix"

// modesCount: permission bits mean something here.
const modesCount = true

// freeBytes is what an ordinary user may still write on the file system of path.
func freeBytes(path string) (uint64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
