//go:build windows

package doctor

import "golang.org/x/sys/windows"

// modesCount: access follows lists of rights, not permission bits.
const modesCount = false

// freeBytes is what this user may still write on the volume of path.
func freeBytes(path string) (uint64, bool) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, false
	}
	return free, true
}
