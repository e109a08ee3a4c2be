package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeport/audit"
	"homeport/internal/config"
	"homeport/internal/gateway"
	"homeport/internal/limit"
	"homeport/internal/store/sqlite"
	"homeport/internal/wiring"
	"homeport/policy"
	"homeport/registry"
)

// patience bounds every wait of these tests; no test measures time by it.
const patience = 20 * time.Second

var (
	theEngine  = sync.OnceValues(policy.Load)
	theCatalog = sync.OnceValues(func() (*registry.Registry, error) { return registry.Load("practice") })
)

func rules(t testing.TB) (*policy.Engine, *registry.Registry) {
	t.Helper()
	engine, err := theEngine()
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := theCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return engine, catalog
}

// load reads a configuration as serve does; a bad one is an error.
func load(t testing.TB, yaml string) (*config.Config, error) {
	t.Helper()
	engine, catalog := rules(t)
	ids := catalog.IDs()
	cfg, problems := config.Load("homeport.yaml", []byte(yaml), config.Options{
		Getenv:       func(string) string { return "" },
		KnownCatalog: func(id string) bool { return slices.Contains(ids, id) },
		CatalogIDs:   func() []string { return ids },
		CheckFact:    engine.Schema().Check,
	})
	if cfg == nil {
		return nil, fmt.Errorf("%v", problems)
	}
	return cfg, nil
}

// appKey is the key of the app "internal", publicKey that of "public".
const (
	appKey    = "sk-test-internal-app-key-0001"
	publicKey = "sk-test-public-app-key-00002"
	homeKey   = "upstream-key-home-4d1f"
	awayKey   = "upstream-key-abroad-9c3e"
)

// setup is a configuration with a domestic and an overseas target, each with its upstream: "gpt-4o" may go to both, the
// overseas one first; "home-only" and "abroad-only" say what they are.
type setup struct {
	home, abroad *upstream
	provider     string // further members of each provider
	app          string // further members of each app
	top          string // further members at the top
	routes       string // further routes
}

func (s setup) yaml(dir string) string {
	home, abroad := "http://127.0.0.1:1", "http://127.0.0.1:1" // nobody listens there
	if s.home != nil {
		home = s.home.url
	}
	if s.abroad != nil {
		abroad = s.abroad.url
	}
	provider := s.provider
	if provider == "" {
		provider = "retries: 0, breaker: false"
	}
	return fmt.Sprintf(`operator: {name: 示例科技, place: CN, cii: false, sector: general}
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
data: %[1]q
journal: {max_wait: 5s}
%[2]s
providers:
  - {id: home, catalog: custom, base_url: %[3]s/v1, key: %[4]s, facts: {source: domestic_api, place: [CN], filed: true, filing_no: Example-Filing-0001}, %[5]s}
  - {id: abroad, catalog: custom, base_url: %[6]s/v1, key: %[7]s, facts: {source: azure_global, place: [SE], filed: false}, %[5]s}
  - {id: unknown, catalog: custom, base_url: %[6]s/v1, key: %[7]s, %[5]s}
  - {id: plain, catalog: practice, base_url: %[3]s/v1, key: %[4]s, facts: {source: domestic_api, place: [CN], filed: true}, %[5]s}
routes:
  - {model: plain-only, to: [plain/m]}
  - {model: gpt-4o, to: [abroad/big, home/small]}
  - {model: home-only, to: [home/small]}
  - {model: home-twice, to: [home/small, home/other]}
  - {model: abroad-only, to: [abroad/big]}
  - {model: unknown-only, to: [unknown/m]}
  - {model: "text-embedding-*", to: [abroad/embed, home/embed]}
%[8]s
apps:
  - {id: internal, keys: [%[9]s], service: {audience: internal, opinion: false, outputs: [text]} %[10]s}
  - {id: public, keys: [%[11]s], service: {audience: public_cn, opinion: true, outputs: [text]}, done: {registration: true, algo_filing: true} %[10]s}
`, dir, s.top, home, homeKey, provider, abroad, awayKey, s.routes, appKey, s.app, publicKey)
}

// small takes little disk in advance, which tests would read again and again.
var small = audit.Options{SegmentBytes: 1 << 20, MaxWait: 5 * time.Second}

// instance is a gateway under test.
type instance struct {
	URL    string // of the data plane
	Admin  string
	Dir    string // data folder
	Logs   *logs
	Server *wiring.Server // nil for one made by bare, and once closed
}

// start runs the whole server on loopback until the test ends.
func start(t testing.TB, s setup) *instance {
	t.Helper()
	dir := t.TempDir()
	cfg, err := load(t, s.yaml(dir))
	if err != nil {
		t.Fatal(err)
	}
	engine, catalog := rules(t)
	g := &instance{Dir: dir, Logs: &logs{}}
	g.Server, err = wiring.Start(context.Background(), cfg, wiring.Options{Registry: catalog, Engine: engine, Version: "test", SegmentBytes: small.SegmentBytes,
		Log: slog.New(slog.NewJSONHandler(g.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close(t) })
	g.URL, g.Admin = "http://"+g.Server.Data, "http://"+g.Server.Admin
	return g
}

// close ends the server; a second call does nothing.
func (g *instance) close(t testing.TB) {
	if g.Server == nil {
		return
	}
	http.DefaultClient.CloseIdleConnections()
	if err := g.Server.Close(patience); err != nil {
		t.Errorf("close: %v", err)
	}
	g.Server = nil
}

// bare runs the data plane alone, with a journal and time limits of the test's choice. wrap may be nil.
func bare(t testing.TB, s setup, o gateway.Options, wrap func(gateway.Journal) gateway.Journal) *instance {
	t.Helper()
	dir := t.TempDir()
	cfg, err := load(t, s.yaml(dir))
	if err != nil {
		t.Fatal(err)
	}
	engine, catalog := rules(t)
	g := &instance{Dir: dir, Logs: &logs{}}
	store, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := audit.Open(wiring.JournalDir(dir), small)
	if err != nil {
		t.Fatal(err)
	}
	built, err := wiring.Build(context.Background(), cfg, &wiring.World{Registry: catalog, Engine: engine, Store: store, Now: time.Now,
		Version: "test", Limiter: limit.New(wiring.Limits(cfg), time.Now, nil)})
	if err != nil {
		t.Fatal(err)
	}
	o.Journal = journal
	if wrap != nil {
		o.Journal = wrap(journal)
	}
	o.Log = slog.New(slog.NewJSONHandler(g.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv := httptest.NewServer(gateway.New(built.Pipeline, o))
	g.URL = srv.URL
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		built.Close()
		if err := errors.Join(journal.Close(), store.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return g
}

// logs is what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is a whole HTTP answer.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// fault is the error member of an answer.
type fault struct {
	Message, Type string
	Param, Code   *string
	Homeport      json.RawMessage
}

func (a answer) fault(t testing.TB) fault {
	t.Helper()
	var e struct{ Error *fault }
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || e.Error == nil {
		t.Fatalf("not an OpenAI error: %d %s", a.Status, a.Body)
	}
	return *e.Error
}

func (a answer) code(t testing.TB) string {
	t.Helper()
	if c := a.fault(t).Code; c != nil {
		return *c
	}
	return ""
}

// do sends a request with the app's key; header pairs replace and add, an empty value removes.
func (g *instance) do(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	res := g.open(t, context.Background(), method, path, body, header...)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		b = fmt.Appendf(b, "\n!! %v", err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (g *instance) open(t testing.TB, ctx context.Context, method, path, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+appKey)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Del(header[i]); header[i+1] != "" {
			req.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

func (g *instance) chat(t testing.TB, body string, header ...string) answer {
	t.Helper()
	return g.do(t, "POST", "/v1/chat/completions", body, header...)
}

// ask is a chat request of one user message.
func ask(model, text string, more ...string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, text, strings.Join(more, ""))
}

// event is one record of the journal.
type event map[string]any

func (e event) str(name string) string { s, _ := e[name].(string); return s }

func (e event) sub(name string) event { m, _ := e[name].(map[string]any); return m }

func (e event) strings(name string) (out []string) {
	list, _ := e[name].([]any)
	for _, v := range list {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

func (g *instance) journal(t testing.TB) []event { return g.about(t, "") }

// about gives the events that hold id.
func (g *instance) about(t testing.TB, id string) (out []event) {
	t.Helper()
	err := audit.Read(wiring.JournalDir(g.Dir), 0, func(_ uint64, payload []byte) error {
		if !bytes.Contains(payload, []byte(id)) {
			return nil
		}
		var e event
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// trail is the events of one request.
type trail struct {
	decision   event
	attempts   []event
	conclusion event
}

// trail waits for the conclusion of the request whose id the answer carried, and checks that there is exactly one.
func (g *instance) trail(t testing.TB, id string) trail {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var tr trail
		n := 0
		for _, e := range g.about(t, id) {
			switch {
			case e.str("kind") == "decision" && e.str("id") == id:
				if tr.decision != nil {
					t.Fatalf("two decisions %s", id)
				}
				tr.decision = e
			case e.str("kind") == "attempt" && e.str("ref") == id:
				if n > 0 {
					t.Fatal("an attempt follows the conclusion")
				}
				tr.attempts = append(tr.attempts, e)
			case e.str("kind") == "conclusion" && e.str("ref") == id:
				tr.conclusion = e
				n++
			}
		}
		if n > 1 || n == 1 && tr.decision == nil {
			t.Fatalf("%d conclusions and decision %v for %s", n, tr.decision, id)
		}
		if n == 1 {
			return tr
		}
		if time.Now().After(deadline) {
			t.Fatalf("no conclusion for %s: %v", id, tr)
		}
	}
}

func (a answer) id() string { return a.Header.Get("X-Request-Id") }

// decisions counts the decisions of the journal.
func (g *instance) decisions(t testing.TB) int {
	t.Helper()
	n := 0
	for _, e := range g.journal(t) {
		if e.str("kind") == "decision" {
			n++
		}
	}
	return n
}

// files gives everything in the data folder but the state, for looking for what must not be there.
func (g *instance) files(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		b.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// synthetic resident number: born 1908, the check character computed.
const residentID = "110000190801011232"
