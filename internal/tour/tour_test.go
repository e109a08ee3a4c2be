package tour_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"homeport/internal/config"
	"homeport/internal/tour"
	"homeport/policy"
	"homeport/registry"
)

func options(t *testing.T) tour.Options {
	t.Helper()
	reg, err := registry.Load("practice")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.Load()
	if err != nil {
		t.Fatal(err)
	}
	return tour.Options{Registry: reg, Engine: engine, Version: "test", Lang: "zh", Config: config.Options{
		Getenv:       func(string) string { return "" },
		KnownCatalog: func(id string) bool { return slices.Contains(reg.IDs(), id) },
		CatalogIDs:   reg.IDs,
		Routable:     func(string) bool { return true },
		CatalogHosts: func(id string) []string {
			p, _ := reg.Provider(id)
			return p.Hosts
		},
		CheckFact:    engine.Schema().Check,
		PriceKnown:   func(*config.Provider, string) bool { return true },
		FileReadable: func(string) error { return nil },
	}}
}

// take takes the tour with an empty temporary folder, which must be empty again afterwards.
func take(t *testing.T) *tour.Report {
	t.Helper()
	dir, err := os.MkdirTemp("", "hp") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	r, err := tour.Run(context.Background(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("the tour left %d files behind, %v", len(left), err)
	}
	return r
}

func TestTour(t *testing.T) {
	r := take(t)
	for _, d := range r.Differences {
		t.Error(d.EN)
	}
	if !r.OK || len(r.Steps) != 4 {
		t.Fatalf("ok %v, %d steps", r.OK, len(r.Steps))
	}
	ids := map[string]bool{}
	for i, s := range r.Steps {
		ids[s.EventID] = true
		for _, j := range s.Targets {
			if !j.Replayed {
				t.Errorf("step %d: %s is not judged again alike", i+1, j.ID)
			}
			for _, why := range j.Rules {
				if len(why.Citations) == 0 || why.Do.ZH == "" || why.Do.EN == "" {
					t.Errorf("step %d: rule %s has no citation or nothing to do", i+1, why.Rule)
				}
			}
		}
	}
	// How many persons were exported this year nobody has declared: unknown is said, and the strict branch applies (invariant 8).
	abroad := r.Steps[1].Targets[0]
	if len(abroad.Needs) != 1 || abroad.Needs[0].Fact != "data.pi_persons_ytd" || abroad.Needs[0].Why.ZH == "" || abroad.Verdict != "block" {
		t.Errorf("an undeclared count: %s, %d facts needed", abroad.Verdict, len(abroad.Needs))
	}
	if len(ids) != 4 {
		t.Errorf("%d event ids for 4 requests", len(ids))
	}
	for _, lang := range []string{"zh", "en"} {
		var b strings.Builder
		if err := r.Write(&b, lang); err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(b.String(), "\n") {
			if w := tour.Width(line); w > tour.Columns {
				t.Errorf("%s: line %d takes %d columns", lang, n+1, w)
			}
		}
		for _, want := range []string{"usa/practice", "110105********001*", "policy_denied", r.Steps[2].EventID, "[ ok ]"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q", lang, want)
			}
		}
		if strings.Contains(b.String(), tour.WithChecksum("11010519000101001")) {
			t.Errorf("%s: the identity number is shown whole", lang)
		}
		for _, bad := range []string{"[FAIL]", "compliant", "合规"} {
			if strings.Contains(b.String(), bad) {
				t.Errorf("%s: %q", lang, bad)
			}
		}
	}
}

// What came out otherwise than told is said, in both languages.
func TestDifferences(t *testing.T) {
	r := take(t)
	for name, spoil := range map[string]func(r *tour.Report){
		"status and target": func(r *tour.Report) { r.Retell(0, 201, "china/practice") },
		"no event":          func(r *tour.Report) { r.Steps[1].Event = nil; r.Compare() },
		"no conclusion":     func(r *tour.Report) { r.Steps[1].Conclude = nil; r.Compare() },
		"sent though refused": func(r *tour.Report) {
			c := *r.Steps[2].Conclude
			c.Attempts = 1
			r.Steps[2].Conclude = &c
			r.Compare()
		},
		"nothing forbids":  func(r *tour.Report) { r.Steps[2].Targets[0].Rules[1].Forbids = false; r.Compare() },
		"half a stream":    func(r *tour.Report) { r.Steps[3].Chunks = 0; r.Compare() },
		"silent practice":  func(r *tour.Report) { r.Steps[3].Answer = "hello"; r.Compare() },
		"text in journal":  func(r *tour.Report) { r.Journal.TextFree = false; r.Compare() },
		"not replayed":     func(r *tour.Report) { r.Journal.Replayed = false; r.Compare() },
		"damaged journal":  func(r *tour.Report) { r.Journal.Verified = false; r.Compare() },
		"decision missing": func(r *tour.Report) { r.Journal.Decisions--; r.Compare() },
	} {
		t.Run(name, func(t *testing.T) {
			c := *r
			c.Steps = slices.Clone(r.Steps)
			c.Steps[2].Targets = slices.Clone(r.Steps[2].Targets)
			c.Steps[2].Targets[0].Rules = slices.Clone(r.Steps[2].Targets[0].Rules)
			spoil(&c)
			if c.OK || len(c.Differences) == 0 {
				t.Fatal("nobody noticed")
			}
			for _, lang := range []string{"zh", "en"} {
				var b strings.Builder
				if err := c.Write(&b, lang); err != nil {
					t.Fatal(err)
				}
				want := c.Differences[0].ZH
				if lang == "en" {
					want = c.Differences[0].EN
				}
				if strip := strings.NewReplacer("\n", "", " ", ""); !strings.Contains(strip.Replace(b.String()), strip.Replace(want)) {
					t.Errorf("%s: the difference is not told", lang)
				}
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Setenv("TMPDIR", dir)
	if _, err := tour.Run(ctx, options(t)); err == nil {
		t.Error("a cancelled tour is no tour")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Error("files left behind")
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 8, []string{"one two", "three"}},
		{"一二三四五", 4, []string{"一二", "三四", "五"}},
		{"一二，三", 4, []string{"一", "二，", "三"}}, // a comma clings to what is before it
		{"一（二）三", 6, []string{"一", "（二）", "三"}},
		{"规则 X11 停止", 8, []string{"规则 X11", "停止"}},
		{"abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"见 homeport 一", 10, []string{"见", "homeport", "一"}},
	} {
		got := tour.Wrap(c.text, c.limit)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q at %d: %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

// The example of GB 11643-1999 itself.
func TestChecksum(t *testing.T) {
	if got := tour.WithChecksum("11010519491231002"); got != "11010519491231002X" {
		t.Error(got)
	}
}
