package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homeport/policy"
)

// Without a file the practice upstream answers, a key is made and shown, what is assumed is printed, and the lines to paste
// hold address and key. Only the ports are changed here: the usual ones may be taken.
func TestServeWithoutAFile(t *testing.T) {
	dir, err := os.MkdirTemp("", "hp") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Chdir(dir)
	reg, err := openCatalog()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.Load()
	if err != nil {
		t.Fatal(err)
	}
	for lang, want := range map[string][]string{
		"zh": {"已启动", "没有发现供应商密钥或本机模型，由内置练习上游作答", "没有配置文件：运营者所在地 CN", "只显示这一次"},
		"en": {"is running", "the built-in practice upstream answers", "no configuration file: operator in CN", "in memory only, new at each start"},
	} {
		t.Run(lang, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			var out, logs output
			e := &env{ctx: ctx, stdout: &out, stderr: &logs, configPath: "homeport.yaml", lang: lang,
				getenv: func(name string) string { return map[string]string{"HOMEPORT_DETECT": "off"}[name] }}
			l, err := loadConfig(e, reg, engine.Schema(), true)
			if err != nil || l.fromFile || len(l.found) > 0 {
				t.Fatalf("from a file %v, %d found, %v", l.fromFile, len(l.found), err)
			}
			if l.cfg.Listen != "127.0.0.1:8787" || l.cfg.Admin.Listen != "127.0.0.1:8788" || l.cfg.Data != "homeport-data" {
				t.Errorf("listens on %s and %s, data in %s", l.cfg.Listen, l.cfg.Admin.Listen, l.cfg.Data)
			}
			l.cfg.Listen, l.cfg.Admin.Listen, l.cfg.Data = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(dir, lang)
			l.cfg.Journal.MaxWait = 20 * time.Second
			ended := make(chan int, 1)
			go func() { ended <- report(&logs, (&serveCmd{Grace: time.Second}).run(e, reg, engine, l)) }()
			defer func() {
				cancel()
				if code := <-ended; code != exitDone {
					t.Errorf("ended with %d: %s", code, logs.String())
				}
			}()
			base := out.await(t, `base URL +(\S+)\n`, ended)
			key := out.await(t, `(?:app key|应用密钥) +(sk-hp-\S+) `, ended)
			out.await(t, `(console\.log)`, ended) // the last of the lines to paste
			for _, s := range append(want, "curl "+base+"/chat/completions", `base_url="`+base+`", api_key="`+key+`"`, `baseURL: "`+base+`", apiKey: "`+key+`"`) {
				if !strings.Contains(out.String(), s) {
					t.Errorf("the banner lacks %q", s)
				}
			}
			req, err := http.NewRequest(http.MethodPost, base+"/chat/completions", bytes.NewReader([]byte(`{"model":"gpt-4","messages":[{"role":"user","content":"hello"}]}`)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+key)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "[practice]") {
				t.Errorf("answered %d, %v", resp.StatusCode, err)
			}
			if strings.Contains(logs.String(), key) {
				t.Error("the key is in the log")
			}
		})
	}
}
