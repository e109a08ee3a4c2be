// Package hptest starts the real homeport binary for end-to-end tests, with upstreams that run inside the test.
//
//	up := hptest.Practice(t)
//	gw := hptest.Start(t, hptest.Config(up))
//	// gw.URL + "/v1" is the base URL, hptest.Key the app's key
//
// The binary is built once per test process from the tree under test, or taken from HOMEPORT_BINARY, an absolute path. Everything
// listens on free loopback ports, lives in the test's temporary folder and is stopped when the test ends; the environment
// holds no provider keys. A gateway that does not become ready fails the test with its own standard error.
package hptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Limits of patience. They bound a hang; no test measures time by them.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 20 * time.Second
)

// Key is the app key of Config: internal audience, practice models.
const Key = "sk-test-homeport-clients-0001"

// Gateway is one running homeport process.
type Gateway struct {
	URL      string // data plane, such as http://127.0.0.1:40001, no path
	AdminURL string // admin plane, likewise
	Dir      string // its working folder; the data is in Dir/data
	Config   string // path of its configuration file

	cmd            *exec.Cmd
	exited         chan struct{} // closed after the process has ended; waitErr is then set
	waitErr        error
	stdout, stderr output
}

// Start writes the configuration, adds `listen`, `admin`, `data` and `journal` where it has none, starts `homeport serve` and waits for
// /readyz. Extra environment entries are NAME=VALUE. The process is stopped when the test ends.
func Start(t testing.TB, config string, environ ...string) *Gateway {
	t.Helper()
	for attempt := 1; ; attempt++ {
		g, err := start(t, config, environ)
		if err == nil {
			t.Cleanup(func() { g.Stop(t) })
			return g
		}
		// A port that was free a moment ago may have been taken by another test.
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
}

func start(t testing.TB, config string, environ []string) (*Gateway, error) {
	t.Helper()
	dir := t.TempDir()
	data, admin := freeAddress(t), freeAddress(t)
	for _, add := range []struct{ key, line string }{
		{"listen:", "listen: " + data},
		{"admin:", "admin: {listen: " + admin + "}"},
		{"data:", "data: " + filepath.Join(dir, "data")},
		{"journal:", "journal: {max_wait: 20s}"}, // a test machine's disk is busy with builds
	} {
		if !strings.HasPrefix(config, add.key) && !strings.Contains(config, "\n"+add.key) {
			config = add.line + "\n" + config
		}
	}
	file := filepath.Join(dir, "homeport.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{URL: "http://" + data, AdminURL: "http://" + admin, Dir: dir, Config: file, exited: make(chan struct{})}
	g.cmd = exec.Command(Binary(t), "serve", "--config", file)
	g.cmd.Dir = dir
	g.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LANG=en_US.UTF-8",
		"GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "GORACE=halt_on_error=1"}, environ...)
	g.cmd.Stdout, g.cmd.Stderr = &g.stdout, &g.stderr
	if err := g.cmd.Start(); err != nil {
		t.Fatalf("start homeport: %v", err)
	}
	go func() {
		g.waitErr = g.cmd.Wait()
		close(g.exited)
	}()
	if err := g.waitReady(); err != nil {
		g.cmd.Process.Kill()
		<-g.exited
		return nil, fmt.Errorf("%w\nstdout:\n%s\nstderr:\n%s", err, g.stdout.String(), g.stderr.String())
	}
	return g, nil
}

// waitReady polls /readyz until it answers 200, the process ends, or patience does.
func (g *Gateway) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-g.exited:
			return fmt.Errorf("homeport ended before it was ready: %v", g.waitErr)
		case <-ctx.Done():
			return errors.New("homeport is not ready")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop sends SIGTERM and waits for the drain; the exit status must be 0. It may be called more than once.
func (g *Gateway) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-g.exited:
		if g.waitErr != nil {
			t.Errorf("homeport ended by itself: %v\nstderr:\n%s", g.waitErr, g.stderr.String())
		}
		return
	default:
	}
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop homeport: %v", err)
	}
	select {
	case <-g.exited:
	case <-time.After(stopWithin):
		t.Error("homeport did not end after SIGTERM; killed")
		g.cmd.Process.Kill()
		<-g.exited
	}
	if g.waitErr != nil || t.Failed() {
		t.Logf("homeport ended: %v\nstderr:\n%s", g.waitErr, g.stderr.String())
	}
	if g.waitErr != nil {
		t.Errorf("homeport did not end cleanly: %v", g.waitErr)
		g.waitErr = nil // reported once
	}
}

// Kill ends the process at once, as a crash would, and waits until it is gone.
func (g *Gateway) Kill(t testing.TB) {
	t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill homeport: %v", err)
	}
	<-g.exited
	g.waitErr = nil // it was asked for
}

// Signal sends a signal, such as SIGHUP, to the process.
func (g *Gateway) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal homeport: %v", err)
	}
}

// Stdout and Stderr are what the process has written so far.
func (g *Gateway) Stdout() string { return g.stdout.String() }
func (g *Gateway) Stderr() string { return g.stderr.String() }

// output is a buffer that may be read while the process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// freeAddress is a loopback address that nothing listened on a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// built is the outcome of the one build of this test process.
var built = sync.OnceValues(build)

// Binary is the path of the homeport binary under test: HOMEPORT_BINARY (an absolute path), or a fresh build.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("HOMEPORT_BINARY"); path != "" {
		return path
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build compiles cmd/homeport into the tree's ignored .cache folder. Test processes may build at the same time, so each
// writes its own file and renames it into place.
func build() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "hptest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := "homeport"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	own := filepath.Join(dir, fmt.Sprintf("%d-%s", os.Getpid(), name))
	cmd := exec.Command("go", "build", "-o", own, "./cmd/homeport")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build homeport: %w\n%s", err, out)
	}
	final := filepath.Join(dir, name)
	return final, os.Rename(own, final)
}

// Root is the module's root folder.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("find the module: %v", err)
	}
	return filepath.Dir(mod), nil
}
