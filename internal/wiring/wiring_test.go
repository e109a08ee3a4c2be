package wiring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/audit"
	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/wiring"
	"homeport/policy"
	"homeport/registry"
)

const patience = 20 * time.Second

const key = "sk-test-wiring-app-key-00001"

func options(t testing.TB) wiring.Options {
	t.Helper()
	engine, err := policy.Load()
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := registry.Load("practice")
	if err != nil {
		t.Fatal(err)
	}
	return wiring.Options{Registry: catalog, Engine: engine, Version: "test", Log: slog.New(slog.DiscardHandler), SegmentBytes: 1 << 20}
}

func parse(t testing.TB, o wiring.Options, yaml string) *config.Config {
	t.Helper()
	ids := o.Registry.IDs()
	cfg, problems := config.Load("homeport.yaml", []byte(yaml), config.Options{Getenv: func(string) string { return "" },
		KnownCatalog: func(id string) bool { return slices.Contains(ids, id) }, CheckFact: o.Engine.Schema().Check})
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg
}

func practice(dir, more string) string {
	return fmt.Sprintf(`listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
data: %q
journal: {max_wait: 5s}
providers:
  - {id: try, catalog: practice}
routes:
  - {model: "*", to: ["try/*"]}
apps:
  - {id: default, keys: [%s], service: {audience: internal, opinion: false} %s}
`, dir, key, more)
}

func start(t testing.TB, o wiring.Options, yaml string) *wiring.Server {
	t.Helper()
	s, err := wiring.Start(context.Background(), parse(t, o, yaml), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t testing.TB, s *wiring.Server) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := s.Close(patience); err != nil {
		t.Error(err)
	}
}

func send(t testing.TB, method, url, auth, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+auth)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b), res.Header
}

const hello = `{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}`

// The practice upstream answers without a key of any provider, and says in each answer that it is practice.
func TestPracticeAnswers(t *testing.T) {
	s := start(t, options(t), practice(t.TempDir(), ""))
	defer stop(t, s)
	status, body, header := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", key, hello)
	if status != 200 || !strings.Contains(strings.ToLower(body), "practice") || !strings.HasPrefix(header.Get("X-Homeport-Target"), "try/") {
		t.Errorf("%d %s %v", status, body, header)
	}
}

// Attack case B11: the admin secret is made at the first start on a folder, shown once, and opens the admin plane only.
func TestAdminSecret(t *testing.T) {
	dir := t.TempDir()
	o := options(t)
	s := start(t, o, practice(dir, ""))
	secret := s.AdminSecret
	if len(secret) < 32 {
		t.Fatalf("secret of %d characters", len(secret))
	}
	check := func(s *wiring.Server) {
		t.Helper()
		if status, body, _ := send(t, "GET", "http://"+s.Admin+"/api/v1/status", secret, ""); status != 200 || !strings.Contains(body, `"default"`) {
			t.Errorf("status: %d %s", status, body)
		}
		for _, wrong := range []string{"", "x", key, secret + "x"} {
			if status, _, _ := send(t, "GET", "http://"+s.Admin+"/api/v1/status", wrong, ""); status != 401 {
				t.Errorf("a wrong secret: %d", status)
			}
		}
		if status, _, _ := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", secret, hello); status != 401 {
			t.Errorf("the admin secret on the data plane: %d", status)
		}
		if status, _, _ := send(t, "GET", "http://"+s.Data+"/metrics", key, ""); status != 404 {
			t.Errorf("metrics on the data plane: %d", status)
		}
	}
	check(s)
	stop(t, s)
	s = start(t, o, practice(dir, ""))
	defer stop(t, s)
	if s.AdminSecret != "" {
		t.Error("a second start shows a secret")
	}
	check(s)
}

// One data folder has one server; the second says so and leaves the first alone.
func TestOneServerPerFolder(t *testing.T) {
	dir := t.TempDir()
	o := options(t)
	s := start(t, o, practice(dir, ""))
	defer stop(t, s)
	if _, err := wiring.Start(context.Background(), parse(t, o, practice(dir, "")), o); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second server: %v", err)
	}
	if status, _, _ := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", key, hello); status != 200 {
		t.Errorf("the first: %d", status)
	}
}

// A start that fails leaves nothing open: the same folder starts at once when the cause is gone.
func TestFailedStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	o := options(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.Replace(practice(dir, ""), "listen: 127.0.0.1:0\nadmin", "listen: "+l.Addr().String()+"\nadmin", 1)
	if _, err := wiring.Start(context.Background(), parse(t, o, taken), o); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a taken port: %v", err)
	}
	l.Close()
	stop(t, start(t, o, taken))
}

// By invariant 7, reloads are acts of administration, with the digests before and after; one that fails changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	o := options(t)
	next := func() (*config.Config, error) { return nil, errors.New("line 3: unknown key") }
	var mu sync.Mutex
	o.Load = func() (*config.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return next()
	}
	s := start(t, o, practice(dir, ""))
	defer stop(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := control.Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := s.Config().Digest()
	var refused *control.Error
	if err := c.Call(ctx, control.Reload, nil, nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "line 3") || s.Config().Digest() != before {
		t.Fatalf("a bad reload: %v", err)
	}
	mu.Lock()
	next = func() (*config.Config, error) {
		return parse(t, o, practice(dir, ", limits: {requests_per_minute: 1}")), nil
	}
	mu.Unlock()
	if err := c.Call(ctx, control.Reload, nil, nil); err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Data + "/v1/chat/completions"
	first, _, _ := send(t, "POST", url, key, hello)
	second, _, _ := send(t, "POST", url, key, hello)
	if first != 200 || second != 429 {
		t.Errorf("limits of the new configuration: %d, %d", first, second)
	}
	var acts []string
	var change string
	read(t, dir, func(e map[string]any) {
		if e["kind"] == "admin" {
			acts = append(acts, e["what"].(string))
			if e["what"] == "config.reload" {
				change = fmt.Sprint(e["changed"])
			}
		}
	})
	if !slices.Equal(acts, []string{"process.start", "config.reload"}) || !strings.Contains(change, before) || !strings.Contains(change, s.Config().Digest()) {
		t.Errorf("acts %v, change %s", acts, change)
	}
	_, page, _ := send(t, "GET", "http://"+s.Admin+"/metrics", "", "")
	for _, want := range []string{`homeport_config_reloads_total{result="ok"} 1`, `homeport_config_reloads_total{result="failed"} 1`} {
		if !strings.Contains(page, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func read(t testing.TB, dir string, visit func(e map[string]any)) {
	t.Helper()
	err := audit.Read(wiring.JournalDir(dir), 0, func(_ uint64, payload []byte) error {
		var e map[string]any
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		visit(e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Attack case G7: a decision that an earlier process left open is concluded at the next start as unknown, once.
func TestUnfinishedDecisions(t *testing.T) {
	dir := t.TempDir()
	j, err := audit.Open(wiring.JournalDir(dir), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	id := audit.NewID(now)
	d := audit.Decision{Head: audit.Head{ID: id, Time: now, App: "default"}, Op: "chat.completions", Verdict: "allow", Chosen: "try/practice"}
	if err := errors.Join(j.Append(context.Background(), audit.AppendDecision(nil, &d)), j.Close()); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	for _, want := range []int{1, 0} {
		s := start(t, o, practice(dir, ""))
		if s.Unfinished != want {
			t.Errorf("unfinished %d, want %d", s.Unfinished, want)
		}
		stop(t, s)
	}
	n := 0
	read(t, dir, func(e map[string]any) {
		if e["kind"] == "conclusion" && e["ref"] == id {
			n++
			if e["outcome"] != audit.OutcomeProcessEnded || e["usage"].(map[string]any)["source"] != "none" {
				t.Errorf("%v", e)
			}
		}
	})
	if n != 1 {
		t.Errorf("%d conclusions", n)
	}
}

// A key given to Start is held in memory only.
func TestKeyInMemory(t *testing.T) {
	o := options(t)
	o.AppKey = "sk-test-only-in-memory-canary"
	dir := t.TempDir()
	s := start(t, o, practice(dir, ""))
	defer stop(t, s)
	if status, _, _ := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", o.AppKey, hello); status != 200 {
		t.Errorf("%d", status)
	}
	if err := s.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", o.AppKey, hello); status != 200 {
		t.Errorf("after a rebuild: %d", status)
	}
}

// Build names what is at fault, never a credential.
func TestBuildErrors(t *testing.T) {
	o := options(t)
	for _, test := range []struct{ provider, says string }{
		{"{id: p, catalog: custom, key: canary-key}", "base_url"},
		{"{id: p, catalog: dashscope}", "key"},
		{"{id: p, catalog: deepseek, key: canary-key, proxy: 'ftp://canary-key@127.0.0.1'}", ""},
	} {
		yaml := strings.Replace(practice(t.TempDir(), ""), "{id: try, catalog: practice}", test.provider, 1)
		yaml = strings.Replace(yaml, "try/*", "p/m", 1)
		ids := o.Registry.IDs()
		cfg, problems := config.Load("homeport.yaml", []byte(yaml), config.Options{KnownCatalog: func(id string) bool { return slices.Contains(ids, id) }})
		text := fmt.Sprint(problems)
		if cfg != nil {
			s, err := wiring.Start(context.Background(), cfg, o)
			if err == nil {
				stop(t, s)
				t.Errorf("%s starts", test.provider)
				continue
			}
			text = err.Error()
		}
		if !strings.Contains(text, test.says) || strings.Contains(text, "canary") {
			t.Errorf("%s: %s", test.provider, text)
		}
	}
}

// Names behind a "*" reach the provider's own model; what no catalog and no route names is no metric label.
func TestModelsBehindAStar(t *testing.T) {
	o := options(t)
	s := start(t, o, practice(t.TempDir(), ""))
	defer stop(t, s)
	for i := range 5 {
		body := strings.Replace(hello, "gpt-4o", fmt.Sprintf("made-up-%d", i), 1)
		if status, text, _ := send(t, "POST", "http://"+s.Data+"/v1/chat/completions", key, body); status != 200 {
			t.Errorf("%d %s", status, text)
		}
	}
	_, page, _ := send(t, "GET", "http://"+s.Admin+"/metrics", "", "")
	if strings.Contains(page, "made-up") {
		t.Error("a client's model name is a label")
	}
}

// Close drains: readiness says no while what is in flight ends.
func TestCloseRecordsTheStop(t *testing.T) {
	dir := t.TempDir()
	s := start(t, options(t), practice(dir, ""))
	stop(t, s)
	var last map[string]any
	read(t, dir, func(e map[string]any) { last = e })
	if last["what"] != "process.stop" {
		t.Errorf("%v", last)
	}
	if _, err := net.Dial("tcp", s.Data); err == nil {
		t.Error("still listening")
	}
	if matches, _ := filepath.Glob(filepath.Join(dir, control.SocketName)); len(matches) > 0 {
		t.Error("the socket is left")
	}
	if _, err := audit.Verify(wiring.JournalDir(dir)); err != nil {
		t.Error(err)
	}
}
