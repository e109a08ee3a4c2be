package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// variable is what any scalar may be instead: text with ${NAME} in it.
const variable = `\$\{[A-Za-z_][A-Za-z0-9_]*\}`

// Schema is the JSON Schema (draft 2020-12) of homeport.yaml for editors, generated from Config. It checks form; what
// needs the catalog or the rules is checked by Load only.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[Config](), reflect.StructField{})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://homeport.invalid/schema/homeport.schema.json"
	root["title"] = "homeport.yaml"
	root["description"] = "Homeport 的配置 / Configuration of Homeport"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

type object = map[string]any

// schemaOf describes a type; f is the field it stands in.
func schemaOf(t reflect.Type, f reflect.StructField) object {
	switch t {
	case reflect.TypeFor[Secret]():
		return object{"type": "string", "minLength": 1}
	case reflect.TypeFor[Key]():
		return object{"type": "string", "minLength": 1}
	case reflect.TypeFor[Prefix]():
		return object{"type": "string", "minLength": 2}
	case reflect.TypeFor[Places]():
		code := object{"type": "string", "pattern": "^([A-Za-z]{2}|" + variable + ")$"}
		return object{"oneOf": []any{code, object{"type": "array", "items": code}}}
	case reflect.TypeFor[Size]():
		return object{"oneOf": []any{object{"type": "integer", "minimum": 1},
			object{"type": "string", "pattern": "^([0-9_]+ ?([KMG]i?B|B)?|" + variable + ")$"}}}
	case reflect.TypeFor[MicroCNY]():
		return orVariable(object{"type": "number", "exclusiveMinimum": 0})
	case reflect.TypeFor[time.Duration]():
		return object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|` + variable}
	case reflect.TypeFor[Facts]():
		return object{"type": []any{"object", "null"}, "additionalProperties": factSchema()}
	case reflect.TypeFor[Operator]():
		return object{"type": "object", "properties": object{"name": object{"type": "string"}}, "additionalProperties": factSchema()}
	case reflect.TypeFor[Target]():
		form := `^[A-Za-z0-9][A-Za-z0-9._-]*/.+$`
		return object{"oneOf": []any{
			object{"type": "string", "pattern": form},
			object{"type": "object", "additionalProperties": false, "required": []any{"target"}, "properties": object{
				"target": object{"type": "string", "pattern": form},
				"weight": object{"type": "integer", "minimum": 1},
				"tier":   object{"type": "integer", "minimum": 1}}}}}
	case reflect.TypeFor[Breaker]():
		return object{"oneOf": []any{object{"type": "boolean"}, structSchema(t)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), f)
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), reflect.StructField{})}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case reflect.Bool:
		if f.Name == "Mask" {
			return object{"const": false}
		}
		return orVariable(object{"type": "boolean"})
	case reflect.Int, reflect.Int64:
		low, high := limitsOf(f)
		return orVariable(object{"type": "integer", "minimum": low, "maximum": high})
	case reflect.String:
		if enum := f.Tag.Get("enum"); enum != "" {
			values := []any{}
			for _, v := range strings.Split(enum, ",") {
				values = append(values, v)
			}
			return object{"anyOf": []any{object{"enum": values}, object{"type": "string", "pattern": variable}}}
		}
		return object{"type": "string", "minLength": 1}
	}
	panic("config: no schema for " + t.String())
}

func orVariable(s object) object {
	return object{"anyOf": []any{s, object{"type": "string", "pattern": variable}}}
}

func factSchema() object {
	return object{"anyOf": []any{object{"type": []any{"boolean", "number", "string", "null"}},
		object{"type": "array", "items": object{"type": "string"}},
		object{"type": "object", "additionalProperties": object{"type": []any{"boolean", "string"}}}}}
}

func structSchema(t reflect.Type) object {
	props := object{}
	var required []any
	fields := fieldsOf(t)
	for _, name := range fields.names {
		f := fields.byName[name]
		if f.Type == reflect.TypeFor[notYet]() {
			continue // refused by name, so editors should not offer it
		}
		s := schemaOf(f.Type, f)
		s["description"] = f.Tag.Get("zh") + " / " + f.Tag.Get("en")
		if def := f.Tag.Get("default"); def != "" {
			s["default"] = defaultValue(f, def)
		}
		props[name] = s
		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}
	}
	out := object{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func defaultValue(f reflect.StructField, def string) any {
	if k := f.Type.Kind(); (k == reflect.Int || k == reflect.Int64) && digits(def) {
		return json.Number(def)
	}
	return def
}
