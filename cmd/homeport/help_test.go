package main

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
)

func hasChinese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func hasEnglish(s string) bool { return regexp.MustCompile(`[A-Za-z]{2,}`).MatchString(s) }

// Every command, argument and flag explains itself in both languages.
func TestHelpIsBilingual(t *testing.T) {
	parser, err := newParser(&cli{}, new(bytes.Buffer), new(bytes.Buffer), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, help string) {
		if !hasChinese(help) || !hasEnglish(help) {
			t.Errorf("%s: %q is not in both languages", what, help)
		}
	}
	check("homeport", parser.Model.Help)
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			check(n.Path()+" --"+f.Name, f.Help)
		}
		for _, p := range n.Positional {
			check(n.Path()+" "+p.Name, p.Help)
		}
		for _, c := range n.Children {
			check(c.Path(), c.Help)
			walk(c)
		}
	}
	walk(parser.Model.Node)
}

// --help of everything: exit 0, on standard output, within 100 columns.
func TestHelpOfEachCommand(t *testing.T) {
	parser, err := newParser(&cli{}, new(bytes.Buffer), new(bytes.Buffer), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	commands := [][]string{nil}
	for _, leaf := range parser.Model.Leaves(true) {
		path := strings.Fields(leaf.FullPath())[1:]
		commands = append(commands, path)
	}
	if len(commands) < 10 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, path := range commands {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), append(path, "--help"), strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		if code != exitDone || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), "Usage: homeport "+strings.Join(path, " ")) {
			t.Errorf("%v: exit %d, %q", path, code, stderr.String())
		}
		if strings.Contains(stdout.String(), "合规") || strings.Contains(strings.ToLower(stdout.String()), "compliant") {
			t.Errorf("%v: promises what Homeport never says", path)
		}
	}
}

// What a machine may read is one JSON object that names its schema, also where there is nothing to tell; and each command
// that prints has --json.
func TestJSONNamesItsSchema(t *testing.T) {
	parser, err := newParser(&cli{}, new(bytes.Buffer), new(bytes.Buffer), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	args := map[string][]string{ // the rest of what a command needs, and nil for those that have no --json
		"catalog providers": {}, "catalog models": {}, "catalog show": {"deepseek"}, "check": {}, "doctor": {}, "key create": {"default"}, "key list": {},
		"key revoke": {"id"}, "key admin": {}, "schema": nil, "serve": nil, "tour": {}, "version": {},
	}
	t.Chdir(t.TempDir())
	getenv := func(name string) string { return map[string]string{"HOMEPORT_DETECT": "off"}[name] }
	var created string
	for _, leaf := range parser.Model.Leaves(true) {
		path := strings.Join(strings.Fields(leaf.Path())[0:], " ")
		rest, known := args[path]
		if !known {
			t.Errorf("%q is not in this test's list", path)
			continue
		}
		has := false
		for _, f := range leaf.Flags {
			has = has || f.Name == "json"
		}
		if has != (rest != nil) {
			t.Errorf("%q: --json is %v", path, has)
		}
		if !has {
			continue
		}
		if path == "key revoke" {
			rest = []string{created}
		}
		line := append(append(strings.Fields(path), rest...), "--json")
		if path == "check" { // there is no file here, and check wants one
			line = append(line, "-")
		}
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), line, strings.NewReader("apps: [{id: default}]\n"), &stdout, &stderr, getenv)
		var got map[string]any
		if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || code > exitFinding {
			t.Errorf("%q: exit %d, %v: %s", path, code, err, stderr.String())
			continue
		}
		if schema, _ := got["schema"].(string); !regexp.MustCompile(`^homeport(\.[a-z]+)+\.v1$`).MatchString(schema) {
			t.Errorf("%q: schema %q", path, schema)
		}
		if path == "key create" {
			created, _ = got["id"].(string)
		}
	}
	if created == "" {
		t.Error("key create gave no id")
	}
}

// Exit codes are those of DESIGN 5.3: 2 is a wrong command line or configuration.
func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"serve", "--nonsense"}, {"key", "create"}, {"--lang", "fr", "version"}, {"--config", "absent.yaml", "check"}, {"--config", "absent.yaml", "serve"}} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr, func(string) string { return "" }); code != exitUsage || stdout.Len() > 0 {
			t.Errorf("%v: exit %d, %d bytes of output", args, code, stdout.Len())
		}
		if !strings.Contains(stderr.String(), "hint: ") {
			t.Errorf("%v: no hint: %s", args, stderr.String())
		}
	}
	if want := []int{0, 1, 2, 3}; !reflect.DeepEqual([]int{exitDone, exitFinding, exitUsage, exitFault}, want) {
		t.Error("exit codes changed")
	}
}
