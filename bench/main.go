// Command bench measures what Homeport costs, as ratios within one run: against no proxy at all, against Go's own
// httputil.ReverseProxy, and against nginx. All checks are on and the journal is durable.
//
// Every proxy runs alone on one core; the load and the mock upstream share the other. What is compared is processor time
// of the proxy's processes per request (or event), read from the kernel: it holds still when the machine is shared, where
// latency does not.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	scale := flag.Float64("scale", 1, "number of requests, relative to the usual")
	only := flag.String("only", "", "rows to run: plain, large, stream, many, idle (default all)")
	alone := flag.Bool("alone", false, "run Homeport only, for profiles; no ratios")
	where := flag.String("dir", ".", "where the work folder is made; the journal's disk")
	binary := flag.String("homeport", "bin/homeport", "binary under test")
	role := flag.String("role", "", "internal: mock or plainproxy")
	listen := flag.String("listen", "127.0.0.1:0", "internal: address of the role")
	upstream := flag.String("upstream", "", "internal: upstream of plainproxy")
	flag.Parse()
	switch *role {
	case "mock":
		return serveMock(*listen)
	case "plainproxy":
		return servePlainProxy(*listen, *upstream)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	dir, err := os.MkdirTemp(*where, "bench-run-")
	if err != nil {
		return fmt.Errorf("make work folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	l := &lab{self: self, binary: *binary, dir: dir, scale: *scale, alone: *alone}
	defer l.stop()
	if err := l.start(); err != nil {
		return err
	}
	fmt.Printf("machine: %s; proxy on core %s, load and mock upstream on core %s\n\n", machine(), proxyCore, loadCore)
	for _, part := range []struct {
		name string
		run  func() error
	}{{"plain", l.plain}, {"large", l.large}, {"stream", l.bursts}, {"many", l.many}, {"idle", l.idle}} {
		if *only != "" && !strings.Contains(*only, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	l.table()
	return nil
}

func machine() string {
	out, err := exec.Command("sh", "-c", "uname -sr; nproc; grep -m1 'model name' /proc/cpuinfo | cut -d: -f2").Output()
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "\n", ", ")), " ")
}
