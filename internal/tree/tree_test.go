// Package tree_test holds what is true of the source tree as a whole: who may import what and why, and that every package
// says what it is.
package tree_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath, Name, Dir string
	Imports, GoFiles      []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

// rules forbid imports, each with its reason. A prefix ending in / covers everything below.
var rules = []struct {
	in      string
	forbid  []string
	because string
}{
	{"homeport/policy", []string{"net", "net/http", "os", "os/exec", "math/rand", "math/rand/v2", "homeport/internal/"},
		"a decision is pure: no network, clock, disk or chance, so that it can be replayed (invariant 7)"},
	{"homeport/audit", []string{"net/http", "homeport/internal/"}, "an auditor must be able to use it alone"},
	{"homeport/registry", []string{"net", "net/http", "homeport/internal/"}, "an outside reviewer must be able to use it alone"},
	{"homeport/internal/pii", []string{"log", "log/slog", "regexp", "net/http"}, "found text must not leak, and matching is linear"},
	{"homeport/internal/openai", []string{"log", "log/slog", "os", "homeport/internal/"}, "the shape of the wire depends on nothing of ours"},
	{"homeport/internal/provider", []string{"log", "log/slog", "os", "net"}, "translation is pure"},
	{"homeport/internal/upstream", []string{"homeport/policy", "homeport/internal/provider", "homeport/internal/gateway"},
		"calling knows nothing of judging or dialects"},
	{"homeport/internal/gateway", []string{"os", "homeport/internal/config"}, "the data plane takes values; reading files and the environment is serve's"},
}

func TestImports(t *testing.T) {
	all := packages(t)
	for _, r := range rules {
		found := false
		for _, p := range all {
			if p.ImportPath != r.in {
				continue
			}
			found = true
			for _, imp := range p.Imports {
				for _, f := range r.forbid {
					if imp == f || strings.HasSuffix(f, "/") && strings.HasPrefix(imp, f) {
						t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.because)
					}
				}
			}
		}
		if !found {
			t.Errorf("rule for %s fits no package", r.in)
		}
	}
}

// TestPurePackagesReadNoClock: time is a value that is passed in, so that an event can be judged again.
func TestPurePackagesReadNoClock(t *testing.T) {
	pure := []string{"homeport/policy", "homeport/registry", "homeport/internal/provider", "homeport/internal/openai", "homeport/internal/pii"}
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		for _, f := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range []string{"time.Now(", "time.Since(", "time.Until(", "time.After(", "time.Sleep("} {
				if strings.Contains(string(src), call) {
					t.Errorf("%s/%s calls %s…)", p.ImportPath, f, call)
				}
			}
		}
	}
}

// TestSecretsAreNotPredictable: identifiers, placeholders, nonces and keys come from crypto/rand (attack case B17). The
// few packages that may import math/rand use it for spreading load only.
func TestSecretsAreNotPredictable(t *testing.T) {
	may := []string{"homeport/internal/upstream", "homeport/bench"}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "math/rand") && !slices.Contains(may, p.ImportPath) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		said := false
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			said = said || file.Doc != nil
		}
		if !said {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestInvariantsAreCited: each numbered invariant of ARCHITECTURE.md is cited by at least one test.
func TestInvariantsAreCited(t *testing.T) {
	cited := map[string]bool{}
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, n := range "12345678" {
			if strings.Contains(string(b), "invariant "+string(n)) {
				cited[string(n)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range "12345678" {
		if !cited[string(n)] {
			t.Errorf("no test cites invariant %c", n)
		}
	}
}
