package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program, signals and all, a command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"homeport": main})
}

// TestScripts runs testdata/script/*.txtar, one folder and one clean environment each: no provider keys, no look at other
// programs' ports, Chinese output unless --lang says otherwise. Beside testscript's own commands there are those of
// script_serve_test.go.
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "signal": cmdSignal, "ended": cmdEnded, "http": cmdHTTP, "streamed": cmdStreamed, "eventually": cmdEventually, "cert": cmdCert,
			"exits": cmdExits, "capture": cmdCapture,
		},
		Setup: func(e *testscript.Env) error {
			j := newJobs()
			e.Values[jobsKey{}] = j
			e.Defer(j.stop)
			e.Setenv("HOMEPORT_DETECT", "off")
			e.Setenv("LC_ALL", "")
			e.Setenv("LANG", "")
			return nil
		},
	})
}
