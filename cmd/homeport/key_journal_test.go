package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homeport/audit"
)

// keyFolder is a folder with a configuration, and a way to run commands on it with no server there.
func keyFolder(t *testing.T) (data string, command func(want int, args ...string) string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "homeport.yaml")
	text := "data: data\nproviders: [{id: p, catalog: practice}]\nroutes: [{model: \"*\", to: [\"p/*\"]}]\napps: [{id: bot, service: {audience: internal, opinion: false}}]\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		return map[string]string{"HOMEPORT_DETECT": "off", "LANG": "en_US.UTF-8"}[name]
	}
	return filepath.Join(dir, "data"), func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), append([]string{"--config", conf}, args...), strings.NewReader(""), &stdout, &stderr, getenv); code != want {
			t.Fatalf("%s ended with %d, want %d: %s", args[0], code, want, stderr.String())
		}
		return stdout.String()
	}
}

func admins(t *testing.T, data string) []*audit.Admin {
	t.Helper()
	if _, err := audit.Verify(filepath.Join(data, "journal")); err != nil {
		t.Fatal(err)
	}
	var out []*audit.Admin
	err := audit.Read(filepath.Join(data, "journal"), 0, func(_ uint64, payload []byte) error {
		ev, err := audit.Parse(payload)
		if err != nil {
			return err
		}
		out = append(out, ev.(*audit.Admin))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keysOf(t *testing.T, list string) (keys []struct {
	ID, Last4 string
	Revoked   *string
}) {
	t.Helper()
	var out struct {
		Keys []struct {
			ID, Last4 string
			Revoked   *string
		}
	}
	if err := json.Unmarshal([]byte(list), &out); err != nil {
		t.Fatal(err)
	}
	return out.Keys
}

// With no server running a command writes the evidence log itself: each act is an admin event that names key and app.
func TestKeysWithoutServerAreRecorded(t *testing.T) {
	data, command := keyFolder(t)
	key := strings.TrimSpace(command(exitDone, "key", "create", "bot"))
	keys := keysOf(t, command(exitDone, "key", "list", "--json"))
	if len(keys) != 1 {
		t.Fatalf("%d keys", len(keys))
	}
	id := keys[0].ID
	command(exitFinding, "key", "create", "nobody") // refused: nothing is done, nothing recorded
	command(exitDone, "key", "revoke", id)
	admin := strings.TrimSpace(command(exitDone, "key", "admin"))

	got := admins(t, data)
	if len(got) != 3 {
		t.Fatalf("%d events, want one for each act", len(got))
	}
	if ev := got[2]; ev.What != "admin.secret" || ev.Who != "cli" || ev.On != "" || len(ev.Changed) != 0 {
		t.Errorf("event 2: %s by %s on %q, %d changes", ev.What, ev.Who, ev.On, len(ev.Changed))
	}
	for i, what := range []string{"key.create", "key.revoke"} {
		ev := got[i]
		if ev.What != what || ev.Who != "cli" || ev.On != id || len(ev.Changed) != 1 || ev.Changed[0].Name != "app" || ev.Changed[0].New != "bot" {
			t.Errorf("event %d: %s by %s on %s, %d changes", i, ev.What, ev.Who, ev.On, len(ev.Changed))
		}
	}
	_, secret, _ := strings.Cut(strings.TrimPrefix(key, "sk-hp-"), "-")
	_, adminSecret, _ := strings.Cut(strings.TrimPrefix(admin, "hp-admin-"), "-")
	if len(secret) < 50 || len(adminSecret) < 50 {
		t.Fatalf("secrets of %d and %d characters", len(secret), len(adminSecret))
	}
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(adminSecret)) {
			t.Errorf("%s holds a secret", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An act that cannot be recorded is not done (invariant 1).
func TestKeyThatCannotBeRecorded(t *testing.T) {
	data, command := keyFolder(t)
	command(exitDone, "key", "create", "bot")
	id := keysOf(t, command(exitDone, "key", "list", "--json"))[0].ID

	journal := filepath.Join(data, "journal")
	if err := os.Rename(journal, journal+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	if out := command(exitFault, "key", "create", "bot"); out != "" {
		t.Error("a key was printed")
	}
	command(exitFault, "key", "revoke", id)
	if out := command(exitFault, "key", "admin"); out != "" {
		t.Error("an admin secret was printed")
	}
	keys := keysOf(t, command(exitDone, "key", "list", "--json"))
	if len(keys) != 1 || keys[0].Revoked != nil {
		t.Errorf("%d keys; the first revoked: %v", len(keys), keys[0].Revoked != nil)
	}
	if err := os.Remove(journal); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(journal+".kept", journal); err != nil {
		t.Fatal(err)
	}
	command(exitDone, "key", "revoke", id)
	if got := admins(t, data); len(got) != 2 {
		t.Errorf("%d events, want 2", len(got))
	}
}
