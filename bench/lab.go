package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The proxy under test has a core to itself.
const (
	proxyCore = "0"
	loadCore  = "1"
)

// lab holds the processes of a run. It ends only what it started.
type lab struct {
	self, binary, dir string
	scale             float64
	alone             bool

	mock  string // address
	procs []*exec.Cmd
	rows  []row
}

type row struct {
	what, value, floor, goal string
}

type proxy struct {
	name string
	addr string
	pid  int
}

func (l *lab) start() error {
	if err := exec.Command("taskset", "-apc", loadCore, strconv.Itoa(os.Getpid())).Run(); err != nil {
		return fmt.Errorf("pin the load to core %s: %w", loadCore, err)
	}
	var err error
	_, l.mock, err = l.role(loadCore, "mock")
	return err
}

func (l *lab) stop() {
	for _, p := range l.procs {
		_ = p.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { _ = p.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			_ = p.Process.Kill()
		}
	}
}

// role starts this binary in one of its own roles and returns the address it prints.
func (l *lab) role(core, role string, args ...string) (int, string, error) {
	cmd := exec.Command("taskset", append([]string{"-c", core, l.self, "-role", role}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, "", fmt.Errorf("start %s: %w", role, err)
	}
	l.procs = append(l.procs, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, "", fmt.Errorf("start %s: %w", role, err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line), nil
}

func freePort() (string, error) {
	c, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Addr().String(), nil
}

func (l *lab) plainProxy() (proxy, error) {
	pid, addr, err := l.role(proxyCore, "plainproxy", "-upstream", "http://"+l.mock)
	return proxy{"ReverseProxy", addr, pid}, err
}

func (l *lab) nginx() (proxy, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if bin = "/usr/sbin/nginx"; !exists(bin) {
			return proxy{}, errors.New("nginx not found: run make bench, which installs it")
		}
	}
	addr, err := freePort()
	if err != nil {
		return proxy{}, err
	}
	// Bodies stay in memory (no temporary files) and answers are not buffered: the leanest it can be for this work.
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events { worker_connections 8192; }
http { access_log off; client_max_body_size 32m; client_body_buffer_size 1m; keepalive_requests 1000000;
 client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
 upstream mock { server %[2]s; keepalive 4096; keepalive_requests 1000000; }
 server { listen %[3]s backlog=4096; location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } } }
`, l.dir, l.mock, addr)
	file := filepath.Join(l.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return proxy{}, err
	}
	cmd := exec.Command("taskset", "-c", proxyCore, bin, "-c", file, "-p", l.dir, "-g", "user root;")
	if os.Getuid() != 0 {
		cmd = exec.Command("taskset", "-c", proxyCore, bin, "-c", file, "-p", l.dir)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return proxy{}, fmt.Errorf("start nginx: %w", err)
	}
	l.procs = append(l.procs, cmd)
	return proxy{"nginx", addr, cmd.Process.Pid}, waitFor(addr, 5*time.Second)
}

// homeport starts the real binary with every check on, its journal on disk, and one target: the mock.
func (l *lab) homeport() (proxy, error) {
	addr, err := freePort()
	if err != nil {
		return proxy{}, err
	}
	admin, err := freePort()
	if err != nil {
		return proxy{}, err
	}
	data := filepath.Join(l.dir, "data-"+addr[strings.LastIndexByte(addr, ':')+1:])
	conf := fmt.Sprintf(`listen: %s
admin: {listen: %s}
data: %s
journal: {max_wait: 5s} # a shared disk may stall; what is measured is cost, not refusals
providers:
  - {id: lab, catalog: custom, base_url: "http://%s/v1", facts: {source: open_weights_self_hosted, place: [CN], filed: false}}
routes:
  - {model: "*", to: [lab/bench]}
apps:
  - {id: bench, keys: [%s], service: {audience: internal, opinion: false, outputs: [text]}}
`, addr, admin, data, l.mock, appKey)
	file := filepath.Join(l.dir, "homeport.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return proxy{}, err
	}
	cmd := exec.Command("taskset", "-c", proxyCore, l.binary, "--config", file, "serve")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return proxy{}, fmt.Errorf("start homeport: %w", err)
	}
	l.procs = append(l.procs, cmd)
	return proxy{"homeport", addr, cmd.Process.Pid}, waitFor(addr, 10*time.Second)
}

func exists(p string) bool { _, err := os.Stat(p); return err == nil }

func waitFor(addr string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return nil
		}
	}
	return fmt.Errorf("nothing listens on %s after %s", addr, limit)
}

// end stops one proxy, so that the next has the core to itself.
func (l *lab) end(p proxy) {
	for i, c := range l.procs {
		if c.Process.Pid == p.pid {
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait()
			l.procs = append(l.procs[:i], l.procs[i+1:]...)
			return
		}
	}
}

// family is the process and its children: nginx works in a child.
func family(pid int) []int {
	out := []int{pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return out
	}
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, family(n)...)
		}
	}
	return out
}

// cpu is the processor time the process and its children have used, in microseconds.
func cpu(pid int) float64 {
	total := 0.0
	for _, p := range family(pid) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p))
		if err != nil {
			continue
		}
		for _, t := range threads {
			// schedstat counts nanoseconds on the processor, where stat counts ticks of 10 ms.
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", p, t.Name()))
			if err != nil {
				continue
			}
			if f := strings.Fields(string(b)); len(f) > 0 {
				ns, _ := strconv.ParseFloat(f[0], 64)
				total += ns / 1000
			}
		}
	}
	return total
}

// rss is the resident memory of the process and its children, in KiB.
func rss(pid int) float64 {
	total := 0.0
	for _, p := range family(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
				total += n
			}
		}
	}
	return total
}
