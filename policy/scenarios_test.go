package policy_test

import (
	"os"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"homeport/policy"
)

type scenario struct {
	ID      string         `yaml:"id"`
	Profile string         `yaml:"profile"`
	Facts   map[string]any `yaml:"facts"`
	Verdict string         `yaml:"verdict"`
	Export  string         `yaml:"export"`
	Rules   []string       `yaml:"rules"`
	Cites   []string       `yaml:"cites"`
	Needs   *[]string      `yaml:"needs"`
}

func readScenarios(t testing.TB) []scenario {
	t.Helper()
	raw, err := os.ReadFile("testdata/scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Scenarios []scenario `yaml:"scenarios"`
	}
	if err := yaml.UnmarshalWithOptions(raw, &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(doc.Scenarios) < 50 {
		t.Fatalf("found %d scenarios only", len(doc.Scenarios))
	}
	return doc.Scenarios
}

func TestScenarios(t *testing.T) {
	e := load(t)
	for _, s := range readScenarios(t) {
		t.Run(s.ID, func(t *testing.T) {
			p, err := policy.ParseProfile(s.Profile)
			if err != nil {
				t.Fatal(err)
			}
			f, err := e.Schema().FromMap(s.Facts, policy.Declared)
			if err != nil {
				t.Fatal(err)
			}
			d := e.Decide(f, p)
			if d.Verdict.String() != s.Verdict {
				t.Errorf("verdict %s, want %s", d.Verdict, s.Verdict)
			}
			if s.Export != "" && d.Outcome("X") != s.Export {
				t.Errorf("export %s, want %s", d.Outcome("X"), s.Export)
			}
			for _, r := range s.Rules {
				if !slices.Contains(d.RuleIDs(), r) {
					t.Errorf("rule %s is missing", r)
				}
			}
			var cites []string
			for _, r := range d.Rules {
				for _, c := range r.Cites {
					cites = append(cites, c.String(), c.ID)
				}
			}
			for _, c := range s.Cites {
				if !slices.Contains(cites, c) {
					t.Errorf("citation %s is missing", c)
				}
			}
			if s.Needs != nil && !slices.Equal(d.Needs, *s.Needs) && len(d.Needs)+len(*s.Needs) > 0 {
				t.Errorf("needs %v, want %v", d.Needs, *s.Needs)
			}
			if t.Failed() {
				for _, r := range d.Rules {
					t.Logf("%s %s %s unknown=%v %v", r.Row, r.Outcome, r.Verdict, r.Unknown, r.Needs)
				}
			}
		})
	}
}

// The lines of table X, in persons: counsel profile, internal use, model abroad, nothing else known of the data.
func TestBoundaries(t *testing.T) {
	e := load(t)
	for _, v := range []struct {
		pi, sensitive int
		rule, export  string
		warn          bool
	}{
		{0, 0, "X6", "exempt", false},
		{1, 0, "X14", "exempt", false},
		{79_999, 0, "X14", "exempt", false},
		{80_000, 0, "X14", "exempt", true},
		{99_999, 0, "X14", "exempt", true},
		{100_000, 0, "X13", "scc_or_cert", false},
		{999_999, 0, "X13", "scc_or_cert", false},
		{1_000_000, 0, "X11", "security_assessment", false},
		{1, 1, "X12", "scc_or_cert", false},
		{9_999, 9_999, "X12", "scc_or_cert", false},
		{10_000, 10_000, "X11", "security_assessment", false},
		{1_000_000, 1, "X11", "security_assessment", false},
		{500_000, 9_999, "X12", "scc_or_cert", false},
	} {
		f, err := e.Schema().FromMap(map[string]any{
			"service": map[string]any{"audience": "internal", "opinion": false},
			"model":   map[string]any{"source": "azure_global", "filed": false, "place": "SE"},
			"data":    map[string]any{"pi_persons_ytd": v.pi, "sensitive_persons_ytd": v.sensitive},
		}, policy.Declared)
		if err != nil {
			t.Fatal(err)
		}
		for _, decide := range []func(*policy.Facts, policy.Profile) *policy.Decision{e.Decide, e.DecideRemembered} {
			d := decide(f, policy.Counsel)
			if d.Outcome("X") != v.export || !slices.Contains(d.RuleIDs(), v.rule) {
				t.Errorf("%d and %d: rules %v, export %s; want %s, %s", v.pi, v.sensitive, d.RuleIDs(), d.Outcome("X"), v.rule, v.export)
			}
			warned := slices.ContainsFunc(d.Duties, func(u policy.Duty) bool { return u.ID == "warn_100000" })
			if warned != v.warn {
				t.Errorf("%d persons: warned %v, want %v", v.pi, warned, v.warn)
			}
		}
	}
}
