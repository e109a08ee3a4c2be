package provider_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"homeport/internal/provider"
	"homeport/registry"
)

// Every file of the catalog holds, and the catalog has the registry's ids.
func TestCatalogHolds(t *testing.T) {
	ids := provider.IDs()
	if len(ids) < 38 {
		t.Fatalf("%d catalog files, want the 36 providers, practice and custom", len(ids))
	}
	for _, id := range ids {
		w, err := provider.Load(id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if again, _ := provider.Load(id); again != w {
			t.Errorf("%s: loaded twice", id)
		}
		if w.AsOf == "" || len(w.Sources) == 0 && w.Verified && w.BaseURL != "" {
			t.Errorf("%s: no date or no sources", id)
		}
	}
}

// Wire facts and legal facts are joined by id: one file each.
func TestCatalogJoinsRegistry(t *testing.T) {
	r, err := registry.Load()
	if err != nil {
		t.Fatal(err)
	}
	var legal []string
	for _, p := range r.Providers() {
		if p.ID != "custom" {
			legal = append(legal, p.ID)
		}
	}
	slices.Sort(legal)
	wire := slices.DeleteFunc(provider.IDs(), func(id string) bool { return id == "custom" }) // its facts are the operator's
	if !slices.Equal(legal, wire) {
		t.Errorf("registry has %q\nwire catalog has %q", legal, wire)
	}
}

func TestLoadUnknown(t *testing.T) {
	for _, id := range []string{"nobody", "", "../rules", "a/b"} {
		if _, err := provider.Load(id); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("Load(%q) = %v, want ErrUnknown", id, err)
		}
	}
}

// A catalog file with a name or value that nobody reads is refused, with its place.
func TestParseRefuses(t *testing.T) {
	good, err := os.ReadFile("catalog/zhipu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown name", "dialect: openai", "dialectt: openai", "dialectt"},
		{"unknown name in a model's rules", "reasoning: {default: 'on'}", "reasonin: {default: 'on'}", "reasonin"},
		{"unknown name in a rule", "action: drop", "actoin: drop", "actoin"},
		{"repeated name", "dialect: openai", "dialect: openai\ndialect: openai", "dialect"},
		{"value outside its list", "dialect: openai", "dialect: soap", "soap"},
		{"unknown support", "chat: 'yes'", "chat: perhaps", "perhaps"},
		{"unknown action", "action: drop", "action: ignore", "ignore"},
		{"unknown choice action", "none: strip_tools", "none: hide", "hide"},
		{"unknown switch", "control: thinking", "control: lever", "lever"},
		{"clamp without bounds", "min: 0, max: 1, zero_set: {do_sample: false}, ", "", "lacks"},
		{"min above max", "min: 0.01, max: 1}", "min: 2, max: 1}", "above"},
		{"rename to nothing", ", to: user_id", "", "lacks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.Replace(string(good), c.from, c.to, 1)
			if bad == string(good) {
				t.Fatal("the file does not hold what this case changes")
			}
			_, err := provider.Parse([]byte(bad))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}
