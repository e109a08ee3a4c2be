// Package clients runs the official JavaScript clients, unchanged, against the real homeport binary: `openai` (with its
// AzureOpenAI class) and Vercel's `ai` with `@ai-sdk/openai-compatible`. The tests themselves are the *.test.mjs files; each of
// them becomes a subtest here. Node.js 20 or newer and npm must be installed.
package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"homeport/tests/hptest"
)

// leastTests is fewer than there are: a run that finds no files, or only a few, must not pass.
const leastTests = 50

// TestClients installs the locked packages if need be, runs every *.test.mjs against one gateway, and looks at what the
// upstream saw.
func TestClients(t *testing.T) {
	install(t)
	up := hptest.Practice(t)
	gw := hptest.Start(t, hptest.Config(up))

	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"--test", "--test-reporter=tap"}, files...)...)
	cmd.Env = append(os.Environ(), "HOMEPORT_BASE_URL="+gw.URL+"/v1", "HOMEPORT_KEY="+hptest.Key,
		"NO_PROXY=127.0.0.1", "AI_SDK_LOG_WARNINGS=false")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	runErr := cmd.Run()

	results := parse(out.Bytes())
	for _, r := range results {
		t.Run(r.name, func(t *testing.T) {
			switch {
			case !r.ok:
				t.Errorf("failed in Node:\n%s", r.detail)
			case r.skipped:
				t.Error("skipped; a client test must run")
			}
		})
	}
	if len(results) < leastTests {
		t.Fatalf("%d tests ran, want at least %d; node: %v\n%s", len(results), leastTests, runErr, out.String())
	}
	if runErr != nil && !t.Failed() {
		t.Fatalf("node: %v\n%s", runErr, out.String())
	}
	t.Run("cancels reach the upstream", func(t *testing.T) { cancelled(t, up) })
	t.Run("no client header or key goes upstream", func(t *testing.T) { headers(t, up) })
}

// cancelled: the two streams and the one plain request that the clients gave up were given up upstream too.
func cancelled(t *testing.T, up *hptest.Upstream) {
	n := 0
	for _, r := range up.Requests() {
		if bytes.Contains(r.Body, []byte("practice: long 100000 20ms")) || bytes.Contains(r.Body, []byte("practice: slow 60s")) {
			r.WaitCancelled(t, 10*time.Second)
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d requests to be cancelled reached the upstream, want 3", n)
	}
}

// headers: what official clients send about themselves, and the app's key, stay here.
func headers(t *testing.T, up *hptest.Upstream) {
	all := up.Requests()
	if len(all) == 0 {
		t.Fatal("nothing reached the upstream")
	}
	for _, r := range all {
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Stainless-") || strings.HasPrefix(name, "X-Homeport-") || strings.HasPrefix(name, "Openai-") {
				t.Errorf("%s reached the upstream", name)
			}
			if strings.Contains(strings.Join(values, " "), hptest.Key) {
				t.Errorf("the app's key reached the upstream in %s", name)
			}
		}
	}
}

// install runs `npm ci` when node_modules is missing or older than the lock file.
func install(t *testing.T) {
	t.Helper()
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := os.Stat("node_modules/.package-lock.json"); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v (Node.js 20 or newer and npm are needed)\n%s", err, out)
	}
	// npm keeps the times of an unchanged tree; the mark says that this lock is installed.
	now := time.Now()
	if err := os.Chtimes("node_modules/.package-lock.json", now, now); err != nil {
		t.Fatal(err)
	}
}

// result is one test of the TAP report.
type result struct {
	name    string
	ok      bool
	skipped bool
	detail  string // the YAML block below it
}

var point = regexp.MustCompile(`^(not )?ok \d+ - (.*?)( # (?:SKIP|TODO).*)?$`)

// parse reads the top-level points of a TAP report.
func parse(tap []byte) []result {
	var out []result
	names := map[string]int{}
	sc := bufio.NewScanner(bytes.NewReader(tap))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if m := point.FindStringSubmatch(line); m != nil {
			if names[m[2]]++; names[m[2]] > 1 {
				m[2] = fmt.Sprintf("%s (%d)", m[2], names[m[2]])
			}
			out = append(out, result{name: m[2], ok: m[1] == "", skipped: m[3] != ""})
		} else if len(out) > 0 && strings.HasPrefix(line, "  ") {
			out[len(out)-1].detail += line + "\n"
		}
	}
	return out
}

// TestParse: a report's points, with failures, skips and nested points told apart.
func TestParse(t *testing.T) {
	got := parse([]byte("TAP version 13\n# Subtest: a\nok 1 - a\n  ---\n  duration_ms: 1\n  ...\n    ok 1 - nested\nnot ok 2 - b\n  ---\n  error: 'x'\n  ...\nok 3 - c # SKIP\n1..3\n"))
	if len(got) != 3 || !got[0].ok || got[1].ok || !strings.Contains(got[1].detail, "error: 'x'") || !got[2].skipped {
		t.Errorf("got %+v", got)
	}
}
