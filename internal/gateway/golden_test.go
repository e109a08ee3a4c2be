package gateway_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what was seen into testdata")

var eventID = regexp.MustCompile(`hp_[0-9A-Z]{26}`)

// Each file of testdata is one exchange in five parts: what the client sends, what the upstream is sent, what the upstream
// answers, what the client gets, and what the events say. The upstream's bytes come in pieces of 1, 7 and 4096: the rest is
// the same (attack case E6). "ends: crlf" before the first part gives the upstream's lines that end, "cut: yes" cuts its
// connection at the end.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d transcripts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := func(name string) *txtar.File {
				for i := range a.Files {
					if a.Files[i].Name == name {
						return &a.Files[i]
					}
				}
				t.Fatalf("no part %q", name)
				return nil
			}
			comment := string(a.Comment)
			var served string
			size := 1
			up := newUpstream(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.Header().Set("Content-Type", "text/event-stream")
				for at := 0; at < len(served); at += size {
					io.WriteString(w, served[at:min(len(served), at+size)])
					http.NewResponseController(w).Flush()
				}
				if strings.Contains(comment, "cut: yes") {
					panic(http.ErrAbortHandler)
				}
			})
			g := start(t, setup{home: up})
			served = string(part("upstream in").Data)
			if strings.Contains(comment, "ends: crlf") {
				served = strings.ReplaceAll(served, "\n", "\r\n")
			}
			for _, size = range []int{1, 7, 4096} {
				got := g.chat(t, strings.TrimSuffix(string(part("client in").Data), "\n"))
				tr := g.trail(t, got.id())
				c := tr.conclusion
				var out strings.Builder
				fmt.Fprintf(&out, "%d %s\n", got.Status, got.Header.Get("Content-Type"))
				for _, h := range []string{"X-Homeport-Target", "X-Homeport-Place", "X-Homeport-Filing", "X-Homeport-Verdict", "X-Homeport-Adapted", "Cache-Control", "X-Accel-Buffering"} {
					if v := got.Header.Get(h); v != "" {
						fmt.Fprintf(&out, "%s: %s\n", h, v)
					}
				}
				fmt.Fprintf(&out, "\n%s", eventID.ReplaceAllString(got.Body, "hp_ID"))
				u := c.sub("usage")
				events := fmt.Sprintf("decision: chosen %s, verdict %s, stream %v, edits %v\nconclusion: %s%s, status %v, attempts %v, usage %v+%v=%v %s, finish %q, adapted %v\n",
					tr.decision.str("chosen"), tr.decision.str("verdict"), tr.decision["stream"], tr.decision["edits"], c.str("outcome"),
					strings.TrimSuffix(" "+c.str("error"), " "), c["status"], c["attempts"], u["prompt"], u["completion"], u["total"], u.str("source"), c.str("finish"), c.strings("adapted"))
				for name, seen := range map[string]string{"upstream out": up.last(t).Body + "\n", "client out": out.String(), "events": events} {
					if *update && size == 1 {
						part(name).Data = []byte(seen)
						continue
					}
					if want := string(part(name).Data); strings.TrimRight(seen, "\n") != strings.TrimRight(want, "\n") {
						t.Errorf("pieces of %d: %s is\n%s\nwant\n%s", size, name, seen, want)
					}
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
