package audit_test

import (
	"bytes"
	"encoding/json/jsontext"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"homeport/audit"
)

var update = flag.Bool("update", false, "rewrite golden files")

var at = time.Date(2026, 11, 22, 18, 30, 5, 123_456_789, time.FixedZone("Beijing", 8*3600))

// samples gives one event of each kind, with every member set. All values are synthetic.
func samples() map[string]audit.Event {
	mac := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	head := func(last string) audit.Head {
		return audit.Head{ID: "hp_01KANSYJ2Q0000000000000" + last, Time: at, App: "support-bot"}
	}
	edits := []audit.Edit{{Op: "mask", Name: "cn_mobile", N: 2}, {Op: "model", Name: "qwen3.7-plus"}}
	return map[string]audit.Event{
		"decision": &audit.Decision{
			Head: head("001"), Op: "chat.completions", Route: "gpt-4*", Profile: "strict", Stream: true,
			Facts: audit.Facts{
				{Name: "service.audience", Value: audit.String("public_cn"), From: audit.Declared},
				{Name: "service.outputs", Value: audit.Strings("text", "image"), From: audit.Declared},
				{Name: "data.personal", Value: audit.Bool(true), From: audit.Measured},
				{Name: "ledger.persons", Value: audit.Int(99_999), From: audit.Measured},
				{Name: "operator.cii", Value: audit.Bool(false), From: audit.Assumed},
				{Name: "operator.ftz", Value: audit.Null(), From: audit.Unknown},
			},
			Targets: []audit.Target{
				{ID: "azure/gpt-4o", Place: []string{"SE"}, Verdict: "block", Rules: []string{"M2", "X9"}, Cites: []string{"cn-pipl:38"}, Needs: []string{"model.filed"},
					Facts: audit.Facts{{Name: "model.source", Value: audit.String("closed_foreign"), From: audit.Declared}, {Name: "model.filed", Value: audit.Null(), From: audit.Unknown}}},
				{ID: "qwen/qwen3.7-plus", Place: []string{"CN"}, Verdict: "allow_with_duties", Rules: []string{"X0", "L1"}, Duties: []string{"L1"}, Edits: edits, Filing: "示例-Model-20230101"},
				{ID: "lab/qwen3-8b", Place: []string{}, Verdict: "block", Rules: []string{}, Error: "not_built"},
			},
			Chosen: "qwen/qwen3.7-plus", Verdict: "allow_with_duties",
			Findings:    audit.Counts{{Type: "cn_mobile", N: 2}, {Type: "email", N: 1}},
			Edits:       edits,
			Adapted:     []string{"seed:dropped"},
			Digests:     audit.Digests{Config: "sha256:00ff", Packs: "sha256:ff00"},
			Commitments: audit.Commitments{Salt: "app/support-bot/2026-11", Request: mac(1), Idempotency: mac(2), Subject: mac(3), Conversation: mac(4)},
			Bytes:       1234,
		},
		"refusal": &audit.Decision{
			Head: head("002"), Op: "embeddings", Facts: audit.Facts{}, Targets: []audit.Target{}, Verdict: "block", Findings: audit.Counts{},
		},
		"attempt": &audit.Attempt{
			Head: head("003"), Ref: "hp_01KANSYJ2Q0000000000000001", N: 2, Target: "lab/qwen3-8b", Reason: "fallback",
			Edits: edits, Adapted: []string{"seed:dropped"}, Commitments: audit.Commitments{Salt: "k", Request: mac(5)}, Bytes: 1200,
		},
		"conclusion": &audit.Conclusion{
			Head: head("004"), Ref: "hp_01KANSYJ2Q0000000000000001", Target: "lab/qwen3-8b", Place: []string{"CN"}, Filing: "示例-Model-20230101",
			Status: 200, Outcome: audit.OutcomeStreamBroken, Error: "idle_timeout", Attempts: 2, Finish: "stop",
			Adapted: []string{"think>reasoning_content"},
			Usage:   audit.Usage{Prompt: 10, Completion: 20, Total: 30, Cached: 4, Reasoning: 5, Source: audit.UsageProvider},
			BytesIn: 5000, BytesOut: 4800, Millis: audit.Millis{Before: 1, First: 250, Total: 3400},
		},
		"admin": &audit.Admin{
			Head: head("005"), Who: "cli", What: "key.create", On: "support-bot",
			Changed: []audit.Change{{Name: "keys", Old: "1", New: "2"}, {Name: "note"}},
		},
	}
}

func TestEventsMatchTheirGoldenFilesAndParseBack(t *testing.T) {
	for name, ev := range samples() {
		t.Run(name, func(t *testing.T) {
			got := ev.AppendTo(nil)
			golden := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("a published event changed its bytes\n got %s\nwant %s", got, want)
			}
			parsed, err := audit.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if !parsed.Common().Time.Equal(at.Truncate(time.Millisecond)) {
				t.Errorf("time %v, want %v to the millisecond", parsed.Common().Time, at)
			}
			parsed.Common().Time = at
			if !reflect.DeepEqual(parsed, ev) {
				t.Errorf("parsed event differs\n got %+v\nwant %+v", parsed, ev)
			}
			kind, id, ref, ok := audit.Peek(got)
			if !ok || kind != ev.Kind() || string(id) != ev.Common().ID {
				t.Errorf("Peek: %v %s %s %s", ok, kind, id, ref)
			}
		})
	}
}

func TestPreencodedPartsGiveTheSameBytes(t *testing.T) {
	whole := samples()["decision"].(*audit.Decision)
	want := whole.AppendTo(nil)
	for split := range len(whole.Facts) + 1 {
		d := *whole
		d.FactsJSON = audit.AppendFacts(nil, whole.Facts[:split])
		d.Facts = whole.Facts[split:]
		n := min(split, len(whole.Targets))
		d.TargetsJSON = audit.AppendTargets(nil, whole.Targets[:n])
		d.Targets = whole.Targets[n:]
		if n == 0 {
			d.Targets = slices.Clone(d.Targets)
			d.Targets[0].FactsJSON, d.Targets[0].Facts = audit.AppendFacts(nil, d.Targets[0].Facts[:1]), d.Targets[0].Facts[1:]
		}
		if got := audit.AppendDecision(nil, &d); !bytes.Equal(got, want) {
			t.Fatalf("split at %d:\n got %s\nwant %s", split, got, want)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	good := string(samples()["conclusion"].AppendTo(nil))
	decision := string(samples()["decision"].AppendTo(nil))
	for name, bad := range map[string]string{
		"unknown member":    strings.Replace(good, `"status"`, `"extra":1,"status"`, 1),
		"case variant":      strings.Replace(good, `"status"`, `"Status"`, 1),
		"duplicate member":  strings.Replace(good, `"status"`, `"status":200,"status"`, 1),
		"trailing bytes":    good + " {}",
		"truncated":         good[:len(good)-1],
		"bad utf-8":         strings.Replace(good, "support-bot", "support\xff", 1),
		"later version":     strings.Replace(good, `"v":1`, `"v":2`, 1),
		"no version":        strings.Replace(good, `"v":1,`, ``, 1),
		"unknown kind":      strings.Replace(good, `"kind":"conclusion"`, `"kind":"guess"`, 1),
		"wrong kind":        strings.Replace(good, `"kind":"conclusion"`, `"kind":"admin"`, 1),
		"no id":             strings.Replace(good, `"id":"hp_01KANSYJ2Q0000000000000004",`, ``, 1),
		"fractional number": strings.Replace(good, `"status":200`, `"status":200.5`, 1),
		"fact is object":    strings.Replace(decision, `"value":true`, `"value":{}`, 1),
		"fact is float":     strings.Replace(decision, `"value":99999`, `"value":0.5`, 1),
		"fact list mixed":   strings.Replace(decision, `["text","image"]`, `["text",1]`, 1),
		"fact without from": strings.Replace(decision, `"value":99999,"from":"measured"`, `"value":99999`, 1),
		"fact twice":        strings.Replace(decision, `"data.personal"`, `"operator.cii"`, 1),
		"bad base64":        strings.Replace(decision, `"request":"AQ`, `"request":"*Q`, 1),
		"empty":             "",
		"null":              "null",
	} {
		if bad == good || bad == decision {
			t.Fatalf("%s: case changes nothing", name)
		}
		if ev, err := audit.Parse([]byte(bad)); err == nil {
			t.Errorf("%s: parsed as %T", name, ev)
		}
	}
	if _, err := audit.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
}

// FuzzEventRoundTrip: whatever strings and numbers an event is given, its bytes
// are strict JSON, parse back to the same event, and encode to the same bytes.
func FuzzEventRoundTrip(f *testing.F) {
	f.Add("plain", "示例", int64(0), true, int64(1_700_000_000_000))
	f.Add("\"\\\x00\x1f\x7f\u2028", "\xff\xfe\xed\xa0\x80", int64(math.MaxInt64), false, int64(0))
	f.Add("\ufffd\U0001F600", "a\xc3", int64(math.MinInt64), true, int64(-1))
	f.Fuzz(func(t *testing.T, a, b string, n int64, flag bool, ms int64) {
		when := time.UnixMilli(ms % 100_000_000_000_000)
		if when.Year() < 1 || when.Year() > 9999 {
			return // outside RFC 3339
		}
		head := audit.Head{ID: "x" + a, Time: when, App: b}
		for _, ev := range []audit.Event{
			&audit.Decision{
				Head: head, Op: a, Route: b, Profile: a, Stream: flag,
				Facts:   audit.Facts{{Name: "1" + a, Value: audit.String(b), From: audit.Measured}, {Name: "2" + b, Value: audit.Int(n), From: audit.Declared}, {Name: "3", Value: audit.Strings(a, b), From: "x"}, {Name: "4", Value: audit.Bool(flag), From: "y"}},
				Targets: []audit.Target{{ID: a, Place: []string{b}, Verdict: a, Rules: []string{a, b}, Needs: []string{b}, Edits: []audit.Edit{{Op: a, Name: b, N: n}}, Error: b}},
				Chosen:  a, Verdict: b, Findings: audit.Counts{{Type: a, N: n}}, Adapted: []string{b}, Digests: audit.Digests{Config: a, Packs: b},
				Commitments: audit.Commitments{Salt: a, Request: []byte(b)}, Bytes: n,
			},
			&audit.Attempt{Head: head, Ref: a, N: n, Target: b, Reason: a, Bytes: n},
			&audit.Conclusion{Head: head, Ref: b, Target: a, Status: n, Outcome: b, Error: a, Finish: b, Usage: audit.Usage{Prompt: n, Source: a}, BytesIn: n, Millis: audit.Millis{Total: n}},
			&audit.Admin{Head: head, Who: a, What: b, On: a, Changed: []audit.Change{{Name: a, Old: b, New: a}}},
		} {
			encoded := ev.AppendTo(nil)
			if !jsontext.Value(encoded).IsValid() {
				t.Fatalf("not strict JSON: %q", encoded)
			}
			parsed, err := audit.Parse(encoded)
			if err != nil {
				t.Fatalf("%v: %q", err, encoded)
			}
			if got, want := parsed.Common().App, string([]rune(b)); got != want {
				t.Fatalf("app came back as %q, want %q", got, want)
			}
			if !parsed.Common().Time.Equal(when) {
				t.Fatalf("time came back as %v, want %v", parsed.Common().Time, when)
			}
			if again := parsed.AppendTo(nil); !bytes.Equal(again, encoded) {
				t.Fatalf("encoded again it differs\n got %q\nwant %q", again, encoded)
			}
			if kind, id, _, ok := audit.Peek(encoded); ok && (kind != ev.Kind() || string(id) != parsed.Common().ID) {
				t.Fatalf("Peek gives %s %q", kind, id)
			}
		}
	})
}

// FuzzParse: no input makes Parse panic, and what it accepts encodes and parses again.
func FuzzParse(f *testing.F) {
	for _, ev := range samples() {
		f.Add(ev.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		ev, err := audit.Parse(payload)
		if err != nil {
			return
		}
		if y := ev.Common().Time.UTC().Year(); y < 0 || y > 9999 {
			return
		}
		encoded := ev.AppendTo(nil)
		again, err := audit.Parse(encoded)
		if err != nil {
			t.Fatalf("accepted, then not: %v: %q", err, encoded)
		}
		if !bytes.Equal(again.AppendTo(nil), encoded) {
			t.Fatalf("unstable encoding of %q", payload)
		}
	})
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range 10_000 {
		id := audit.NewID(at)
		if !audit.ValidID(id) || seen[id] {
			t.Fatalf("id %d is malformed or repeated: %s", i, id)
		}
		seen[id] = true
	}
	earlier, later := audit.NewID(at), audit.NewID(at.Add(time.Millisecond))
	if earlier >= later || earlier[:13] == later[:13] {
		t.Errorf("ids of different milliseconds: %s, %s", earlier, later)
	}
	if id := audit.NewID(time.UnixMilli(0)); id[:13] != "hp_0000000000" {
		t.Errorf("1970 gives %s", id)
	}
	// 2^48-1 ms is the last that a ULID can say: 7ZZZZZZZZZ.
	if id := audit.NewID(time.UnixMilli(1<<48 - 1)); id[:13] != "hp_7ZZZZZZZZZ" {
		t.Errorf("last millisecond gives %s", id)
	}
	for _, bad := range []string{"", "hp_", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "hp_81ARZ3NDEKTSV4RRFFQ69G5FAV", "hp_01ARZ3NDEKTSV4RRFFQ69G5FAI", "hp_01ARZ3NDEKTSV4RRFFQ69G5FAVV"} {
		if audit.ValidID(bad) {
			t.Errorf("valid: %q", bad)
		}
	}
}

func BenchmarkAppendDecision(b *testing.B) {
	whole := samples()["decision"].(*audit.Decision)
	pre := *whole
	pre.FactsJSON, pre.Facts = audit.AppendFacts(nil, whole.Facts), nil
	pre.TargetsJSON, pre.Targets = audit.AppendTargets(nil, whole.Targets), nil
	for name, d := range map[string]*audit.Decision{"whole": whole, "preencoded": &pre} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = audit.AppendDecision(dst[:0], d)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func BenchmarkParseDecision(b *testing.B) {
	payload := samples()["decision"].AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Parse(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			audit.NewID(at)
		}
	})
}
