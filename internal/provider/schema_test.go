package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/openai"
	"homeport/internal/provider"
)

// withSchema asks a provider that knows no json_schema for an answer that holds to schema.
func withSchema(t *testing.T, schema string) (provider.Plan, *openai.Error) {
	t.Helper()
	w, err := provider.Load("deepseek")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"model":"m","messages":[` + hi + `],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}}`
	req, bad := openai.Parse(openai.Chat, []byte(body))
	if bad != nil {
		t.Fatal(bad.Code, bad.Message)
	}
	return w.Adapt(req, to("deepseek-flash"))
}

// doubling is a schema whose reference at each of n steps stands twice.
func doubling(n int, last string) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"a%d":%s}}`, n, last)
	return b.String()
}

// A schema that cannot be checked, or costs too much to check, is refused before anything is sent.
func TestSchemasRefused(t *testing.T) {
	for name, schema := range map[string]string{
		"doubling":         doubling(20, `{"type":"object"}`),
		"doubling far":     doubling(200, `true`),
		"anchors":          strings.NewReplacer(`"$ref":"#/$defs/a1"`, `"$ref":"#one"`, `"a1":{`, `"a1":{"$anchor":"one",`).Replace(doubling(20, `true`)),
		"long":             `{"description":"` + strings.Repeat("x", 64<<10) + `"}`,
		"many values":      `{"enum":[` + strings.Repeat("1,", 10_000) + `2]}`,
		"many schemas":     `{"allOf":[` + strings.Repeat("true,", 2_000) + `true]}`,
		"many references":  `{"x":[` + strings.Repeat("{},", 400) + `{}],"allOf":[` + refs(400) + `]}`,
		"deep":             strings.Repeat(`{"items":`, 110) + `{}` + strings.Repeat(`}`, 110),
		"long chain":       chain(110),
		"does not compile": `{"type":"nonsense"}`,
		"not a schema":     `1`,
		"null":             `null`,
		"dangling":         `{"$ref":"#/$defs/none"}`,
		"outside":          `{"$ref":"http://127.0.0.1:1/s.json"}`,
		"a file":           `{"properties":{"x":{"$ref":"file:///etc/hostname"}}}`,
		"a known draft":    `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`,
		"own meta schema":  `{"$schema":"http://127.0.0.1:1/meta"}`,
		"dynamic":          `{"$dynamicAnchor":"a","items":{"$dynamicRef":"#a"}}`,
		"large number":     `{"multipleOf":1e999999}`,
		"large pattern":    `{"pattern":"` + strings.Repeat("(a{1000}){1}", 60) + `"}`,
		"long pattern":     `{"pattern":"` + strings.Repeat("a", 2000) + `"}`,
		"bad pattern":      `{"pattern":"("}`,
		"many patterns":    `{"allOf":[` + strings.Repeat(`{"pattern":"a{1000}"},`, 100) + `true]}`,
	} {
		plan, err := withSchema(t, schema)
		if err == nil {
			t.Errorf("%s: taken, schema set: %v", name, plan.Schema != nil)
		} else if err.Status != 400 || err.Code != "invalid_schema" || err.Param != "response_format" {
			t.Errorf("%s: %d %s %s", name, err.Status, err.Code, err.Param)
		}
	}
}

// chain is a schema of n references one after the other.
func chain(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d":{"$ref":"#/$defs/a%d"},`, i, i+1)
	}
	fmt.Fprintf(&b, `"a%d":true}}`, n)
	return b.String()
}

// answerTo is a whole answer with this content, to the request of plan.
func answerTo(t *testing.T, plan *provider.Plan, content string) (*provider.Answer, *openai.Error) {
	t.Helper()
	w, err := provider.Load("deepseek")
	if err != nil {
		t.Fatal(err)
	}
	a := w.Follow(plan, provider.AnswerOptions{Model: "m", ID: "c", Created: 1})
	body := append(openai.Quote([]byte(`{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":`), content),
		`},"finish_reason":"stop"}]}`...)
	_, e := a.Body(body)
	return a, e
}

// Schemas as people write them are taken, and answers are held against them: patterns, formats, recursion and all.
func TestSchemasHeld(t *testing.T) {
	tree := `{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"left":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]},` +
		`"right":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]}},"required":["v"],"additionalProperties":false}}}`
	grown := `{"v":1}`
	for range 40 {
		grown = `{"v":1,"left":` + grown + `,"right":null}`
	}
	for _, x := range []struct{ name, schema, good, bad string }{
		{"doubling a little", doubling(5, `{"type":"object"}`), `{}`, `[]`},
		{"tree", tree, grown, strings.Replace(grown, `{"v":1}`, `{"v":"1"}`, 1)},
		{"pattern", `{"type":"string","pattern":"^[a-z]{2,5}$"}`, `"abc"`, `"ABC"`},
		{"pattern names", `{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}`, `{"x1":1}`, `{"y":1}`},
		{"format", `{"$schema":"http://json-schema.org/draft-07/schema#","format":"date"}`, `"2026-11-22"`, `"heute"`},
		{"regex format", `{"$schema":"http://json-schema.org/draft-07/schema#","format":"regex"}`, `"a+"`, `"("`},
		{"enum", `{"enum":["a",{"b":[1]}]}`, `{"b":[1]}`, `"c"`},
		{"unique", `{"items":{"type":"integer"},"uniqueItems":true}`, `[1,2,3]`, `[1,2,1]`},
		{"large number in the answer", `{"type":"number"}`, `1e99`, `1e999999`},
		{"repeated name in the answer", `{}`, `{"a":1}`, `{"a":1,"a":2}`},
	} {
		for _, content := range []string{x.good, x.bad} {
			plan, err := withSchema(t, x.schema)
			if err != nil || plan.Schema == nil {
				t.Errorf("%s: %v", x.name, err)
				break
			}
			a, e := answerTo(t, &plan, content)
			switch {
			case content == x.good && e != nil:
				t.Errorf("%s: %s does not hold", x.name, content)
			case content == x.bad && (e == nil || a.Class() != provider.ClassSchema || !e.NoRetry):
				t.Errorf("%s: %s holds, or may be retried: %v", x.name, content, e)
			}
		}
	}
}

// Where a small schema makes an answer costly, checking stops, and the answer does not count as checked. Each of these
// would take hours or more.
func TestCheckStops(t *testing.T) {
	nested := strings.Repeat(`{"x":`, 190) + `1` + strings.Repeat(`}`, 190)
	for name, x := range map[string]struct{ schema, content string }{
		"twice itself":        {`{"properties":{"x":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}`, nested},
		"either way fails":    {`{"anyOf":[{"type":"string"},{"properties":{"x":{"oneOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}},"required":["y"]}]}`, nested},
		"not and not":         {`{"properties":{"x":{"allOf":[{"not":{"not":{"$ref":"#"}}},{"not":{"not":{"$ref":"#"}}}]}}}`, nested},
		"pattern by length":   {`{"pattern":"(a?){200}b{300}$"}`, `"` + strings.Repeat("a", 1<<20) + `"`},
		"properties by names": {`{"patternProperties":{` + manyPatterns(400) + `}}`, manyNames(20_000)},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := withSchema(t, x.schema)
			if err != nil {
				t.Fatal("refused:", err.Message)
			}
			if _, e := answerTo(t, &plan, x.content); e == nil || e.Code != "schema_not_met" {
				t.Error(e)
			}
		})
	}
}

func manyPatterns(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"a%d":true`, i)
	}
	return strings.Join(list, ",")
}

func manyNames(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"a%d":1`, i)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// The bounds leave room for a schema of many properties.
func TestLargeSchemaTaken(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `"field_%d":{"type":["string","null"],"enum":["a","b",null]},`, i)
	}
	schema := `{"type":"object","properties":{` + strings.TrimSuffix(b.String(), ",") + `},"additionalProperties":false}`
	plan, err := withSchema(t, schema)
	if err != nil {
		t.Fatal(err.Message)
	}
	if _, e := answerTo(t, &plan, `{"field_7":"a","field_999":null}`); e != nil {
		t.Error(e)
	}
}

func BenchmarkCompileWorstSchema(b *testing.B) {
	w, err := provider.Load("deepseek")
	if err != nil {
		b.Fatal(err)
	}
	for name, schema := range map[string]string{
		"values": `{"allOf":[` + strings.Repeat("true,", 1_990) + `true]}`,
		"refs":   `{"x":[` + strings.Repeat("{},", 300) + `{}],"allOf":[` + refs(160) + `]}`,
	} {
		body := `{"model":"m","messages":[` + hi + `],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}}`
		req, bad := openai.Parse(openai.Chat, []byte(body))
		if bad != nil {
			b.Fatal(bad)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.Adapt(req, to("deepseek-flash")); err != nil {
					b.Fatal(err.Message)
				}
			}
		})
	}
}

// refs are references to places where no schema is expected.
func refs(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"$ref":"#/x/%d"}`, i+1)
	}
	return strings.Join(list, ",")
}
