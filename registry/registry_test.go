package registry_test

import (
	"testing"

	"homeport/registry"
)

func TestCheck(t *testing.T) {
	r, err := registry.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Providers()); n != 37 {
		t.Errorf("%d providers, want the 36 and practice", n)
	}
	if n := len(r.Models()); n != 186 {
		t.Errorf("%d models, want 186", n)
	}
}

func BenchmarkLoadAll(b *testing.B) {
	for b.Loop() {
		if _, err := registry.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadTwo(b *testing.B) {
	for b.Loop() {
		if _, err := registry.Load("dashscope", "deepseek"); err != nil {
			b.Fatal(err)
		}
	}
}
