package policy_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"homeport/policy"
)

// The package is pure: it reaches no network, clock, disk or process. time is used for calendar days only.
func TestImports(t *testing.T) {
	allowed := []string{"bytes", "crypto/sha256", "embed", "encoding/binary", "encoding/hex", "encoding/json/jsontext", "encoding/json/v2",
		"errors", "fmt", "hash/maphash", "io/fs", "math", "math/bits", "path", "slices", "strconv", "strings", "sync", "sync/atomic", "time",
		"cel.dev/cel-go/", "github.com/goccy/go-yaml"}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if !slices.ContainsFunc(allowed, func(a string) bool {
				return p == a || strings.HasSuffix(a, "/") && strings.HasPrefix(p, a) || a == "github.com/goccy/go-yaml" && strings.HasPrefix(p, a+"/")
			}) {
				t.Errorf("%s imports %s", name, p)
			}
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.After", "time.Sleep", "time.Local"} {
			if strings.Contains(string(raw), clock) {
				t.Errorf("%s reads the clock: %s", name, clock)
			}
		}
	}
	if seen < 8 {
		t.Fatalf("looked at %d files only", seen)
	}
}

// Unknown by default are five facts and no more.
func TestUnknownByDefault(t *testing.T) {
	var unknown []string
	s := load(t).Schema()
	for _, f := range s.Facts() {
		if f.Assume == nil {
			unknown = append(unknown, f.ID)
		}
	}
	want := []string{"service.audience", "service.opinion", "model.source", "model.filed", "model.place"}
	slices.Sort(unknown)
	slices.Sort(want)
	if !slices.Equal(unknown, want) {
		t.Errorf("unknown by default: %v, want %v", unknown, want)
	}
	if n := len(s.Assumed()); n != len(s.Facts())-5 {
		t.Errorf("%d assumed facts of %d", n, len(s.Facts()))
	}
}

func TestCheck(t *testing.T) {
	s := load(t).Schema()
	for _, c := range []struct {
		name string
		v    any
		want string // "": allowed
	}{
		{"service.audience", "internal", ""},
		{"service.audience", "publc_cn", `did you mean "public_cn"?`},
		{"service.audience", true, "want a string"},
		{"service.audiance", "internal", `did you mean "service.audience"?`},
		{"service.opinion", nil, ""},
		{"service.opinion", "yes", "want true or false"},
		{"model.place", "se", ""},
		{"model.place", []any{"cn", "HK"}, ""},
		{"model.place", []any{}, "empty list"},
		{"model.place", "Sweden", "two-letter"},
		{"operator.place", "cn", ""},
		{"operator.sector", "shipping", ""},
		{"data.pi_persons_ytd", 3, ""},
		{"data.pi_persons_ytd", -3, "0 or more"},
		{"data.pi_persons_ytd", 3.5, "whole number"},
		{"data.pi_persons_ytd", 1e3, ""},
		{"data.pi_persons_ytd", uint64(1) << 63, "whole number"},
		{"model.share_abroad", 0.25, ""},
		{"done.scc_filed", true, ""},
		{"done.scc_filed", "2026-05-01", ""},
		{"done.scc_filed", map[string]any{"state": true, "until": "2026-05-01"}, ""},
		{"done.scc_filed", map[string]any{"state": true, "til": "2026-05-01"}, "want state, on, until"},
		{"done.scc_filed", map[string]any{"on": "2026-05-02", "until": "2026-05-01"}, "until lies before on"},
		{"date", "2026-11-22", ""},
		{"date", "22.11.2026", "want a day"},
	} {
		err := s.Check(c.name, c.v)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// What an event holds is enough to judge again: every vector comes back the same, in the full form and in the brief.
func TestFactsRoundTrip(t *testing.T) {
	e := load(t)
	for i, f := range randomFacts(t, e, 200) {
		f = f.Freeze().Facts()
		if id, _ := e.Schema().ID("data.important"); i%2 == 0 {
			f.Unknown(id)
		}
		for _, brief := range []bool{false, true} {
			raw := f.AppendJSON(nil, brief)
			if !json.Valid(raw) {
				t.Fatalf("vector %d is no JSON", i)
			}
			back, err := e.Schema().ParseFacts(raw)
			if err != nil {
				t.Fatal(err)
			}
			if again := back.AppendJSON(nil, brief); string(again) != string(raw) {
				t.Fatalf("vector %d, brief %v:\n%s\n%s", i, brief, raw, again)
			}
			if a, b := e.Decide(f, policy.Counsel), e.Decide(back, policy.Counsel); !reflect.DeepEqual(a, b) {
				t.Fatalf("vector %d, brief %v: judged %v, then %v", i, brief, a.RuleIDs(), b.RuleIDs())
			}
		}
	}
}

func TestParseFactsRefuses(t *testing.T) {
	s := load(t).Schema()
	for _, raw := range []string{`{"nosuch":{"value":1,"from":"declared"}}`, `{"date":{"value":1,"from":"declared"}}`,
		`{"operator.cii":{"value":true,"from":"guessed"}}`, `{"operator.cii":{"value":true,"from":"unknown"}}`,
		`{"operator.cii":{"value":true,"from":"declared"},"operator.cii":{"value":false,"from":"declared"}}`, `{"operator.cii":{"v":true}}`, `[]`} {
		if _, err := s.ParseFacts([]byte(raw)); err == nil {
			t.Errorf("read %s", raw)
		}
	}
}

// A handle of another type or schema falls on the strict side.
func TestWrongHandles(t *testing.T) {
	e := load(t)
	f := e.Schema().New()
	id, _ := e.Schema().ID("model.modified")
	f.SetBool(id, true, policy.Measured)
	if v, _ := f.Value(id); v != nil {
		t.Error("a string fact took a bool")
	}
	if d := e.Decide(load(t).Schema().New(), policy.Strict); d.Verdict != policy.Block {
		t.Errorf("facts of another schema: %s", d.Verdict)
	}
}

// Provenance says who answered and never changes the answer.
func TestProvenance(t *testing.T) {
	e := load(t)
	f := e.Schema().New()
	id, _ := e.Schema().ID("data.pi_persons_ytd")
	if _, from := f.Value(id); from != policy.Assumed {
		t.Errorf("from %s", from)
	}
	f.SetInt(id, 7, policy.Measured)
	if v, from := f.Value(id); v != int64(7) || from != policy.Measured {
		t.Errorf("%v from %s", v, from)
	}
	if raw := string(f.AppendJSON(nil, true)); raw != `{"data.pi_persons_ytd":{"value":7,"from":"measured"}}` {
		t.Errorf("brief form %s", raw)
	}
	important, _ := e.Schema().ID("data.important")
	f.Unknown(important)
	if raw := string(f.AppendSetJSON(nil)); raw != `"data.pi_persons_ytd":{"value":7,"from":"measured"},"data.important":{"value":null,"from":"unknown"}` {
		t.Errorf("what was set: %s", raw)
	}
}

func TestCitationsInWords(t *testing.T) {
	e := load(t)
	found := map[policy.Basis]bool{}
	for _, r := range e.Rules() {
		for _, c := range r.Cites {
			found[c.Basis] = true
			if !strings.Contains(c.ZH(), c.Title.ZH) || !strings.Contains(c.EN(), c.Title.EN) || c.URL == "" {
				t.Errorf("row %s: citation %s has no title or address", r.Row, c)
			}
			if c.Basis == policy.Practice && !strings.Contains(c.ZH(), "实务") {
				t.Errorf("row %s: %s does not say that it is practice", r.Row, c)
			}
		}
		if r.Row == "X14" && r.Cites[0].ZH() != "《促进和规范数据跨境流动规定》第5条" {
			t.Errorf("X14 cites %s", r.Cites[0].ZH())
		}
	}
	if len(found) != 3 {
		t.Errorf("bases found: %v", found)
	}
}
