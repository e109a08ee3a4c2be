package wiring_test

import (
	"reflect"
	"testing"
	"time"

	"homeport/internal/wiring"
)

// Each app is judged at each target of the routes it may take, as the gateway does it: what is never permitted is listed with
// the rules that refuse it, and nothing else is.
func TestUnreachables(t *testing.T) {
	o := options(t)
	cfg := parse(t, o, `
providers:
  - {id: home, catalog: practice, facts: {source: domestic_api, place: [CN], filed: true}}
  - {id: abroad, catalog: practice, facts: {source: overseas_direct, place: [US], filed: false}}
  - {id: near, catalog: practice, facts: {source: domestic_api, place: [CN], filed: false}}
routes:
  - {model: "gpt-4", to: [home/a, abroad/b]}
  - {model: "inner", apps: [staff], to: [near/a, abroad/b]}
  - {model: "*", apps: [shop], to: ["abroad/*", "near/*"]}
  - {model: "gpt-4*", apps: [shop], to: [abroad/never-asked]}
apps:
  - {id: shop, service: {audience: public_cn, opinion: true}, done: {registration: true, algo_filing: true}}
  - {id: staff, service: {audience: internal, opinion: false}}
  - {id: undeclared}
`)
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	found, err := wiring.Unreachables(cfg, o.Registry, o.Engine, now)
	if err != nil {
		t.Fatal(err)
	}
	type brief struct {
		App, Target, Verdict string
		All                  bool
	}
	var got []brief
	for _, u := range found {
		got = append(got, brief{u.App, u.Target, u.Verdict, u.All})
		if len(u.Rules) == 0 || u.Do.ZH == "" || u.Do.EN == "" {
			t.Errorf("%s at %s: rules %v, do %q", u.App, u.Target, u.Rules, u.Do.EN)
		}
		if to := cfg.Routes[u.Route].To[u.To]; to.Provider+"/"+to.Model != u.Target {
			t.Errorf("%s is not where it is said to be", u.Target)
		}
		if needs := len(u.Needs) > 0; needs != (u.App == "undeclared") {
			t.Errorf("%s at %s: needs %v", u.App, u.Target, u.Needs)
		}
	}
	want := []brief{
		{"shop", "abroad/b", "block", false}, {"staff", "abroad/b", "needs_approval", false}, {"undeclared", "abroad/b", "block", false},
		{"staff", "abroad/b", "needs_approval", false},
		{"shop", "abroad/*", "block", false}, {"shop", "near/*", "block", true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// What a start would refuse is an error here too.
func TestUnreachablesOfWhatCannotStart(t *testing.T) {
	o := options(t)
	cfg := parse(t, o, "providers: [{id: q, catalog: dashscope}]\nroutes: [{model: \"*\", to: [\"q/*\"]}]\napps: [{id: a}]\n")
	if _, err := wiring.Unreachables(cfg, o.Registry, o.Engine, time.Now()); err == nil {
		t.Error("a provider without its key passes")
	}
}
