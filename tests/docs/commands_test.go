package docs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"homeport/tests/hptest"
)

// homeport runs the binary with an environment that holds nothing but env.
func homeport(t *testing.T, stdin string, env []string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.Command(hptest.Binary(t), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"HOME=" + cmd.Dir, "LANG=en_US.UTF-8"}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

var (
	commandLine = regexp.MustCompile("(?:^|[\\s`/(])homeport( [a-z][a-z-]*(?:[^`\\n#|]*)?)")
	flagName    = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// subcommands of the binary, each with its help.
func subcommands(t *testing.T) map[string]string {
	t.Helper()
	top, err := homeport(t, "", nil, "--help")
	if err != nil {
		t.Fatalf("homeport --help: %v\n%s", err, top)
	}
	_, list, ok := strings.Cut(top, "Commands:")
	if !ok {
		t.Fatalf("no commands in\n%s", top)
	}
	out := map[string]string{}
	for line := range strings.Lines(list) {
		if !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "    ") {
			continue
		}
		var words []string
		for _, w := range strings.Fields(line) {
			if w[0] < 'a' || w[0] > 'z' {
				break
			}
			words = append(words, w)
		}
		name := strings.Join(words, " ")
		help, err := homeport(t, "", nil, append(words, "--help")...)
		if err != nil {
			t.Fatalf("homeport %s --help: %v", name, err)
		}
		out[name] = help
	}
	if len(out) < 8 {
		t.Fatalf("found the commands %v", out)
	}
	return out
}

// TestCommandsExist: every `homeport …` a document shows is a command of the binary, with flags it knows; and every
// command of the binary is in both READMEs.
func TestCommandsExist(t *testing.T) {
	known := subcommands(t)
	groups := map[string]bool{}
	for name := range known {
		if g, _, ok := strings.Cut(name, " "); ok {
			groups[g] = true
		}
	}
	docs := documents(t)
	seen := 0
	for file, text := range docs {
		if strings.HasPrefix(file, "docs/adr/") {
			continue
		}
		for _, m := range commandLine.FindAllStringSubmatch(shown(file, text), -1) {
			seen++
			words := strings.Fields(m[1])
			name := words[0]
			if groups[name] && len(words) > 1 {
				name += " " + words[1]
			}
			if groups[name] { // a group by itself, as in "homeport key"
				continue
			}
			help, ok := known[name]
			if !ok {
				t.Errorf("%s: there is no command homeport %s", file, name)
				continue
			}
			for _, f := range flagName.FindAllString(m[1], -1) {
				if !strings.Contains(help, f) {
					t.Errorf("%s: homeport %s knows no %s", file, name, f)
				}
			}
		}
	}
	for file, text := range docs { // flags that stand alone, as in a table's other cell
		for _, m := range regexp.MustCompile("`(--[a-z][a-z-]*)").FindAllStringSubmatch(prose(text), -1) {
			found := false
			for _, help := range known {
				found = found || strings.Contains(help, m[1])
			}
			if !found {
				t.Errorf("%s: no command knows %s", file, m[1])
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d commands found in the documents", seen)
	}
	for name := range known {
		for _, readme := range []string{"README.md", "README.zh-CN.md"} {
			if !strings.Contains(docs[readme], "`homeport "+name) {
				t.Errorf("%s does not show homeport %s", readme, name)
			}
		}
	}
}

// shown is what a document shows as code: inline code and shell blocks. Prose may begin a sentence with the name.
func shown(file, text string) string {
	var out strings.Builder
	for _, m := range regexp.MustCompile("`[^`\n]+`").FindAllString(prose(text), -1) {
		out.WriteString(m + "\n")
	}
	for _, b := range fenced(file, text) {
		if b.info == "sh" || b.info == "console" {
			out.WriteString(b.text)
		}
	}
	return out.String()
}

// TestMakeTargetsExist: every `make …` of the documents is a target.
func TestMakeTargetsExist(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for file, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`|&& |\\$ )make ([a-z]+)").FindAllStringSubmatch(shown(file, text), -1) {
			seen++
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(b) {
				t.Errorf("%s: there is no target %s", file, m[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d targets found", seen)
	}
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)\}`)

// dummies sets every variable that a configuration names.
func dummies(config string) []string {
	var env []string
	for i, m := range variable.FindAllStringSubmatch(config, -1) {
		env = append(env, fmt.Sprintf("%s=dummy-value-of-%s-%d", m[1], strings.ToLower(m[1]), i))
	}
	return env
}

// meant is what check says of routes that show a refusal.
var meant = regexp.MustCompile(`(?m)^.*warning: route "forbidden-.*$`)

// TestConfigurations: every YAML block is a configuration that `homeport check` takes without a warning, save of routes that
// show a refusal and are named so. One that begins with
// "# homeport.yaml" is whole; any other is a part, and what it lacks is added.
func TestConfigurations(t *testing.T) {
	whole := 0
	for _, b := range blocks(t, "yaml") {
		config := b.text
		if strings.HasPrefix(config, "# homeport.yaml\n") {
			whole++
		} else {
			config += rest(config)
		}
		out, err := homeport(t, config, dummies(config), "check", "-")
		if err != nil || strings.Contains(meant.ReplaceAllString(out, ""), "warning:") {
			t.Errorf("%s: %v\n%s", b, err, out)
		}
	}
	if whole < 6 {
		t.Errorf("only %d whole configurations found", whole)
	}
	// the test can fail
	if out, err := homeport(t, "# homeport.yaml\nprofle: strict\n", nil, "check", "-"); err == nil {
		t.Errorf("a wrong configuration passed: %s", out)
	}
}

// rest gives the sections that a part lacks. A part with providers of its own has no routes besides those it shows.
func rest(part string) string {
	has := func(key string) bool { return strings.HasPrefix(part, key+":") || strings.Contains(part, "\n"+key+":") }
	out := ""
	if !has("providers") {
		out += "providers: [{id: home, catalog: practice}, {id: qwen, catalog: dashscope, key: dummy-key}]\n"
	}
	if !has("apps") {
		out += "apps: [{id: support-bot, keys: [dummy-key-of-24-characters], service: {audience: internal, opinion: false}}]\n"
	}
	if !has("routes") && !has("providers") {
		out += "routes: [{model: \"*\", to: [\"home/*\"]}]\n"
	}
	return out
}
