package registry_test

import (
	"strings"
	"testing"

	"homeport/registry"
)

// Whatever an address looks like, it belongs to an entry only by its host, and never panics.
func FuzzTarget(f *testing.F) {
	r, err := registry.Load("deepseek", "azure-openai")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "https://api.deepseek.com/v1", "api.deepseek.com", "https://api.deepseek.com@evil.example",
		"https://acme.openai.azure.com", "https://openai.azure.com", "//[::1]:80", "http://%zz", "a b", "https://api.deepseek.com.", "{resource}.openai.azure.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, baseURL string) {
		for provider, suffix := range map[string]string{"deepseek": "api.deepseek.com", "azure-openai": "azure.com"} {
			target, ok := r.Target(provider, baseURL, "m", "CN")
			if !ok {
				t.Fatalf("%s is gone", provider)
			}
			if baseURL != "" && target.Matched && !strings.Contains(strings.ToLower(baseURL), suffix) {
				t.Errorf("%q belongs to %s", baseURL, provider)
			}
			if !target.Matched && (target.PlaceKnown || target.FilingKnown || target.Source != "") {
				t.Errorf("%q: facts without a match", baseURL)
			}
		}
	})
}

// A number is read exactly or not at all.
func FuzzParseMicro(f *testing.F) {
	for _, s := range []string{"0", "1.25", "0.000001", "", ".", "1.", "-1", "1e3", "00.10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := registry.ParseMicro(s)
		if err != nil {
			return
		}
		again, err := registry.ParseMicro(m.String())
		if err != nil || again != m {
			t.Errorf("%q is %d, printed %q, read again %d (%v)", s, m, m, again, err)
		}
	})
}
