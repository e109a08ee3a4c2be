package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is a buffer two goroutines may use.
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

// await waits until the output holds a match and returns its first group.
func (o *output) await(t *testing.T, re string, ended <-chan int) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := regexp.MustCompile(re).FindStringSubmatch(o.String()); m != nil {
			return m[1]
		}
		select {
		case code := <-ended:
			t.Fatalf("the server ended with %d", code)
		default:
		}
	}
	t.Fatalf("no %s in the output", re)
	return ""
}

// A key made, and revoked, beside a running server is in effect when the command returns: no restart, no second to wait.
func TestKeysBesideARunningServer(t *testing.T) {
	dir, err := os.MkdirTemp("", "hp") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "homeport.yaml")
	text := "listen: 127.0.0.1:0\nadmin: {listen: \"127.0.0.1:0\"}\ndata: data\nproviders: [{id: p, catalog: practice}]\nroutes: [{model: \"*\", to: [\"p/*\"]}]\n" +
		"apps: [{id: bot, service: {audience: internal, opinion: false}}]\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		return map[string]string{"HOMEPORT_DETECT": "off", "LANG": "en_US.UTF-8"}[name]
	}
	ctx, cancel := context.WithCancel(context.Background())
	var out, logs output
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--config", conf, "serve"}, strings.NewReader(""), &out, &logs, getenv)
	}()
	defer func() {
		cancel()
		if code := <-ended; code != exitDone {
			t.Errorf("the server ended with %d", code)
		}
	}()
	base := out.await(t, `base URL +(\S+)\n`, ended)

	command := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), append([]string{"--config", conf}, args...), strings.NewReader(""), &stdout, &stderr, getenv); code != want {
			t.Fatalf("%s ended with %d: %s", args[0], code, stderr.String())
		}
		return stdout.String()
	}
	status := func(key string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, base+"/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}

	key := strings.TrimSpace(command(exitDone, "key", "create", "bot"))
	if got := status(key); got != http.StatusOK {
		t.Errorf("a key just made: %d", got)
	}
	if got := status(key[:len(key)-1] + "x"); got != http.StatusUnauthorized {
		t.Errorf("a key nobody made: %d", got)
	}
	var list struct{ Keys []struct{ ID string } }
	if err := json.Unmarshal([]byte(command(exitDone, "key", "list", "--json")), &list); err != nil || len(list.Keys) != 1 {
		t.Fatalf("list: %d keys, %v", len(list.Keys), err)
	}
	command(exitFinding, "key", "create", "nobody")
	command(exitDone, "key", "revoke", list.Keys[0].ID)
	if got := status(key); got != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d", got)
	}
	if report := command(exitDone, "doctor"); !strings.Contains(report, "a server is running") {
		t.Error("doctor does not see the running server")
	}
	if strings.Contains(out.String()+logs.String(), key) {
		t.Error("the key is in the server's output")
	}
}
