package config_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"homeport/internal/config"
)

const committed = "../../docs/homeport.schema.json"

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("homeport.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("homeport.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCommittedSchemaIsCurrent(t *testing.T) {
	want, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(committed, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/homeport.schema.json is old: UPDATE_GOLDEN=1 go test ./internal/config")
	}
}

func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return s.Validate(plain(v))
}

// plain turns what YAML gives into what JSON would.
func plain(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	case uint64:
		return int64(x)
	}
	return v
}

func TestSchemaAgreesWithLoad(t *testing.T) {
	s := compiled(t)
	if err := valid(t, s, example); err != nil {
		t.Errorf("the example: %v", err)
	}
	for name, c := range map[string]struct {
		from, to string
		ok       bool
	}{
		"breaker false":      {"catalog: dashscope", "catalog: dashscope, breaker: false", true},
		"breaker object":     {"catalog: dashscope", "catalog: dashscope, breaker: {failures: 3, cooldown: 5s}", true},
		"timeouts":           {"catalog: dashscope", "catalog: dashscope, timeouts: {connect: 5s, first_byte: 1m30s}", true},
		"fact null":          {"opinion: true", "opinion: null", true},
		"target object":      {"qwen/qwen3.7-plus, lab", "{target: qwen/qwen3.7-plus, weight: 3, tier: 1}, lab", true},
		"size":               {"store: sqlite", "max_body: 8MiB", true},
		"unknown key":        {"store: sqlite", "stoer: sqlite", false},
		"wrong profile":      {"profile: strict", "profile: lax", false},
		"not yet":            {"store: sqlite", "vault: {}", false},
		"mask":               {"limits:", "mask: true\n    limits:", false},
		"target form":        {"[qwen/text-embedding-v4]", "[text-embedding-v4]", false},
		"no id":              {"- id: support-bot", "- name: support-bot", false},
		"limit is text":      {"requests_per_minute: 600", "requests_per_minute: many", false},
		"duration is number": {"catalog: dashscope", "catalog: dashscope, timeouts: {connect: 5}", false},
	} {
		text := strings.Replace(example, c.from, c.to, 1)
		if text == example {
			t.Fatalf("%s changes nothing", name)
		}
		if err := valid(t, s, text); (err == nil) != c.ok {
			t.Errorf("%s: schema says %v", name, err)
		}
		if cfg, problems := config.Load("f", []byte(text), options(exampleEnv)); (cfg != nil) != c.ok {
			t.Errorf("%s: load says %s", name, lines(problems))
		}
	}
}
