package practice_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"homeport/internal/practice"
)

var update = flag.Bool("update", false, "write what was answered into testdata")

// noSleep makes every wait instant, and counts.
func noSleep(slept *time.Duration) func(context.Context, time.Duration) error {
	return func(ctx context.Context, d time.Duration) error {
		*slept += d
		return ctx.Err()
	}
}

// do serves one request in memory. An abort (http.ErrAbortHandler) is reported, as net/http would cut the connection.
func do(t *testing.T, method, path, body string) (rec *httptest.ResponseRecorder, aborted bool, slept time.Duration) {
	t.Helper()
	h := practice.New(practice.Options{Sleep: noSleep(&slept)})
	rec = httptest.NewRecorder()
	defer func() {
		if r := recover(); r != nil {
			if r != http.ErrAbortHandler {
				panic(r)
			}
			aborted = true
		}
	}()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec, false, slept
}

// TestGolden replays each transcript of testdata: the file `request` (method and path, then the body) must give the file
// `answer` (status, headers, how it ended, body) byte for byte, twice.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d transcripts (%v), want at least 20", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			line, body, _ := strings.Cut(string(ar.Files[0].Data), "\n")
			method, path, _ := strings.Cut(line, " ")
			got := transcript(t, method, path, strings.TrimSuffix(body, "\n"))
			if again := transcript(t, method, path, strings.TrimSuffix(body, "\n")); !bytes.Equal(got, again) {
				t.Fatal("the same request had two different answers")
			}
			if *update {
				ar.Files = []txtar.File{ar.Files[0], {Name: "answer", Data: got}}
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(ar.Files) != 2 {
				t.Fatal("no answer recorded; run with -update and read the difference")
			}
			if want := ar.Files[1].Data; !bytes.Equal(got, want) {
				t.Errorf("answer differs from the transcript\ngot:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func transcript(t *testing.T, method, path, body string) []byte {
	rec, aborted, slept := do(t, method, path, body)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", rec.Code, rec.Header().Get("Content-Type"))
	for _, name := range []string{practice.Header, "Retry-After"} {
		if v := rec.Header().Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "waited: %v\nended: %s\n\n", slept, map[bool]string{true: "cut", false: "cleanly"}[aborted])
	b.Write(rec.Body.Bytes())
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.Bytes()
}
