//go:build profile

package main

import (
	"net/http"
	_ "net/http/pprof"
)

// startProfile serves pprof on the loopback address in HOMEPORT_PROFILE. Only for builds made with -tags profile, to explain
// what a benchmark shows.
func startProfile(e *env) {
	if addr := e.getenv("HOMEPORT_PROFILE"); addr != "" {
		go http.ListenAndServe(addr, nil)
	}
}
