//go:build !unix

package upstream_test

// used is not measured here.
func used() int64 { return 0 }
