//go:build !profile

package main

// startProfile does nothing in a usual build: debug endpoints hold what the heap holds (attack case D6).
func startProfile(*env) {}
