package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inline finds the inline code of the documents that a pattern fits, by file; fewer than least is a failure.
func inline(t *testing.T, pattern string, least int) map[string][]string {
	t.Helper()
	re := regexp.MustCompile("`(" + pattern + ")`")
	out, seen := map[string][]string{}, 0
	for file, text := range documents(t) {
		for _, m := range re.FindAllStringSubmatch(prose(text), -1) {
			out[file] = append(out[file], m[1])
			seen++
		}
	}
	if seen < least {
		t.Fatalf("only %d names like %s found", seen, pattern)
	}
	return out
}

// TestFactsExist: each fact a document names is in the schema of facts.
func TestFactsExist(t *testing.T) {
	facts := read(t, "policy/facts.yaml")
	for file, names := range inline(t, `(?:operator|service|model|done|data|route)\.[a-z_]+`, 15) {
		for _, name := range names {
			if !strings.Contains(facts, "{id: "+name+",") {
				t.Errorf("%s: there is no fact %s", file, name)
			}
		}
	}
}

// TestErrorCodesExist: each status and code the routing guide promises is one the error table gives.
func TestErrorCodesExist(t *testing.T) {
	source := read(t, "internal/provider/errors.go")
	codes := 0
	for _, file := range []string{"docs/guide/routing.md", "docs/guide/routing.zh-CN.md"} {
		_, table, _ := strings.Cut(read(t, file), "| 502 `upstream_auth`")
		table, _, _ = strings.Cut("| 502 `upstream_auth`"+table, "\n\n")
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(table, -1) {
			if codes++; !strings.Contains(source, `"`+m[1]+`"`) {
				t.Errorf("%s: no error has the code %s", file, m[1])
			}
		}
	}
	if codes < 20 {
		t.Errorf("only %d codes found", codes)
	}
}

// TestAdaptationsExist: each adaptation a document shows is one that some provider's requests have.
func TestAdaptationsExist(t *testing.T) {
	golden := ""
	files, err := filepath.Glob(filepath.Join(root, "internal/provider/testdata/requests/*.golden"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d goldens, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "adapted "); ok {
				golden += "," + strings.TrimSpace(rest) + ","
			}
		}
	}
	for file, names := range inline(t, `[a-z_.]+(?::[a-z]+|>[a-z_]+)`, 8) {
		for _, name := range names {
			if !strings.Contains(golden, ","+name+",") {
				t.Errorf("%s: no provider's request has the adaptation %s", file, name)
			}
		}
	}
}

// TestPathsExist: each path of the tree that a document names in code is there.
func TestPathsExist(t *testing.T) {
	for file, names := range inline(t, `(?:internal|policy|registry|audit|cmd|tests|docs|deploy|scripts)/[a-zA-Z0-9_./-]+`, 20) {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
	}
}
