package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/internal/appkey"
	"homeport/internal/control"
	"homeport/internal/store/sqlite"
)

var ctx = context.Background()

// folder is a data folder with a path short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

func start(t *testing.T, dir string, h control.Handler) *control.Server {
	t.Helper()
	lock, err := control.AcquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := control.Listen(ctx, lock, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); lock.Release() })
	return s
}

func TestLockIsExclusive(t *testing.T) {
	dir := folder(t)
	one, err := control.AcquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: %v %v", info.Mode(), err)
	}
	if _, err := control.AcquireLock(dir); !errors.Is(err, control.ErrLocked) {
		t.Errorf("second: %v", err)
	}
	if err := one.Release(); err != nil {
		t.Fatal(err)
	}
	two, err := control.AcquireLock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	two.Release()
}

func TestCallAndRefusal(t *testing.T) {
	dir := folder(t)
	start(t, dir, control.Verbs{
		"echo": func(_ context.Context, raw json.RawMessage) (any, error) { return raw, nil },
		"refuse": func(context.Context, json.RawMessage) (any, error) {
			return nil, &control.Error{Code: "conflict", Zh: "不", En: "no"}
		},
		"fail": func(context.Context, json.RawMessage) (any, error) { return nil, errors.New("disk is full") },
	})
	c, err := control.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	long := strings.Repeat("数", 100_000)
	var back struct{ Text string }
	for _, text := range []string{"a", "two\nlines", "", long} {
		if err := c.Call(ctx, "echo", map[string]string{"Text": text}, &back); err != nil || back.Text != text {
			t.Fatalf("text of %d bytes: %v", len(text), err)
		}
	}
	var e *control.Error
	for verb, want := range map[string]control.Error{"refuse": {"conflict", "不", "no"}, "fail": {"failed", "操作失败：disk is full", "disk is full"}} {
		if err := c.Call(ctx, verb, nil, nil); !errors.As(err, &e) || *e != want {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if err := c.Call(ctx, "no.such.verb", nil, nil); !errors.As(err, &e) || e.Code != "unknown_verb" {
		t.Errorf("unknown verb: %v", err)
	}
	if err := c.Call(ctx, "echo", map[string]string{"Text": "still"}, &back); err != nil || back.Text != "still" {
		t.Errorf("after refusals: %v", err)
	}
}

func TestSocketIsPrivateAndGoes(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, control.SocketName)
	s := start(t, dir, control.Verbs{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("socket: %v %v", info, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
	if _, err := control.Dial(ctx, dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("dial after close: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != control.LockName {
		t.Errorf("left in the folder: %v %v", entries, err)
	}
}

func TestLeftOverSocketIsReplaced(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, control.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close() // as after a crash: the file is there, nobody listens
	if _, err := control.Dial(ctx, dir); !errors.Is(err, control.ErrNotRunning) {
		t.Fatalf("dial: %v", err)
	}
	start(t, dir, control.Verbs{"hi": func(context.Context, json.RawMessage) (any, error) { return 1, nil }})
	c, err := control.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(ctx, "hi", nil, nil); err != nil {
		t.Error(err)
	}
}

// A data folder whose path is too long for a socket address is reached all the same, where the system has a way.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(folder(t), strings.Repeat("long", 30), strings.Repeat("数据", 20))
	if _, err := control.Dial(ctx, dir); runtime.GOOS == "linux" && !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no folder yet: %v", err)
	}
	if runtime.GOOS != "linux" {
		if _, err := control.Dial(ctx, dir); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("the reason is not told: %v", err)
		}
		return
	}
	start(t, dir, control.Verbs{"hi": func(context.Context, json.RawMessage) (any, error) { return "there", nil }})
	var where string
	if err := control.Do(ctx, dir, "hi", nil, &where, nil); err != nil || where != "there" {
		t.Fatalf("%q %v", where, err)
	}
	if info, err := os.Stat(filepath.Join(dir, control.SocketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v", err)
	}
}

func TestBadLines(t *testing.T) {
	dir := folder(t)
	start(t, dir, control.Verbs{"hi": func(context.Context, json.RawMessage) (any, error) { return 1, nil }})
	for name, line := range map[string]string{"not json": "hello", "other version": `{"v":2,"verb":"hi"}`, "empty": "", "list": "[]", "nul": "\x00"} {
		c, err := net.Dial("unix", filepath.Join(dir, control.SocketName))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s\n", line)
		answer, err := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if err != nil || !strings.Contains(answer, `"bad_request"`) || !strings.Contains(answer, `"ok":false`) {
			t.Errorf("%s: %q %v", name, answer, err)
		}
	}
	// A line without an end is cut off, and the server goes on.
	c, err := net.Dial("unix", filepath.Join(dir, control.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		for i := 0; i < 64; i++ {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("endless line: %v", err)
	}
	good, err := control.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	if err := good.Call(ctx, "hi", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestCloseDoesNotWaitForIdleClients(t *testing.T) {
	dir := folder(t)
	s := start(t, dir, control.Verbs{})
	var clients []*control.Client
	for range 20 { // more than are served at once
		c, err := control.Dial(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("close hangs on idle clients")
	}
	for _, c := range clients {
		c.Close()
	}
}

// memory is a KeyStore of functions' worth of state.
type memory struct {
	mu   sync.Mutex
	keys []sqlite.AppKey
	fail error
}

func (m *memory) CreateKey(_ context.Context, k sqlite.AppKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		m.keys = append(m.keys, k)
	}
	return m.fail
}

func (m *memory) RevokeKey(_ context.Context, id string, at time.Time) (sqlite.AppKey, error) {
	for i := range m.keys {
		if m.keys[i].ID == id {
			m.keys[i].Revoked = at
			return m.keys[i], m.fail
		}
	}
	return sqlite.AppKey{}, sqlite.ErrNotFound
}

func (m *memory) Keys(context.Context) ([]sqlite.AppKey, error) { return m.keys, nil }

func TestKeyVerbs(t *testing.T) {
	var store memory
	var acts []control.Change
	changed := 0
	keys := &control.Keys{Store: &store, Apps: func() []string { return []string{"bot"} }, Now: func() time.Time { return time.Unix(1_790_000_000, 0) },
		Record:  func(_ context.Context, c control.Change) error { acts = append(acts, c); return nil },
		Changed: func(context.Context) error { changed++; return nil }}
	dir := folder(t)
	start(t, dir, keys.Verbs())
	c, err := control.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	var made control.NewKey
	if err := c.Call(ctx, control.KeyCreate, control.CreateArgs{App: "bot", Name: "laptop"}, &made); err != nil {
		t.Fatal(err)
	}
	if id, err := appkey.Parse(made.Key); err != nil || id != made.ID || store.keys[0].Hash != appkey.HashOf(made.Key) {
		t.Error("the key that came back is not the one that is stored")
	}
	var list []control.KeyInfo
	var raw json.RawMessage
	if err := c.Call(ctx, control.KeyList, nil, &raw); err != nil || json.Unmarshal(raw, &list) != nil || len(list) != 1 || list[0].ID != made.ID || list[0].Name != "laptop" {
		t.Fatalf("list: %v", err)
	}
	if strings.Contains(string(raw), made.Key) || strings.Contains(string(raw), store.keys[0].Hash.String()) || strings.Contains(string(raw), "hash") {
		t.Error("the list holds a credential or a hash (attack cases B4, B8)")
	}
	var gone control.KeyInfo
	if err := c.Call(ctx, control.KeyRevoke, control.RevokeArgs{ID: made.ID}, &gone); err != nil || gone.Revoked == nil {
		t.Errorf("revoke: %v", err)
	}
	if changed != 2 || len(acts) != 2 || acts[0] != (control.Change{Verb: control.KeyCreate, KeyID: made.ID, App: "bot"}) || acts[1].Verb != control.KeyRevoke {
		t.Errorf("changed %d times, acts %v", changed, acts)
	}
	var e *control.Error
	for name, call := range map[string]struct {
		verb string
		args any
		code string
	}{
		"unknown app":     {control.KeyCreate, control.CreateArgs{App: "bott"}, "not_found"},
		"no app":          {control.KeyCreate, control.CreateArgs{}, "not_found"},
		"long name":       {control.KeyCreate, control.CreateArgs{App: "bot", Name: strings.Repeat("x", 201)}, "bad_request"},
		"control in name": {control.KeyCreate, control.CreateArgs{App: "bot", Name: "a\nb"}, "bad_request"},
		"wrong form":      {control.KeyCreate, []int{1}, "bad_request"},
		"unknown id":      {control.KeyRevoke, control.RevokeArgs{ID: "nobody"}, "not_found"},
		"no id":           {control.KeyRevoke, control.RevokeArgs{}, "not_found"},
	} {
		if err := c.Call(ctx, call.verb, call.args, nil); !errors.As(err, &e) || e.Code != call.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(store.keys) != 1 || changed != 2 {
		t.Error("a refused call changed something")
	}
}

// Unrecorded means undone: when the act cannot be recorded, there is no key.
func TestUnrecordedMeansUndone(t *testing.T) {
	var store memory
	keys := &control.Keys{Store: &store, Now: time.Now, Record: func(context.Context, control.Change) error { return errors.New("journal is closed") }}
	if _, err := keys.Create(ctx, control.CreateArgs{App: "bot"}); err == nil || len(store.keys) != 0 {
		t.Error("a key is made without a record")
	}
	store.keys = []sqlite.AppKey{{ID: "x", App: "bot"}}
	if _, err := keys.Revoke(ctx, control.RevokeArgs{ID: "x"}); err == nil || !store.keys[0].Revoked.IsZero() {
		t.Error("a key is revoked without a record")
	}
}

type secrets struct{ hashes []appkey.Hash }

func (s *secrets) SetAdminSecret(_ context.Context, h appkey.Hash, _ time.Time) error {
	s.hashes = append(s.hashes, h)
	return nil
}

// The admin secret is replaced by a fresh one whose hash alone is stored, after the act was recorded; unrecorded, the old one stays.
func TestAdminSecretIsReplaced(t *testing.T) {
	var store secrets
	recorded := 0
	a := &control.AdminSecret{Store: &store, Now: time.Now, Record: func(context.Context) error {
		if len(store.hashes) != recorded {
			t.Error("done before it was recorded")
		}
		recorded++
		return nil
	}}
	first, err := a.Replace(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Replace(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if recorded != 2 || len(store.hashes) != 2 || !store.hashes[0].Equal(appkey.HashOf(first.Secret)) || !store.hashes[1].Equal(appkey.HashOf(second.Secret)) {
		t.Errorf("%d recorded, %d stored", recorded, len(store.hashes))
	}
	if first.Secret == second.Secret || !strings.HasPrefix(first.Secret, appkey.AdminPrefix) || len(first.Secret) < 60 {
		t.Error("the secret is not a fresh one of its kind")
	}
	if _, err := appkey.Parse(first.Secret); err == nil {
		t.Error("an admin secret passes for an application key")
	}
	a.Record = func(context.Context) error { return errors.New("journal is closed") }
	if made, err := a.Replace(ctx); err == nil || made.Secret != "" || len(store.hashes) != 2 {
		t.Error("replaced without a record")
	}
}

func TestDoTakesTheServerElseTheLock(t *testing.T) {
	dir := folder(t)
	here := func(context.Context) (control.Handler, func() error, error) {
		if _, err := control.AcquireLock(dir); !errors.Is(err, control.ErrLocked) {
			t.Error("the handler runs without the lock")
		}
		return control.Verbs{"where": func(context.Context, json.RawMessage) (any, error) { return "here", nil }}, nil, nil
	}
	var where string
	if err := control.Do(ctx, dir, "where", nil, &where, here); err != nil || where != "here" {
		t.Fatalf("no server: %q %v", where, err)
	}
	s := start(t, dir, control.Verbs{"where": func(context.Context, json.RawMessage) (any, error) { return "there", nil }})
	if err := control.Do(ctx, dir, "where", nil, &where, here); err != nil || where != "there" {
		t.Errorf("with a server: %q %v", where, err)
	}
	s.Close() // the lock is still held: a server that stops answering
	if err := control.Do(ctx, dir, "where", nil, &where, here); !errors.Is(err, control.ErrLocked) {
		t.Errorf("held and silent: %v", err)
	}
}
