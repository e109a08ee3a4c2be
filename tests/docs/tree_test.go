package docs_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func goList(t *testing.T, format string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", format, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// TestArchitectureListsThePackages: each package of the tree has a row, and each row is a package.
func TestArchitectureListsThePackages(t *testing.T) {
	rows := map[string]bool{}
	_, table, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "## Packages")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = true
	}
	packages := map[string]bool{}
	for _, p := range goList(t, "{{.ImportPath}}") {
		p = strings.TrimPrefix(p, "homeport/")
		if packages[p] = true; !rows[p] {
			t.Errorf("ARCHITECTURE.md has no row for %s", p)
		}
	}
	for r := range rows {
		if !packages[r] {
			t.Errorf("ARCHITECTURE.md has a row for %s, which is no package", r)
		}
	}
}

// TestInvariantsAreNumbered: both languages state the same eight.
func TestInvariantsAreNumbered(t *testing.T) {
	for file, heading := range map[string]string{"ARCHITECTURE.md": "## Invariants", "ARCHITECTURE.zh-CN.md": "## 不变量"} {
		_, rest, _ := strings.Cut(read(t, file), heading)
		text, _, _ := strings.Cut(rest, "\n## ")
		if n := len(regexp.MustCompile(`(?m)^[1-8]\. `).FindAllString(text, -1)); n != 8 {
			t.Errorf("%s states %d invariants", file, n)
		}
	}
}

// TestEachDependencyHasAReason: each module of go.mod that the tree imports has a row in the decision on dependencies,
// and each row is a module of go.mod.
func TestEachDependencyHasAReason(t *testing.T) {
	direct, _, _ := strings.Cut(read(t, "go.mod"), "// indirect")
	adr := read(t, "docs/adr/0007-dependencies.md")
	imports := strings.Join(goList(t, `{{join .Imports " "}} {{join .TestImports " "}} {{join .XTestImports " "}}`), "\n") + "\n"
	modules := 0
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(direct, -1) {
		if !strings.Contains(imports, m[1]+"\n") && !strings.Contains(imports, m[1]+"/") {
			continue // what nobody imports is for go mod tidy to say
		}
		modules++
		if !strings.Contains(adr, "| `"+m[1]+"` |") {
			t.Errorf("no reason for %s", m[1])
		}
	}
	if modules < 8 {
		t.Errorf("only %d modules found", modules)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(adr, -1) {
		if !strings.Contains(direct, "\t"+m[1]+" v") {
			t.Errorf("a reason for %s, which is not in go.mod", m[1])
		}
	}
}

// TestDecisionsHaveTheirParts: context, decision, consequences, and numbers without a gap.
func TestDecisionsHaveTheirParts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/adr/*.md"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d decisions found, %v", len(files), err)
	}
	for i, f := range files {
		text := read(t, "docs/adr/"+filepath.Base(f))
		if want := regexp.MustCompile(`\A# ` + strings.TrimLeft(filepath.Base(f)[:4], "0") + `\. `); !want.MatchString(text) || filepath.Base(f)[:4] != leftPad(i+1) {
			t.Errorf("%s is not number %d", f, i+1)
		}
		for _, part := range []string{"**Context.**", "**Decision.**", "**Consequences.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %s", f, part)
			}
		}
	}
}

func leftPad(n int) string { return string([]byte{'0', '0', byte('0' + n/10), byte('0' + n%10)}) }

// TestExamplesParse: Go examples are Go, JSON examples JSON.
func TestExamplesParse(t *testing.T) {
	for _, b := range blocks(t, "go") {
		if _, err := parser.ParseFile(token.NewFileSet(), b.file, b.text, parser.AllErrors); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	for _, b := range blocks(t, "json") {
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s is no JSON", b)
		}
	}
}

// TestDockerfile: what the image copies is what the build makes, its user is not root, and nothing secret is sent to the
// builder. There is no container engine in tests; the binary the image needs must be static.
func TestDockerfile(t *testing.T) {
	d := read(t, "Dockerfile")
	for _, want := range []string{"FROM scratch", "USER 65532:65532", "VOLUME /data", `ENTRYPOINT ["/homeport"]`, "/src/bin/homeport /homeport", "RUN make build"} {
		if !strings.Contains(d, want) {
			t.Errorf("Dockerfile lacks %q", want)
		}
	}
	makefile := read(t, "Makefile")
	toolchain := regexp.MustCompile(`GOTOOLCHAIN := go([0-9.]+)`).FindStringSubmatch(makefile)
	if toolchain == nil || !strings.Contains(d, "FROM golang:"+toolchain[1]+" ") {
		t.Errorf("the image's Go is not the Makefile's %v", toolchain)
	}
	dry := exec.Command("make", "-n", "build")
	dry.Dir = root
	if out, err := dry.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("bin/homeport")) {
		t.Errorf("make build does not make bin/homeport: %v\n%s", err, out)
	}
	if !strings.Contains(read(t, "scripts/build.sh"), "CGO_ENABLED=0") {
		t.Error("the build uses cgo: the binary would not run on an empty base")
	}
	ignored := strings.Fields(read(t, ".dockerignore"))
	for _, secret := range []string{".git", "homeport-data", "homeport.yaml", "env"} {
		found := false
		for _, i := range ignored {
			found = found || i == secret
		}
		if !found {
			t.Errorf(".dockerignore lacks %s", secret)
		}
	}
	command := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(d)
	var args []string
	if command == nil || json.Unmarshal([]byte(command[1]), &args) != nil {
		t.Fatalf("CMD is %v", command)
	}
	knows(t, args)
}

// TestUnit: the unit starts a command that exists, as its own user, and can write only its state.
func TestUnit(t *testing.T) {
	u := read(t, "deploy/homeport.service")
	for _, want := range []string{"DynamicUser=yes", "StateDirectory=homeport", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=\n", "ExecReload=/bin/kill -HUP $MAINPID"} {
		if !strings.Contains(u, want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	start := regexp.MustCompile(`(?m)^ExecStart=\S*/homeport (.*)$`).FindStringSubmatch(u)
	if start == nil {
		t.Fatal("the unit starts nothing")
	}
	knows(t, strings.Fields(start[1]))
}

// knows checks a command line against the binary: its command exists and has the flags.
func knows(t *testing.T, args []string) {
	t.Helper()
	help, err := homeport(t, "", nil, args[0], "--help")
	if err != nil {
		t.Fatalf("homeport %s: %v\n%s", args[0], err, help)
	}
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "--") && !strings.Contains(help, a) {
			t.Errorf("homeport %s knows no %s", args[0], a)
		}
	}
}

// TestBinaryIsStatic: without cgo the binary asks for no loader, so it runs on an empty base.
func TestBinaryIsStatic(t *testing.T) {
	out := filepath.Join(t.TempDir(), "homeport")
	cmd := exec.Command("go", "build", "-o", out, "./cmd/homeport")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	f, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a %v segment", p.Type)
		}
	}
}
