package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/internal/appkey"
	"homeport/internal/store/sqlite"
)

var ctx = context.Background()

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func statePath(t *testing.T) string { return filepath.Join(t.TempDir(), "state.db") }

func newKey(app string) (sqlite.AppKey, string) {
	m := appkey.New()
	return sqlite.AppKey{ID: m.ID, App: app, Name: "for a test", Hash: m.Hash, Last4: m.Last4, Created: time.Unix(1_790_000_000, 0).UTC()}, m.Credential
}

func TestKeysLiveAcrossARestart(t *testing.T) {
	path := statePath(t)
	s := open(t, path)
	one, credOne := newKey("a")
	two, credTwo := newKey("b")
	for _, k := range []sqlite.AppKey{one, two} {
		if err := s.CreateKey(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	at := one.Created.Add(time.Hour)
	if k, err := s.RevokeKey(ctx, one.ID, at); err != nil || !k.Revoked.Equal(at) || k.App != "a" {
		t.Fatalf("revoke: %v", err)
	}
	if k, err := s.RevokeKey(ctx, one.ID, at.Add(time.Hour)); err != nil || !k.Revoked.Equal(at) {
		t.Errorf("revoking twice must keep the first time: %v", err)
	}
	if _, err := s.RevokeKey(ctx, "nobody", at); !errors.Is(err, sqlite.ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	keys, err := s.Keys(ctx)
	one.Revoked = at
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, k := range keys {
		want := map[string]sqlite.AppKey{one.ID: one, two.ID: two}[k.ID]
		if !reflect.DeepEqual(k, want) {
			t.Errorf("key %s reads back differently", k.ID)
		}
	}
	entries, err := s.Entries(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set, err := appkey.NewSet(entries...)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := set.Lookup(credOne); ok {
		t.Error("a revoked key is found")
	}
	if e, ok := set.Lookup(credTwo); !ok || e.App != "b" || e.KeyID != two.ID {
		t.Error("a good key is not found")
	}
}

func TestNoCredentialInTheFile(t *testing.T) {
	path := statePath(t)
	s := open(t, path)
	k, cred := newKey("a")
	if err := s.CreateKey(ctx, k); err != nil {
		t.Fatal(err)
	}
	secret, err := s.NewAdminSecret(ctx, time.Now())
	if err != nil || secret == "" {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal("no files to look at")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), cred) || strings.Contains(string(raw), secret) {
			t.Errorf("%s holds a credential", filepath.Base(f))
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others", filepath.Base(f))
		}
	}
}

// Attack case B1: whatever an id or app holds, it is a value.
func TestHostileText(t *testing.T) {
	s := open(t, statePath(t))
	for _, text := range []string{`'; DROP TABLE app_keys; --`, `"`, "\x00", "a\x00b", "\xff\xfe", strings.Repeat("x", 1<<20), "%", "_"} {
		if _, err := s.RevokeKey(ctx, text, time.Now()); !errors.Is(err, sqlite.ErrNotFound) {
			t.Errorf("id of %d bytes: %v", len(text), err)
		}
		k, _ := newKey(text)
		if err := s.CreateKey(ctx, k); err != nil {
			t.Errorf("app of %d bytes: %v", len(text), err)
		}
	}
	if keys, err := s.Keys(ctx); err != nil || len(keys) != 8 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestOneHashOnce(t *testing.T) {
	s := open(t, statePath(t))
	k, _ := newKey("a")
	if err := s.CreateKey(ctx, k); err != nil {
		t.Fatal(err)
	}
	other, _ := newKey("b")
	other.Hash = k.Hash
	if err := s.CreateKey(ctx, other); err == nil {
		t.Error("two keys share a hash")
	}
}

func TestAdminSecret(t *testing.T) {
	path := statePath(t)
	s := open(t, path)
	if _, err := s.AdminSecret(ctx); !errors.Is(err, sqlite.ErrNotFound) {
		t.Errorf("before the first start: %v", err)
	}
	secret, err := s.NewAdminSecret(ctx, time.Now())
	if err != nil || !strings.HasPrefix(secret, "hp-admin-") || len(secret) < 60 {
		t.Fatalf("made %d characters, %v", len(secret), err)
	}
	if again, err := s.NewAdminSecret(ctx, time.Now()); err != nil || again != "" {
		t.Errorf("a second one is made: %v", err)
	}
	s.Close()
	s = open(t, path)
	if h, err := s.AdminSecret(ctx); err != nil || !h.Equal(appkey.HashOf(secret)) {
		t.Errorf("after a restart: %v", err)
	}
	if err := s.SetAdminSecret(ctx, appkey.HashOf("other"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if h, _ := s.AdminSecret(ctx); !h.Equal(appkey.HashOf("other")) {
		t.Error("not replaced")
	}
}

func TestBudgetsLiveAcrossARestart(t *testing.T) {
	path := statePath(t)
	s := open(t, path)
	month := sqlite.Budget{App: "a", Kind: sqlite.CNY, Period: "2026-11"}
	const limit = 1000
	if u, ok, err := s.Reserve(ctx, month, 600, limit); err != nil || !ok || u.Reserved != 600 {
		t.Fatalf("first: %v %v %v", u, ok, err)
	}
	if u, ok, err := s.Reserve(ctx, month, 401, limit); err != nil || ok || u.Reserved != 600 {
		t.Errorf("over the limit: %v %v %v", u, ok, err)
	}
	if u, err := s.Settle(ctx, month, 600, 450); err != nil || u.Reserved != 0 || u.Settled != 450 {
		t.Errorf("settle: %v %v", u, err)
	}
	if _, err := s.Settle(ctx, month, 1, 1); err == nil {
		t.Error("more is settled than was reserved")
	}
	if _, ok, err := s.Reserve(ctx, month, 550, limit); err != nil || !ok {
		t.Errorf("up to the limit exactly: %v", err)
	}
	for _, other := range []sqlite.Budget{{App: "b", Kind: sqlite.CNY, Period: "2026-11"}, {App: "a", Kind: sqlite.Tokens, Period: "2026-11"}, {App: "a", Kind: sqlite.CNY, Period: "2026-12"}} {
		if u, err := s.Usage(ctx, other); err != nil || u.Total() != 0 {
			t.Errorf("%v: %v %v", other, u, err)
		}
	}
	s.Close()

	// The process died with 550 reserved: they count as used.
	s = open(t, path)
	if n, err := s.SettleOrphans(ctx); err != nil || n != 1 {
		t.Fatalf("orphans: %d %v", n, err)
	}
	if u, err := s.Usage(ctx, month); err != nil || u.Settled != 1000 || u.Reserved != 0 {
		t.Errorf("after a restart: %v %v", u, err)
	}
	if _, ok, _ := s.Reserve(ctx, month, 1, limit); ok {
		t.Error("the limit did not survive the restart")
	}
	if _, ok, err := s.Reserve(ctx, month, 1<<62, 0); err != nil || !ok {
		t.Errorf("no limit: %v", err)
	}
	if _, ok, err := s.Reserve(ctx, month, -1, limit); err == nil || ok {
		t.Error("a negative amount is accepted")
	}
	if _, ok, err := s.Reserve(ctx, sqlite.Budget{App: "a", Kind: "hours", Period: "x"}, 1, 0); err == nil || ok {
		t.Error("an unknown kind is accepted")
	}
}

// Attack case C9: 200 parallel reservations against a limit of 10 pass exactly 10.
func TestParallelReservations(t *testing.T) {
	s := open(t, statePath(t))
	b := sqlite.Budget{App: "a", Kind: sqlite.Tokens, Period: "2026-11-22"}
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 200 {
		wg.Go(func() {
			_, ok, err := s.Reserve(ctx, b, 1, 10)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				passed++
			}
		})
	}
	wg.Wait()
	if passed != 10 {
		t.Errorf("%d passed", passed)
	}
}

func TestOverflowIsRefused(t *testing.T) {
	s := open(t, statePath(t))
	b := sqlite.Budget{App: "a", Kind: sqlite.Tokens, Period: "p"}
	if _, err := s.Add(ctx, b, 1<<63-1); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Add(ctx, b, 1); err == nil {
		t.Errorf("the counter turned over to %v", u)
	}
	if _, ok, err := s.Reserve(ctx, b, 1, 0); err == nil || ok {
		t.Error("a reservation turned the counter over")
	}
	if _, ok, _ := s.Reserve(ctx, b, 1, 5); ok {
		t.Error("a reservation passes a limit that is long spent")
	}
}

func TestReaderBesideAWriter(t *testing.T) {
	path := statePath(t)
	if _, err := sqlite.OpenReader(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no database yet: %v", err)
	}
	s := open(t, path)
	k, _ := newKey("a")
	if err := s.CreateKey(ctx, k); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if keys, err := r.Keys(ctx); err != nil || len(keys) != 1 {
		t.Errorf("the reader sees %d keys, %v", len(keys), err)
	}
	if err := r.CreateKey(ctx, k); err == nil {
		t.Error("the reader writes")
	}
}

func TestOddPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "数据 50% ?x=1 #y")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(dir, "state.db"))
	if _, err := os.Stat(filepath.Join(dir, "state.db-wal")); err != nil {
		t.Errorf("the database is somewhere else, or not in WAL mode: %v", err)
	}
}

func TestForeignDatabasesAreLeftAlone(t *testing.T) {
	for name, breakIt := range map[string]string{
		"a newer version": `INSERT INTO migrations (number, name, sum) VALUES (9999, 'future', 'x')`,
		"other steps":     `UPDATE migrations SET sum = 'x' WHERE number = 1`,
	} {
		path := statePath(t)
		open(t, path).Close()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(breakIt); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if s, err := sqlite.Open(ctx, path); err == nil {
			s.Close()
			t.Errorf("%s: opens", name)
		}
	}
	path := statePath(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(ctx, path); err == nil {
		s.Close()
		t.Error("a file that is no database opens")
	}
}

func TestSettings(t *testing.T) {
	s := open(t, statePath(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		for _, db := range sqlite.Pools(s) {
			var got string
			if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
			}
		}
	}
	rows, err := sqlite.Pools(s)[0].Query(`SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name string
		var strict int
		if err := rows.Scan(&name, &strict); err != nil {
			t.Fatal(err)
		}
		if n++; strict != 1 {
			t.Errorf("table %s is not STRICT", name)
		}
	}
	if n < 4 {
		t.Errorf("only %d tables looked at", n)
	}
}
