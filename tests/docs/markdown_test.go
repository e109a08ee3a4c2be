// Package docs_test runs what the documents show: commands, configurations, requests, links, tables made from data.
// A block that no longer works fails here. Tables between `<!-- name -->` and `<!-- /name -->` are written by
// `go test ./tests/docs -update`.
package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

var update = flag.Bool("update", false, "write the tables that are made from data")

// block is one fenced block: info is the word after the fence, line the number of its first line of text.
type block struct {
	file, info, text string
	line             int
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// documents are the Markdown files of the tree, by path from its root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, where := range []string{".", "docs", "docs/adr", "docs/guide"} {
		files, err := filepath.Glob(filepath.Join(root, where, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.ToSlash(name)] = string(b)
		}
	}
	for _, want := range []string{"README.md", "README.zh-CN.md", "ARCHITECTURE.md", "GLOSSARY.md", "docs/events.md", "docs/guide/configuration.md", "docs/adr/0001-order-of-stages-is-code.md"} {
		if out[want] == "" {
			t.Fatalf("%s is missing", want)
		}
	}
	return out
}

// blocks returns the fenced blocks with this info word, over all documents; finding none is a failure.
func blocks(t *testing.T, info ...string) []block {
	t.Helper()
	var out []block
	for file, text := range documents(t) {
		for _, b := range fenced(file, text) {
			for _, want := range info {
				if b.info == want {
					out = append(out, b)
				}
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no block of %v found", info)
	}
	return out
}

func fenced(file, text string) []block {
	var out []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		rest, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			open = &block{file: file, info: rest, line: i + 2}
		case fence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return out
}

// prose is a document without its fenced blocks.
func prose(text string) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
		} else if !inside {
			out.WriteString(line)
		}
	}
	return out.String()
}

func headings(text string) []string {
	var out []string
	for line := range strings.Lines(prose(text)) {
		if strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// anchor is the id that forges give a heading.
func anchor(heading string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#"))) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			out.WriteRune(r)
		}
	}
	return out.String()
}

var link = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)

func TestLinksResolve(t *testing.T) {
	docs := documents(t)
	seen := 0
	for file, text := range docs {
		for _, m := range link.FindAllStringSubmatch(prose(text), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			seen++
			path := file
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(file), target))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: link to %s: no such file", file, m[1])
				continue
			}
			if fragment == "" {
				continue
			}
			found := false
			for _, h := range headings(docs[path]) {
				found = found || anchor(h) == fragment
			}
			if !found {
				t.Errorf("%s: link to %s: no such heading", file, m[1])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d links found", seen)
	}
}

// TestBothLanguages: a document with a Chinese twin has the same sections, blocks and rows of tables as that twin.
func TestBothLanguages(t *testing.T) {
	docs := documents(t)
	pairs := 0
	for file, zh := range docs {
		base, ok := strings.CutSuffix(file, ".zh-CN.md")
		if !ok {
			continue
		}
		pairs++
		en, ok := docs[base+".md"]
		if !ok {
			t.Errorf("%s has no English twin", file)
			continue
		}
		if got, want := outline(zh), outline(en); got != want {
			t.Errorf("%s and %s.md differ in sections:\n%s\n%s", file, base, got, want)
		}
		if base == "ARCHITECTURE" { // the package table stands in English only, and the Chinese page links it
			continue
		}
		if got, want := strings.Count(zh, "\n|"), strings.Count(en, "\n|"); got != want {
			t.Errorf("%s has %d rows of tables, %s.md %d", file, got, base, want)
		}
		for _, info := range []string{"sh", "yaml", "python", "js", "go", "json", "console"} {
			if got, want := strings.Count(zh, "\n```"+info+"\n"), strings.Count(en, "\n```"+info+"\n"); got != want {
				t.Errorf("%s has %d blocks of %s, %s.md %d", file, got, info, base, want)
			}
		}
	}
	if pairs < 6 {
		t.Errorf("only %d pairs found", pairs)
	}
}

func outline(text string) string {
	var out []string
	for _, h := range headings(text) {
		out = append(out, h[:len(h)-len(strings.TrimLeft(h, "#"))])
	}
	return strings.Join(out, " ")
}

// TestEveryOtherDocumentIsBilingual: what has no twin speaks both languages itself; decisions are for developers.
func TestEveryOtherDocumentIsBilingual(t *testing.T) {
	docs := documents(t)
	for file, text := range docs {
		base := strings.TrimSuffix(strings.TrimSuffix(file, ".md"), ".zh-CN")
		if strings.HasPrefix(file, "docs/adr/") || docs[base+".zh-CN.md"] != "" {
			continue
		}
		han, latin := 0, 0
		for _, r := range prose(text) {
			switch {
			case unicode.Is(unicode.Han, r):
				han++
			case unicode.Is(unicode.Latin, r):
				latin++
			}
		}
		if han < 150 || latin < 150 {
			t.Errorf("%s: %d Chinese characters, %d Latin letters", file, han, latin)
		}
	}
}

// section replaces what stands between the marks of a name, or compares with it.
func section(t *testing.T, file, name, want string) {
	t.Helper()
	path := filepath.Join(root, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := "<!-- /" + strings.Fields(name)[0] + " -->"
	before, rest, ok := bytes.Cut(b, []byte("<!-- "+name+" -->\n"))
	old, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has no marks for %s", file, name)
	}
	if string(old) == want {
		return
	}
	if !*update {
		t.Errorf("%s: the table %q is not what the data say; run go test ./tests/docs -update", file, name)
		return
	}
	out := string(before) + "<!-- " + name + " -->\n" + want + end + string(after)
	if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNothingOfTheWorkplace: documents speak of the project, not of where it was written.
func TestNothingOfTheWorkplace(t *testing.T) {
	bad := regexp.MustCompile(`(?i)/work/|shared/facts|DESIGN \d|TODO|FIXME`)
	files := documents(t)
	for _, f := range []string{"Dockerfile", ".dockerignore", "deploy/homeport.service", "NOTICE"} {
		b, err := fs.ReadFile(os.DirFS(root), f)
		if err != nil {
			t.Fatal(err)
		}
		files[f] = string(b)
	}
	for file, text := range files {
		if m := bad.FindString(text); m != "" {
			t.Errorf("%s holds %q", file, m)
		}
	}
}
