package goclient

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/openai/openai-go/v3"

	"homeport/tests/hptest"
)

// TestNothingLeaks (invariant 5): after an answer, a refusal, errors of every kind and a broken stream, neither what the process
// wrote, nor its metrics, nor any file of its data folder holds a prompt, a found value or a key.
func TestNothingLeaks(t *testing.T) {
	const (
		prompt   = "秘密词-qv7x"           // in every request
		resident = "11010519491231002X" // synthetic, with a right checksum
	)
	up := hptest.Practice(t)
	gw := hptest.Start(t, hptest.Config(up))
	e := env{gw: gw}
	for _, text := range []string{"hi", "practice: error 400", "practice: error 401", "practice: error 500", "practice: error in stream", "practice: break stream"} {
		p := ask(text + "\n" + prompt + " " + resident)
		e.client().Chat.Completions.New(t.Context(), p) // its outcome is another test's
		for s := e.client().Chat.Completions.NewStreaming(t.Context(), p); s.Next(); {
		}
	}
	refused := ask(prompt + " " + resident)
	refused.Model = forbidden
	if _, err := e.client().Chat.Completions.New(t.Context(), refused); err == nil {
		t.Error("an overseas target was permitted")
	}
	wrong := ask(prompt)
	wrong.Messages = append(wrong.Messages, openai.ChatCompletionMessageParamUnion{OfUser: &openai.ChatCompletionUserMessageParam{}})
	e.client().Chat.Completions.New(t.Context(), wrong)
	if len(up.Requests()) < 12 {
		t.Fatalf("%d requests reached the upstream, want at least 12", len(up.Requests()))
	}

	res, err := http.Get(gw.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 || !bytes.Contains(metrics, []byte("homeport_")) {
		t.Fatalf("metrics: status %d, %d bytes, %v", res.StatusCode, len(metrics), err)
	}
	gw.Stop(t) // everything is on disk now
	seen := map[string][]byte{"stdout": []byte(gw.Stdout()), "stderr": []byte(gw.Stderr()), "metrics": metrics}
	files := 0
	err = filepath.WalkDir(filepath.Join(gw.Dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		seen[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("read the data folder: %d files, %v", files, err)
	}
	for where, text := range seen {
		for what, secret := range map[string]string{"the prompt": prompt, "the found value": resident, "the app's key": hptest.Key} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
}
