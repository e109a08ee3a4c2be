package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"homeport/internal/config"
	"homeport/registry"
)

// TestProviderTable: the READMEs list the catalog as the data have it.
func TestProviderTable(t *testing.T) {
	reg, err := registry.Load()
	if err != nil {
		t.Fatal(err)
	}
	groups := []struct {
		zh, en string
		in     func(p *registry.Provider) bool
	}{
		{"境内供应商", "providers in mainland China", func(p *registry.Provider) bool { return p.Target() && p.Source == registry.SourceDomesticAPI }},
		{"自己部署", "servers of your own", func(p *registry.Provider) bool { return p.Target() && p.SelfHosted() }},
		{"境外，按境外判定", "abroad, and judged as such", func(p *registry.Provider) bool {
			return p.Target() && (p.Source == registry.SourceOverseasDirect || p.Source == registry.SourceAzureGlobal)
		}},
		{"来源未知，按严格的一支判定", "source unknown, judged by the strict branch", func(p *registry.Provider) bool { return p.Target() && p.Source == "" }},
		{"内置", "built in", func(p *registry.Provider) bool { return p.Kind == registry.KindPractice }},
		{"仅供识别，从不发送", "known by name only, never sent to", func(p *registry.Provider) bool { return !p.Target() }},
	}
	listed := 0
	for _, lang := range []string{"zh", "en"} {
		table := "| | |\n|---|---|\n"
		for _, g := range groups {
			var names []string
			for _, p := range reg.Providers() {
				if !g.in(p) || p.Kind == registry.KindPractice && g.en != "built in" {
					continue
				}
				listed++
				names = append(names, fmt.Sprintf("%s (`%s`)", p.Name.In(lang), p.ID))
			}
			if len(names) == 0 {
				continue
			}
			table += fmt.Sprintf("| %s | %s |\n", registry.Text{Zh: g.zh, En: g.en}.In(lang), strings.Join(names, ", "))
		}
		section(t, map[string]string{"zh": "README.zh-CN.md", "en": "README.md"}[lang], "providers", table)
	}
	if want := 2 * len(reg.IDs()); listed != want {
		t.Errorf("%d entries listed, the catalog has %d in two languages", listed, want)
	}
}

// TestKeyTable: both configuration guides list every key of the struct, in the words of its tags.
func TestKeyTable(t *testing.T) {
	for lang, file := range map[string]string{"zh": "docs/guide/configuration.zh-CN.md", "en": "docs/guide/configuration.md"} {
		head := map[string]string{"zh": "| 键 | 含义 | 默认 |", "en": "| Key | Meaning | Default |"}[lang]
		section(t, file, "keys "+lang, head+"\n|---|---|---|\n"+keyRows(reflect.TypeFor[config.Config](), "", lang))
	}
}

func keyRows(typ reflect.Type, prefix, lang string) string {
	var out strings.Builder
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		value := f.Tag.Get("default")
		switch {
		case f.Tag.Get("required") == "true":
			value = map[string]string{"zh": "必填", "en": "required"}[lang]
		case value != "":
			value = "`" + value + "`"
		}
		if e := f.Tag.Get("enum"); e != "" && strings.Contains(e, ",") {
			value += map[string]string{"zh": "（", "en": " ("}[lang] + "`" + strings.ReplaceAll(e, ",", "`, `") + "`" + map[string]string{"zh": "）", "en": ")"}[lang]
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", prefix+name, strings.ReplaceAll(f.Tag.Get(lang), "|", `\|`), value)
		below, dot := f.Type, "."
		for below.Kind() == reflect.Pointer || below.Kind() == reflect.Slice {
			if below.Kind() == reflect.Slice {
				dot = "[]."
			}
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct {
			out.WriteString(keyRows(below, prefix+name+dot, lang))
		}
	}
	return out.String()
}

// TestSchemaKeysAreDocumented: each key of the published JSON Schema stands in both guides.
func TestSchemaKeysAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs/homeport.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	collect(schema, keys)
	if len(keys) < 50 {
		t.Fatalf("only %d keys found in the schema", len(keys))
	}
	docs := documents(t)
	for _, file := range []string{"docs/guide/configuration.md", "docs/guide/configuration.zh-CN.md"} {
		for k := range keys {
			if !strings.Contains(docs[file], k+"`") && !strings.Contains(docs[file], k+":") && !strings.Contains(docs[file], k+",") && !strings.Contains(docs[file], k+"}") {
				t.Errorf("%s does not name the key %s", file, k)
			}
		}
	}
}

// collect gathers the names of properties anywhere in a schema.
func collect(v any, keys map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if p, ok := v["properties"].(map[string]any); ok {
			for name := range p {
				keys[name] = true
			}
		}
		for _, below := range v {
			collect(below, keys)
		}
	case []any:
		for _, below := range v {
			collect(below, keys)
		}
	}
}
