package policy_test

import (
	"fmt"
	"testing"

	"homeport/policy"
)

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

// twelve gives the bases of one app and twelve targets, and a request's measured facts.
func twelve(b *testing.B) (*policy.Engine, []*policy.Base, func(*policy.Facts, int64)) {
	e := load(b)
	s := e.Schema()
	var bases []*policy.Base
	for i := range 12 {
		m := map[string]any{"source": "domestic_api", "filed": true, "place": "CN", "provider": fmt.Sprintf("p%d", i)}
		if i%3 == 1 {
			m["source"], m["filed"], m["place"] = "azure_global", false, "SE"
		}
		f, err := s.FromMap(map[string]any{"service": map[string]any{"audience": "internal", "opinion": false}, "model": m, "date": "2026-11-22"}, policy.Declared)
		if err != nil {
			b.Fatal(err)
		}
		bases = append(bases, f.Freeze())
	}
	pi, _ := s.ID("data.pi_persons_ytd")
	sens, _ := s.ID("data.sensitive_persons_ytd")
	imp, _ := s.ID("data.important")
	core, _ := s.ID("data.core")
	secret, _ := s.ID("data.state_secret")
	return e, bases, func(f *policy.Facts, n int64) {
		f.SetInt(pi, n, policy.Measured)
		f.SetInt(sens, 0, policy.Measured)
		f.SetBool(imp, false, policy.Measured)
		f.SetBool(core, false, policy.Measured)
		f.SetBool(secret, false, policy.Measured)
	}
}

// BenchmarkDecide12 is one request judged for twelve targets, without and with memory.
func BenchmarkDecide12(b *testing.B) {
	e, bases, measure := twelve(b)
	for name, decide := range map[string]func(*policy.Facts, policy.Profile) *policy.Decision{"cold": e.Decide, "remembered": e.DecideRemembered} {
		b.Run(name, func(b *testing.B) {
			f := e.Schema().New()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.Reset(bases[0])
				measure(f, int64(i&63))
				for _, base := range bases {
					f.Rebase(base)
					decide(f, policy.Strict)
				}
			}
		})
	}
}

func BenchmarkFactsJSON(b *testing.B) {
	_, bases, measure := twelve(b)
	f := bases[0].Facts()
	measure(f, 3)
	for name, brief := range map[string]bool{"full": false, "brief": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = f.AppendJSON(buf[:0], brief)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
