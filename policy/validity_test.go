package policy_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"homeport/policy"
)

// A row is law from its first day until the day before its last; without a day it counts as unknown.
func TestValidity(t *testing.T) {
	fsys := packs(t)
	old := "    basis: text\n    cases:\n      - {fires: true, facts: {data: {important: true}}}"
	raw := string(fsys[xFile].Data)
	if !strings.Contains(raw, old) {
		t.Fatal("row X5 is not where this test looks for it")
	}
	fsys[xFile] = &fstest.MapFile{Data: []byte(strings.Replace(raw, old, "    from: 2026-03-01\n    until: 2026-10-01\n"+old, 1))}
	e, err := policy.LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		date  any
		fires bool
	}{{"2026-02-28", false}, {"2026-03-01", true}, {"2026-09-30", true}, {"2026-10-01", false}, {nil, true}} {
		f, err := e.Schema().FromMap(map[string]any{"date": c.date, "data.important": true,
			"service": map[string]any{"audience": "internal"}, "model": map[string]any{"source": "azure_global", "filed": false, "place": "SE"}}, policy.Declared)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []*policy.Decision{e.Decide(f, policy.Strict), e.DecideRemembered(f, policy.Strict)} {
			if got := slices.Contains(d.RuleIDs(), "X5"); got != c.fires {
				t.Errorf("on %v X5 answers: %v, want %v", c.date, got, c.fires)
			}
			if got := slices.Contains(d.Needs, "date"); got != (c.date == nil) {
				t.Errorf("on %v the day is asked for: %v", c.date, got)
			}
		}
	}
}

// A first table in which no row answers is undecidable, and undecidable is refused.
func TestNoRowAnswersBlocks(t *testing.T) {
	fsys := packs(t)
	raw := string(fsys[mFile].Data)
	cut := strings.Replace(raw, "use.internal && source.domestic_filed", "use.internal && source.domestic_filed && operator.cii", 1)
	if cut == raw {
		t.Fatal("row M1.I is not where this test looks for it")
	}
	cut = strings.Replace(cut, "{fires: true, facts: {service: {audience: internal}, model: {source: domestic_api, place: CN, filed: true}}}",
		"{fires: true, facts: {operator: {cii: true}, service: {audience: internal}, model: {source: domestic_api, place: CN, filed: true}}}", 1)
	fsys[mFile] = &fstest.MapFile{Data: []byte(cut)}
	e, err := policy.LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	f, err := e.Schema().FromMap(map[string]any{"service": map[string]any{"audience": "internal"},
		"model": map[string]any{"source": "domestic_api", "filed": true, "place": "CN"}}, policy.Declared)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*policy.Decision{e.Decide(f, policy.Strict), e.DecideRemembered(f, policy.Strict)} {
		if d.Verdict != policy.Block || !slices.Contains(d.RuleIDs(), "undecidable") {
			t.Errorf("%s %v", d.Verdict, d.RuleIDs())
		}
	}
}
