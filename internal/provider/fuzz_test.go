package provider_test

import (
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// Any request that parses is refused with a 400 or leaves as strict JSON, with every change named, at every provider.
func FuzzAdapt(f *testing.F) {
	for i, x := range standard {
		f.Add(x.body, uint8(x.endpoint), uint8(i), uint8(i))
	}
	ids := provider.IDs()
	type rules struct {
		wire   *provider.Wire
		target provider.Target
	}
	var all []rules
	for _, id := range ids {
		w, err := provider.Load(id)
		if err != nil {
			f.Fatal(err)
		}
		names := models[id]
		if names == nil {
			names = []string{"some-model"}
		}
		for _, model := range names {
			all = append(all, rules{w, provider.Target{Model: model, Rules: w.For(model)}})
		}
	}
	f.Fuzz(func(t *testing.T, body string, endpoint, which, choices uint8) {
		e := openai.Endpoint(endpoint%3) + openai.Chat
		req, bad := openai.Parse(e, []byte(body))
		if bad != nil {
			return
		}
		r := all[int(which)%len(all)]
		if choices&1 != 0 {
			r.target.JSONSchema = "refuse"
		}
		if choices&2 != 0 {
			r.target.ToolChoice = "auto"
		}
		plan, refused := r.wire.Adapt(req, r.target)
		if refused != nil {
			if refused.Status != 400 || refused.Code == "" {
				t.Fatalf("a refusal that is no 400: %v", refused)
			}
			return
		}
		sound(t, r.wire, exchange{name: r.target.Model, endpoint: e, body: body}, openai.Apply(nil, req.Raw, plan.Edits), plan)
		for _, c := range provider.AppendAdapted(nil, plan.Adapted) {
			if c < ' ' || c > '~' {
				t.Fatalf("a report is not printable ASCII: %q", plan.Adapted)
			}
		}
	})
}
