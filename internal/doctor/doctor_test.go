package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/detect"
	"homeport/internal/doctor"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// input is a healthy machine without a configuration file.
func input(t *testing.T) doctor.Input {
	t.Helper()
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg := config.Default(nil, nil)
	cfg.Data = filepath.Join(dir, "data")
	cfg.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	return doctor.Input{Getenv: func(string) string { return "" }, ConfigPath: "homeport.yaml", Config: cfg, Platform: "test", DataAsOf: now.AddDate(0, 0, -21), Now: now}
}

func find(items []doctor.Item, id string) doctor.Item {
	for _, it := range items {
		if it.ID == id {
			return it
		}
	}
	return doctor.Item{}
}

func TestItems(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, in *doctor.Input)
		id     string
		want   doctor.Status
		says   string
	}{
		"healthy clock":   {func(*testing.T, *doctor.Input) {}, "clock", doctor.OK, "2026"},
		"clock in 1970":   {func(_ *testing.T, in *doctor.Input) { in.Now = time.Unix(0, 0) }, "clock", doctor.Fail, "1970"},
		"clock far ahead": {func(_ *testing.T, in *doctor.Input) { in.Now = now.AddDate(30, 0, 0) }, "clock", doctor.Fail, "2056"},
		"no file":         {func(*testing.T, *doctor.Input) {}, "config", doctor.OK, "no configuration file"},
		"practice":        {func(*testing.T, *doctor.Input) {}, "provider", doctor.Warn, "practice"},
		"data is new":     {func(*testing.T, *doctor.Input) {}, "data", doctor.OK, "not there yet"},
		"disk":            {func(*testing.T, *doctor.Input) {}, "disk", "", "free"},
		"ports":           {func(*testing.T, *doctor.Input) {}, "port.data", doctor.OK, "is free"},
		"errors in a file": {func(_ *testing.T, in *doctor.Input) {
			in.FromFile, in.Config = true, nil
			in.Problems = []config.Problem{{Severity: config.Error}}
		}, "config", doctor.Fail, "errors: 1"},
		"warnings in a file": {func(_ *testing.T, in *doctor.Input) {
			in.FromFile = true
			in.Problems = []config.Problem{{Severity: config.Warning}}
		}, "config", doctor.Warn, "1 warnings"},
		"data is a file": {func(t *testing.T, in *doctor.Input) {
			if err := os.WriteFile(in.Config.Data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "data", doctor.Fail, "not a folder"},
		"data open to all": {func(t *testing.T, in *doctor.Input) {
			if err := os.Mkdir(in.Config.Data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(in.Config.Data, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "data", doctor.Warn, "can be written"},
		"port taken": {func(t *testing.T, in *doctor.Input) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			in.Config.Admin.Listen = ln.Addr().String()
		}, "port.admin", doctor.Fail, "taken"},
		"server running": {func(t *testing.T, in *doctor.Input) {
			lock, err := control.AcquireLock(in.Config.Data)
			if err != nil {
				t.Fatal(err)
			}
			s, err := control.Listen(context.Background(), lock, control.Verbs{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close(); lock.Release() })
		}, "server", doctor.OK, "running"},
		"key in the environment": {func(_ *testing.T, in *doctor.Input) {
			in.Found = []detect.Found{{Catalog: "dashscope", Env: "DASHSCOPE_API_KEY"}}
			in.Config.Providers = []config.Provider{{ID: "dashscope", Catalog: "dashscope", Key: config.NewSecret("canary")}}
		}, "provider.dashscope", doctor.OK, "DASHSCOPE_API_KEY"},
		"local server": {func(_ *testing.T, in *doctor.Input) {
			in.Found = []detect.Found{{Catalog: "ollama", BaseURL: "http://127.0.0.1:11434/v1", Models: []string{"a", "b"}}}
		}, "provider.ollama", doctor.OK, "2 models"},
		"keys never used": {func(_ *testing.T, in *doctor.Input) { in.Unused = []string{"GEMINI_API_KEY", "OPENAI_API_KEY"} },
			"unused", doctor.Warn, "never used to call a provider: GEMINI_API_KEY, OPENAI_API_KEY"},
		"proxy": {func(_ *testing.T, in *doctor.Input) {
			in.Getenv = func(k string) string { return map[string]string{"https_proxy": "http://canary"}[k] }
		}, "proxy", doctor.Warn, "https_proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			c.change(t, &in)
			items := doctor.Look(context.Background(), in)
			it := find(items, c.id)
			if it.ID == "" || (c.want != "" && it.Status != c.want) || !strings.Contains(it.Found.En, c.says) || it.Found.Zh == "" {
				t.Fatalf("item %+v", it)
			}
			if it.Status != doctor.OK && (it.Fix.Zh == "" || it.Fix.En == "") {
				t.Error("no cure is named in both languages")
			}
			if raw, err := json.Marshal(items); err != nil || strings.Contains(string(raw)+fmt.Sprint(items), "canary") {
				t.Errorf("a value shows, or no JSON: %v", err)
			}
			if it.Status == doctor.Fail && doctor.Worst(items) != doctor.Fail {
				t.Error("the worst is not fail")
			}
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	in := input(t)
	if err := os.Mkdir(in.Config.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	doctor.Look(context.Background(), in)
	if entries, err := os.ReadDir(in.Config.Data); err != nil || len(entries) != 0 {
		t.Errorf("left in the folder: %v %v", entries, err)
	}
}
