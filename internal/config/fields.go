package config

import (
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// fieldSet lists the fields of a struct that have a name in YAML, in order of declaration.
type fieldSet struct {
	names  []string
	byName map[string]reflect.StructField
}

func fieldsOf(t reflect.Type) fieldSet {
	s := fieldSet{byName: map[string]reflect.StructField{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		s.names = append(s.names, name)
		s.byName[name] = f
	}
	return s
}

// limitsOf reads the tags min and max of an integer field.
func limitsOf(f reflect.StructField) (low, high int64) {
	low, high = 0, math.MaxInt64
	if s := f.Tag.Get("min"); s != "" {
		low, _ = strconv.ParseInt(s, 10, 64)
	}
	if s := f.Tag.Get("max"); s != "" {
		high, _ = strconv.ParseInt(s, 10, 64)
	}
	return low, high
}

// applyDefaults fills zero fields from their tag default, through every struct and slice below v.
func applyDefaults(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			applyDefaults(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			applyDefaults(v.Index(i))
		}
	case reflect.Struct:
		fields := fieldsOf(v.Type())
		for _, name := range fields.names {
			f := fields.byName[name]
			fv := v.FieldByIndex(f.Index)
			if def := f.Tag.Get("default"); def != "" && fv.IsZero() {
				setDefault(fv, def)
				continue
			}
			applyDefaults(fv)
		}
	}
}

func setDefault(v reflect.Value, def string) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		dur, err := time.ParseDuration(def)
		if err != nil {
			panic("config: default of a duration: " + def)
		}
		v.SetInt(int64(dur))
	case v.Type() == reflect.TypeFor[Size]():
		n, ok := parseSize(def)
		if !ok {
			panic("config: default of a size: " + def)
		}
		v.SetInt(int64(n))
	case v.Kind() == reflect.String:
		v.SetString(def)
	case v.Kind() == reflect.Int || v.Kind() == reflect.Int64:
		n, err := strconv.ParseInt(def, 10, 64)
		if err != nil {
			panic("config: default of a number: " + def)
		}
		v.SetInt(n)
	default:
		panic("config: no default for " + v.Type().String())
	}
}

// canonical turns a value into maps, slices and scalars under the names of the file. Zero values are left out, so that a
// new key with a zero default leaves old digests alone; secrets are left out whatever their value.
func canonical(x any) any { return canon(reflect.ValueOf(x)) }

func canon(v reflect.Value) any {
	switch t := v.Interface().(type) {
	case Secret, Key, notYet:
		return nil
	case Facts:
		m := map[string]any{}
		for name, f := range t {
			m[name] = f.Value // an explicit null stays: it is not the same as absent
		}
		return m
	case Operator:
		return map[string]any{"name": t.Name, "facts": canon(reflect.ValueOf(t.Facts))}
	case Target:
		return map[string]any{"target": t.String(), "weight": t.Weight, "tier": t.Tier}
	case Breaker:
		if t.Off {
			return false
		}
	case Prefix:
		return t.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() != reflect.Struct {
			return v.Elem().Interface()
		}
		return canon(v.Elem())
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			if c := canon(v.Index(i)); c != nil {
				out = append(out, c)
			}
		}
		return out
	case reflect.Struct:
		m := map[string]any{}
		fields := fieldsOf(v.Type())
		for _, name := range fields.names {
			fv := v.FieldByIndex(fields.byName[name].Index)
			if fv.IsZero() {
				continue
			}
			if c := canon(fv); c != nil {
				m[name] = c
			}
		}
		return m
	}
	return v.Interface()
}

// sortedNames of a facts map.
func (f Facts) sortedNames() []string {
	out := make([]string, 0, len(f))
	for name := range f {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// factText is how a fact is shown to people.
func (f Fact) String() string {
	if f.Unknown {
		return "null"
	}
	if list, ok := f.Value.([]string); ok {
		return "[" + strings.Join(list, ", ") + "]"
	}
	return fmt.Sprint(f.Value)
}
