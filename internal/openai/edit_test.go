package openai_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	"fmt"
	"maps"
	"reflect"
	"testing"

	"homeport/internal/openai"
)

func TestApply(t *testing.T) {
	raw := []byte("0123456789")
	for _, test := range []struct {
		edits []openai.Edit
		want  string
	}{
		{nil, "0123456789"},
		{[]openai.Edit{{openai.Span{0, 2}, []byte("ab")}}, "ab23456789"},
		{[]openai.Edit{{openai.Span{8, 10}, nil}, {openai.Span{0, 1}, []byte("x")}}, "x1234567"},
		{[]openai.Edit{{openai.Span{5, 5}, []byte("A")}, {openai.Span{5, 5}, []byte("B")}}, "01234AB56789"},
		{[]openai.Edit{{openai.Span{10, 10}, []byte("!")}}, "0123456789!"},
		{[]openai.Edit{{openai.Span{3, 5}, []byte("x")}, {openai.Span{3, 3}, []byte("i")}}, "012ix56789"},
	} {
		if got := string(openai.Apply([]byte(">"), raw, test.edits)); got != ">"+test.want {
			t.Errorf("%v: %s", test.edits, got)
		}
	}
	if string(raw) != "0123456789" {
		t.Error("raw was changed")
	}
}

// op is one change, applied to a Patch and to a map alike.
type op struct {
	kind  byte // s d r
	name  string
	value string
	to    string
}

func apply(t testing.TB, raw []byte, ops []op) []byte {
	t.Helper()
	obj := openai.Span{End: len(raw)}
	p := openai.NewPatch(obj, openai.Members(raw, obj))
	for _, o := range ops {
		switch o.kind {
		case 's':
			p.Set(o.name, []byte(o.value))
		case 'd':
			p.Drop(o.name)
		case 'r':
			p.Rename(o.name, o.to)
		}
	}
	edits := p.Edits(nil)
	at := 0
	for _, e := range edits {
		if e.Start < at || e.End < e.Start || e.End > len(raw) {
			t.Fatalf("edits overlap or leave the object: %v", edits)
		}
		at = e.End
	}
	if p.Empty() && len(edits) > 0 {
		t.Fatal("an empty patch has edits")
	}
	return openai.Apply(nil, raw, edits)
}

func wantMap(raw []byte, ops []op) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		panic(err)
	}
	renames := map[string]string{}
	dropped := map[string]bool{}
	original := maps.Clone(m)
	for _, o := range ops {
		_, had := original[o.name]
		switch o.kind {
		case 's':
			var v any
			json.Unmarshal([]byte(o.value), &v)
			m[o.name] = v
			delete(dropped, o.name)
		case 'd':
			delete(m, o.name)
			dropped[o.name] = true
		case 'r':
			if had {
				renames[o.name] = o.to
			}
		}
	}
	for from, to := range renames {
		if v, ok := m[from]; ok {
			delete(m, from)
			m[to] = v
		}
	}
	return m
}

func checkPatch(t testing.TB, raw []byte, ops []op) {
	t.Helper()
	out := apply(t, raw, ops)
	if err := jsontext.NewDecoder(newReader(out)).SkipValue(); err != nil {
		t.Fatalf("%s with %v is not strict JSON: %s: %v", raw, ops, out, err)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if want := wantMap(raw, ops); !reflect.DeepEqual(got, want) {
		t.Fatalf("%s with %v is %s, want %v", raw, ops, out, want)
	}
}

// Every combination of dropping, setting and renaming up to four members, with and without members added.
func TestPatchEqualsAMap(t *testing.T) {
	for n := range 5 {
		raw := []byte("{ ")
		for i := range n {
			if i > 0 {
				raw = append(raw, " ,\n"...)
			}
			raw = fmt.Appendf(raw, `"k%d" : {"x":[%d,"}"]} `, i, i)
		}
		raw = append(raw, '}')
		total := 1
		for range n {
			total *= 4
		}
		for code := range total {
			for adds := range 3 {
				var ops []op
				c := code
				for i := range n {
					name := fmt.Sprintf("k%d", i)
					switch c % 4 {
					case 1:
						ops = append(ops, op{kind: 's', name: name, value: `"v,{"`})
					case 2:
						ops = append(ops, op{kind: 'd', name: name})
					case 3:
						ops = append(ops, op{kind: 'r', name: name, to: "n\"" + name}, op{kind: 's', name: name, value: "1"})
					}
					c /= 4
				}
				for i := range adds {
					ops = append(ops, op{kind: 's', name: fmt.Sprintf("new%d", i), value: `[]`})
				}
				checkPatch(t, raw, ops)
			}
		}
	}
}

func TestPatchDetails(t *testing.T) {
	raw := []byte(`{"a":1,"b":2}`)
	for _, test := range []struct {
		ops  []op
		want string
	}{
		{nil, `{"a":1,"b":2}`},
		{[]op{{kind: 'd', name: "zz"}}, `{"a":1,"b":2}`},
		{[]op{{kind: 's', name: "c", value: "3"}, {kind: 'd', name: "c"}}, `{"a":1,"b":2}`},
		{[]op{{kind: 'd', name: "a"}, {kind: 's', name: "a", value: "9"}}, `{"a":9,"b":2}`},
		{[]op{{kind: 's', name: "c", value: "3"}, {kind: 's', name: "c", value: "4"}}, `{"a":1,"b":2,"c":4}`},
		{[]op{{kind: 'd', name: "a"}, {kind: 'd', name: "b"}, {kind: 's', name: "c", value: "3"}}, `{"c":3}`},
		{[]op{{kind: 'r', name: "a", to: "z"}}, `{"z":1,"b":2}`},
	} {
		if got := string(apply(t, raw, test.ops)); got != test.want {
			t.Errorf("%v: %s, want %s", test.ops, got, test.want)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add(`{"a":1,"b":[1,2],"c":{"d":"e"}}`, []byte("\x00\x01\x02\x03\x04"))
	f.Add(`{ "a" : "x\"," , "b":null }`, []byte("\x02\x06\x0a"))
	f.Fuzz(func(t *testing.T, body string, code []byte) {
		raw := []byte(body)
		if len(raw) == 0 || raw[0] != '{' || len(code) > 16 {
			return
		}
		dec := jsontext.NewDecoder(newReader(raw))
		if dec.SkipValue() != nil || dec.InputOffset() != int64(len(raw)) {
			return
		}
		var names []string
		for _, m := range openai.Members(raw, openai.Span{End: len(raw)}) {
			names = append(names, m.Name)
		}
		var ops []op
		renamed := map[string]bool{}
		for i, c := range code {
			name := fmt.Sprintf("\x01added%d", c>>5)
			if n := int(c>>2) % (len(names) + 1); n < len(names) {
				name = names[n]
			}
			switch c % 3 {
			case 0:
				ops = append(ops, op{kind: 's', name: name, value: fmt.Sprintf(`{"i":%d}`, i)})
			case 1:
				ops = append(ops, op{kind: 'd', name: name})
			case 2:
				if !renamed[name] {
					renamed[name] = true
					ops = append(ops, op{kind: 'r', name: name, to: "\x01to" + name})
				}
			}
		}
		checkPatch(t, raw, ops)
	})
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a", `"\`, "\n\x00\x1f", "杭州", "a\xffb", "\u2028"} {
		q := openai.Quote([]byte("x"), s)
		var back string
		if err := json.Unmarshal(q[1:], &back); err != nil {
			t.Fatalf("%q: %s: %v", s, q, err)
		}
		if want := string([]rune(s)); back != want {
			t.Errorf("%q comes back as %q", s, back)
		}
		if s == want(s) {
			if u, err := openai.Unquote(q[1:]); err != nil || string(u) != s {
				t.Errorf("unquote %s: %q %v", q, u, err)
			}
		}
	}
}

func want(s string) string { return string([]rune(s)) }
