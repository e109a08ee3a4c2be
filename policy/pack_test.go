package policy_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"homeport/policy"
)

// packs copies the shipped packs into memory.
func packs(t testing.TB) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(policy.Embedded(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(policy.Embedded(), p)
		out[p] = &fstest.MapFile{Data: raw}
		return err
	})
	if err != nil || len(out) < 8 {
		t.Fatalf("%d files, %v", len(out), err)
	}
	return out
}

const (
	xFile = "packs/cn/x-export.yaml"
	mFile = "packs/cn/m-model-source.yaml"
	cFile = "packs/cn/c-circumvention.yaml"
	pFile = "packs/cn/profiles.yaml"
	tFile = "packs/cn/terms.yaml"
	iFile = "packs/cn/instruments.yaml"
)

// Every way a pack can be wrong is refused, with the place.
func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file, old, new string
		want                 string // in the error, after the file's name
		at                   string // the text whose line and column the error names; "": no place asked for
	}{
		{"misspelt fact", xFile, "when: data.important\n", "when: data.importent\n", `no fact "data.importent"; did you mean "data.important"?`, "data.importent"},
		{"literal outside the enumeration", xFile, `data.origin == "overseas"'`, `data.origin == "oversea"'`, `"oversea" is no value of fact data.origin; did you mean "overseas"?`, `"oversea"'`},
		{"literal outside the enumeration in a list", xFile, `"hr", "emergency"`, `"hr", "emergancy"`, `"emergancy" is no value of fact data.necessity`, `"emergancy"`},
		{"set with a member outside the enumeration", tFile, "qwen deepseek glm", "qwen deepseak glm", `"deepseak" is no value of fact model.family`, ""},
		{"wrong type", xFile, "data.pi_persons_ytd >= 1000000", `data.pi_persons_ytd >= "many"`, "found no matching overload", ""},
		{"number of the wrong kind", cFile, "model.share_abroad > 0.0", "model.share_abroad > 0", "", ""},
		{"condition that is no truth value", xFile, "when: data.important\n", "when: data.pi_persons_ytd\n", "a condition must be true or false", "data.pi_persons_ytd\n    outcome: security"},
		{"two facts compared", xFile, "when: data.important\n", "when: data.pi_persons_ytd >= data.sensitive_persons_ytd\n", "may only be compared with a literal", "data.sensitive_persons_ytd\n    outcome: security"},
		{"function", xFile, "when: data.important\n", "when: operator.ftz.startsWith(\"S\")\n", "function startsWith is not used in conditions", ""},
		{"cost", xFile, "when: data.important\n", "when: " + strings.Repeat("logs.place in openai_places||", 130) + "data.important\n", "comparisons, at most 20000 are allowed", "logs.place in"},
		{"length", xFile, "when: data.important\n", "when: " + strings.Repeat("data.important||", 300) + "data.important\n", "at most 4096 are read", "data.important||"},
		{"syntax", xFile, "when: data.important\n", "when: data.important &&\n", "Syntax error", ""},
		{"place in lower case", tFile, `p == "CN"`, `p == "cn"`, `no ISO 3166-1 code`, `"cn"`},
		{"unknown outcome", xFile, "outcome: scc_or_cert\n", "outcome: scc\n", `unknown outcome "scc"`, "id: X12"},
		{"duplicate id", xFile, "- id: X13", "- id: X12", `row "X12" is declared twice`, "id: X12\n    when: data.pi"},
		{"no citation", xFile, "cites: [cn-pipl-2021 42]", "cites: []", "has no citation", "id: X4"},
		{"dangling citation", xFile, "cites: [cn-pipl-2021 42]", "cites: [cn-pipl-2022 42]", `no instrument "cn-pipl-2022"`, "cn-pipl-2022 42"},
		{"dangling article", xFile, "cites: [cn-pipl-2021 42]", "cites: [cn-pipl-2021 420]", `has no article "420"`, "cn-pipl-2021 420"},
		{"unknown basis", xFile, "basis: practice", "basis: hearsay", `basis must be text, established or practice`, "id: X3"},
		{"no firing case", xFile, "{fires: true, facts: {recipient: {restricted: true}}}", "{fires: false, facts: {}}", "needs at least one case that fires", "id: X4"},
		{"no case that does not fire", xFile, "      - {fires: true, facts: {recipient: {restricted: true}}}\n      - {fires: false, facts: {}}\n", "      - {fires: true, facts: {recipient: {restricted: true}}}\n", "needs at least one case that fires and one that does not", "id: X4"},
		{"case with a misspelt fact", xFile, "facts: {recipient: {restricted: true}}", "facts: {recipient: {restrited: true}}", `no fact "recipient.restrited"; did you mean "recipient.restricted"?`, "id: X4"},
		{"case with a wrong value", xFile, "facts: {recipient: {restricted: true}}", "facts: {recipient: {restricted: 3}}", "fact recipient.restricted: want true or false", "id: X4"},
		{"unknown field", xFile, "    basis: practice\n", "    basis: practice\n    verdict: block\n", `unknown field "verdict"`, "verdict: block"},
		{"duplicate field", xFile, "    basis: practice\n", "    basis: practice\n    basis: text\n", "already defined", "basis: text\n    cases:\n      - {fires: true, facts: {data: {core"},
		{"anchor", xFile, "when: data.important\n", "when: &a data.important\n", "anchors and aliases are not read", "&a data"},
		{"hit policy", xFile, "hit: first", "hit: unique", `hit must be first or collect`, ""},
		{"do in one language", xFile, `en: "stop; apply to the competent authority"`, `en: ""`, "do is missing in zh or en", "id: X2"},
		{"outcome without a verdict", pFile, "  - {table: C, outcomes: [barred], strict: block, counsel: block}\n", "", `has no verdict in the profile table`, ""},
		{"verdict of no rule", pFile, "rules: [X0, X6, X7]", "rules: [X0, X6, X77]", `table "X" has no rule "X77"`, "{table: X, rules: [X0"},
		{"unknown verdict", pFile, "strict: allow, counsel: allow}", "strict: permit, counsel: allow}", `unknown verdict "permit"`, "{table: X, rules: [X0"},
		{"derived fact declared twice", tFile, "id: use.internal", "id: use.public", `derived fact "use.public" is declared twice`, "id: use.public\n    when: 'service.audience == \"internal\""},
		{"derived fact used before it is declared", tFile, `'service.audience == "enterprise_cn"'`, "export.none", "may not be used here", "export.none\n"},
		{"instrument twice", iFile, "id: cn-dsl-2021,", "id: cn-pipl-2021,", "is declared twice", ""},
		{"fact without an assumption", "facts.yaml", "id: operator.cii, type: bool, assume: false", "id: operator.cii, type: bool", "needs exactly one of assume and unknown", "{id: operator.cii"},
		{"assumption outside the enumeration", "facts.yaml", "assume: none, by: [app, operator]", "assume: never, by: [app, operator]", "assume: want one of", "{id: route.proxy"},
		{"validity", xFile, "    basis: practice\n", "    basis: practice\n    from: 2026-13-01\n", "from and until are days", "id: X3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := packs(t)
			raw := string(fsys[c.file].Data)
			if !strings.Contains(raw, c.old) {
				t.Fatalf("%s does not contain %q", c.file, c.old)
			}
			changed := strings.Replace(raw, c.old, c.new, 1)
			fsys[c.file] = &fstest.MapFile{Data: []byte(changed)}
			_, err := policy.LoadFS(fsys)
			if err == nil {
				t.Fatal("loaded")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
			if c.at == "" {
				return
			}
			place := c.file + ":" + position(t, changed, c.at) + ":"
			if !strings.HasPrefix(err.Error(), place) {
				t.Errorf("error %q, want the place %s", err, place)
			}
		})
	}
}

// position gives line:column (1-based, in bytes of the line's text) of the first occurrence of at.
func position(t *testing.T, text, at string) string {
	t.Helper()
	i := strings.Index(text, at)
	if i < 0 {
		t.Fatalf("%q is not in the file", at)
	}
	before := text[:i]
	line := strings.Count(before, "\n") + 1
	col := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
	return itoa(line) + ":" + itoa(col)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestDigestNamesThePacks(t *testing.T) {
	a, b := load(t), strict(t)
	if a.Digest() != b.Digest() || len(a.Digest()) != 64 {
		t.Errorf("digests %s and %s of the same packs", a.Digest(), b.Digest())
	}
	fsys := packs(t)
	fsys[xFile] = &fstest.MapFile{Data: append([]byte("# a word\n"), fsys[xFile].Data...)}
	c, err := policy.LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if c.Digest() == a.Digest() {
		t.Error("a changed pack has the same digest")
	}
}

// Leaving out the cases changes no rule.
func TestLoadKeepsEveryRule(t *testing.T) {
	a, b := load(t).Rules(), strict(t).Rules()
	if len(a) != len(b) {
		t.Fatalf("%d rows and %d", len(a), len(b))
	}
	for i := range a {
		if a[i].Row != b[i].Row || a[i].When != b[i].When || a[i].Do != b[i].Do || len(a[i].Cites) != len(b[i].Cites) {
			t.Errorf("row %s differs from %s", a[i].Row, b[i].Row)
		}
	}
}

// tiny is a whole pack in a few lines, so that a fuzzer gets through many.
var tiny = map[string]string{
	"facts.yaml": `facts:
  - {id: date, type: date, assume: "2026-11-22", by: [gateway], why: {zh: 日, en: day}}
  - {id: a.n, type: int, assume: 0, by: [app], why: {zh: 数, en: count}}
  - {id: a.s, type: string, values: [x, y], assume: x, by: [app], why: {zh: 词, en: word}}
  - {id: a.p, type: places, unknown: true, by: [app], why: {zh: 地, en: place}}
  - {id: a.d, type: done, assume: false, by: [app], why: {zh: 毕, en: done}}
`,
	"packs/cn/terms.yaml":       "sets: {words: x y}\nderived:\n  - {id: home, when: 'a.p.all(p, p == \"CN\")', why: {zh: 内, en: home}}\n",
	"packs/cn/instruments.yaml": "instruments:\n  - {id: law, zh: 法, en: Law, url: 'https://example.org/', verified: true, arts: {\"1\": text}}\n",
	"packs/cn/profiles.yaml":    "profiles: [strict, counsel]\nverdicts:\n  - {table: T, outcomes: [good], when: a.d, strict: allow, counsel: allow}\n  - {table: T, outcomes: [good, bad], strict: block, counsel: block}\n",
	"packs/cn/t.yaml": `table: T
title: {zh: 表, en: table}
hit: first
total: true
outcomes: [good, bad]
rows:
  - id: T1
    when: home && a.n >= 10 && a.s in words
    outcome: good
    do: {zh: 可, en: go}
    cites: [law 1]
    basis: text
    cases:
      - {fires: true, facts: {a: {n: 10, p: CN}}}
      - {fires: false, facts: {a: {n: 9, p: [CN, HK]}}}
  - id: T2
    when: '!home || a.n < 10 || !(a.s in words)'
    outcome: bad
    do: {zh: 否, en: stop}
    cites: [law 1 practice]
    basis: practice
    from: 2026-01-01
    cases:
      - {fires: true, facts: {a: {n: 9, p: CN}}}
      - {fires: false, facts: {a: {n: 10, p: CN}}}
`,
}

// Whatever a file of a pack says, loading it ends in an engine or an error, and an engine answers.
func FuzzLoad(f *testing.F) {
	base := fstest.MapFS{}
	var names []string
	for name, text := range tiny {
		base[name] = &fstest.MapFile{Data: []byte(text)}
		names = append(names, name)
	}
	slices.Sort(names)
	if e, err := policy.LoadFS(base); err != nil || len(e.Rules()) != 2 {
		f.Fatalf("the tiny pack: %v", err)
	}
	for i, name := range names {
		f.Add(uint8(i), base[name].Data)
	}
	f.Add(uint8(4), []byte("table: X\nrows: [{id: [}]"))
	f.Add(uint8(4), []byte("table: T\ntitle: {zh: a, en: b}\nhit: first\noutcomes: [good]\nrows:\n  - {id: X1, when: 'a.all(x, x)', outcome: good}"))
	f.Add(uint8(3), []byte("sets: {a: b}\nderived: [{id: x, when: '!x'}]"))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		fsys := fstest.MapFS{}
		for k, v := range base {
			fsys[k] = v
		}
		fsys[names[int(which)%len(names)]] = &fstest.MapFile{Data: raw}
		e, err := policy.LoadFS(fsys)
		if (e == nil) == (err == nil) {
			t.Fatal("neither an engine nor an error, or both")
		}
		if e != nil {
			for _, k := range e.RunCases() {
				_ = k.Pass
			}
			e.DecideRemembered(e.Schema().New(), policy.Strict)
		}
	})
}
