package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

func (o *Operator) decode(d *decoder, n ast.Node, path string) {
	entries, ok := d.mapping(n)
	if !ok {
		return
	}
	o.Facts = Facts{}
	for _, e := range entries {
		d.pos[join(path, e.name)] = where(e.value)
		if e.name == "name" {
			if s, ok := d.textOf(e.value); ok {
				o.Name = s.text
			}
			continue
		}
		if f, ok := d.fact(e.value, "operator."+e.name); ok {
			o.Facts["operator."+e.name] = f
		}
	}
}

// facts decodes a map of facts; the full name is prefix + key.
func (d *decoder) facts(n ast.Node, path, prefix string) Facts {
	entries, ok := d.mapping(n)
	if !ok {
		return nil
	}
	out := make(Facts, len(entries))
	for _, e := range entries {
		d.pos[join(path, e.name)] = where(e.value)
		if f, ok := d.fact(e.value, prefix+e.name); ok {
			out[prefix+e.name] = f
		}
	}
	return out
}

// fact decodes one value: null is unknown; a list is a list of strings; places are raised to upper case.
func (d *decoder) fact(n ast.Node, name string) (Fact, bool) {
	f := Fact{Pos: where(n)}
	place := name == "place" || strings.HasSuffix(name, ".place") || strings.HasSuffix(name, "_place")
	up := func(s string) string {
		if place && len(s) == 2 {
			return strings.ToUpper(s)
		}
		return s
	}
	if seq, ok := n.(*ast.SequenceNode); ok {
		list := []string{}
		for _, item := range seq.Values {
			s, ok := d.textOf(item)
			if !ok {
				return f, false
			}
			list = append(list, up(s.text))
		}
		f.Value = list
		return f, true
	}
	if _, ok := n.(*ast.MappingNode); ok { // {state, on, until} of done.*
		entries, ok := d.mapping(n)
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			inner, fine := d.fact(e.value, e.name)
			m[e.name], ok = inner.Value, ok && fine
		}
		f.Value = m
		return f, ok
	}
	s, ok := d.scalarOf(n)
	if !ok {
		return f, false
	}
	switch {
	case s.null:
		f.Unknown = true
	case s.quoted && !s.used:
		f.Value = up(s.text)
	default:
		f.Value = plainValue(s.text, up)
	}
	return f, true
}

// plainValue types an unquoted scalar: boolean, integer, decimal, else text.
func plainValue(text string, up func(string) string) any {
	if b, ok := boolOf(scalar{text: text}); ok {
		return b
	}
	if i, ok := parseInt(text); ok {
		return i
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".") && !math.IsInf(x, 0) && !math.IsNaN(x) {
		return x
	}
	return up(text)
}

func (b *Breaker) decode(d *decoder, n ast.Node, path string) {
	if t, ok := n.(*ast.BoolNode); ok {
		if t.Value {
			return // true: the defaults
		}
		b.Off = true
		return
	}
	if _, ok := n.(*ast.MappingNode); !ok {
		if _, ok := n.(*ast.MappingValueNode); !ok {
			d.fail(where(n), "应为 false 或 {failures, cooldown}", "false or {failures, cooldown} is expected", Text{})
			return
		}
	}
	type plain Breaker // without this method
	d.structure(n, path, reflect.ValueOf((*plain)(b)).Elem())
}

func (t *Target) decode(d *decoder, n ast.Node, path string) {
	if m, ok := n.(*ast.MappingNode); ok {
		var form struct {
			Target string `yaml:"target" required:"true"`
			Weight int    `yaml:"weight" min:"1" max:"1000000"`
			Tier   int    `yaml:"tier" min:"1" max:"1000"`
		}
		d.structure(m, path, reflect.ValueOf(&form).Elem())
		t.Weight, t.Tier = form.Weight, form.Tier
		at, ok := d.pos[join(path, "target")]
		if ok && form.Target != "" {
			t.set(d, form.Target, at)
		}
		return
	}
	if s, ok := d.textOf(n); ok {
		t.set(d, s.text, where(n))
	}
}

func (t *Target) set(d *decoder, text string, at Pos) {
	provider, model, ok := strings.Cut(text, "/")
	if !ok || !idForm(provider) || !(model == "*" || modelForm(model)) {
		d.fail(at, "目标应写作 供应商/模型", "a target is written provider/model",
			Text{"如 qwen/qwen3.7-plus；qwen/* 表示沿用所请求的模型", "such as qwen/qwen3.7-plus; qwen/* keeps the model asked for"})
		return
	}
	t.Provider, t.Model = provider, model
}

func (p *Places) decode(d *decoder, n ast.Node, path string) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	for _, item := range items {
		s, ok := d.textOf(item)
		if !ok {
			continue
		}
		code := strings.ToUpper(s.text)
		if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
			d.fail(where(item), "应为 ISO 3166-1 两位代码", "an ISO 3166-1 code of two letters is expected", Text{"如 CN、HK、SE", "such as CN, HK, SE"})
			continue
		}
		*p = append(*p, code)
	}
}

func (p *Prefix) decode(d *decoder, n ast.Node, _ string) {
	s, ok := d.textOf(n)
	if !ok {
		return
	}
	v, ok := parsePrefix(s.text)
	if !ok {
		d.fail(where(n), "不是有效的地址或地址段", "not an address or range", Text{"如 10.0.0.0/8、192.0.2.7", "such as 10.0.0.0/8, 192.0.2.7"})
		return
	}
	*p = v
}

func (s *Size) decode(d *decoder, n ast.Node, _ string) {
	t, ok := d.textOf(n)
	if !ok {
		return
	}
	v, ok := parseSize(t.text)
	if !ok {
		d.fail(where(n), "不是有效的大小", "not a size above zero", Text{"如 16MiB、512KiB、1_000_000", "such as 16MiB, 512KiB, 1_000_000"})
		return
	}
	*s = v
}

func (m *MicroCNY) decode(d *decoder, n ast.Node, _ string) {
	t, ok := d.textOf(n)
	if !ok {
		return
	}
	v, ok := parseMoney(t.text)
	if !ok || (t.quoted && !t.used) {
		d.fail(where(n), "应为大于零的金额（元），至多六位小数", "an amount in yuan above zero is expected, at most six decimals", Text{"如 3000 或 99.5", "such as 3000 or 99.5"})
		return
	}
	*m = v
}

func (s *Secret) decode(d *decoder, n ast.Node, _ string) {
	t, ok := d.textOf(n)
	if !ok {
		return
	}
	if t.text == "" || strings.ContainsAny(t.text, "\r\n\x00") || strings.TrimSpace(t.text) != t.text {
		d.fail(where(n), "密钥为空，或含有换行、首尾空白", "the secret is empty, or holds a line break or outer spaces", Text{"核对变量的值", "check the variable's value"})
		return
	}
	s.value = t.text
}

func (k *Key) decode(d *decoder, n ast.Node, _ string) {
	t, ok := d.textOf(n)
	if !ok {
		return
	}
	v, err := keyOf(t.text)
	if err != nil {
		d.fail(where(n), "应用密钥须为 24 个字符以上，不含空白与控制字符", fmt.Sprintf("%v", err),
			Text{"用 homeport key create 生成，或换一个更长的", "make one with homeport key create, or use a longer one"})
		return
	}
	*k = v
}
