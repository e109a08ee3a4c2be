package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program a command of the scripts: they start the same run as main does.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"homeport": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		},
	})
}

// TestScripts runs testdata/script/*.txtar, one folder and one clean environment each: no provider keys, no look at other
// programs' ports, Chinese output unless --lang says otherwise.
func TestScripts(t *testing.T) {
	const dir = "testdata/script"
	if files, err := filepath.Glob(filepath.Join(dir, "*.txtar")); err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOMEPORT_DETECT", "off")
			e.Setenv("LC_ALL", "")
			e.Setenv("LANG", "")
			return nil
		},
	})
}
