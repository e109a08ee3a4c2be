package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decoder walks the tree of one document into structs and gathers every problem with its place, where a library's
// decoder would stop at the first and quote the source line, secrets and all.
type decoder struct {
	file     string
	getenv   func(string) string
	problems []Problem
	pos      map[string]Pos
}

func (d *decoder) add(sev Severity, at Pos, msg, hint Text) {
	d.problems = append(d.problems, Problem{File: d.file, Line: at.Line, Column: at.Column, Severity: sev, Message: msg, Hint: hint})
}

func (d *decoder) fail(at Pos, zh, en string, hint Text) { d.add(Error, at, Text{zh, en}, hint) }

// where is the place of a node: its first character.
func where(n ast.Node) Pos {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Pos{}
	}
	p := n.GetToken().Position
	return Pos{Line: p.Line, Column: p.Column}
}

// scalar is one parsed scalar after substitution.
type scalar struct {
	text   string
	null   bool
	quoted bool   // written in quotes or as a block: text, whatever it looks like
	used   bool   // holds the value of a variable
	show   string // what may be shown of it: the source text, never a value
}

// scalarOf reads a scalar node. ok is false when a problem was reported.
func (d *decoder) scalarOf(n ast.Node) (s scalar, ok bool) {
	switch t := n.(type) {
	case *ast.NullNode:
		return scalar{null: true, show: "null"}, true
	case *ast.StringNode:
		tk := t.GetToken()
		s = scalar{text: t.Value, quoted: tk.Value != t.Value || isQuote(tk.Type.String())}
	case *ast.LiteralNode:
		s = scalar{text: t.Value.Value, quoted: true}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s = scalar{text: n.GetToken().Value}
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		d.fail(where(n), "不接受锚点、别名与合并键", "anchors, aliases and merge keys are refused",
			Text{"把内容直接写出来", "write the content out"})
		return s, false
	case *ast.TagNode:
		d.fail(where(n), "不接受 YAML 标签（!…）", "YAML tags (!…) are refused", Text{"去掉标签", "remove the tag"})
		return s, false
	default:
		d.fail(where(n), "此处应为单个值，而不是"+kindZh(n), "a single value is expected here, not "+kindEn(n), Text{})
		return s, false
	}
	s.show = s.text
	sub := substitute(s.text, d.getenv)
	switch {
	case sub.bad == "unclosed":
		d.fail(where(n), "${ 没有闭合", "${ is not closed", Text{"写作 ${NAME}；字面的 ${ 写作 $${", "write ${NAME}; a literal ${ is written $${"})
		return s, false
	case sub.bad == "name":
		d.fail(where(n), "${…} 中的变量名不合法", "the name in ${…} is not a variable name",
			Text{"变量名为字母、数字、下划线；字面的 ${ 写作 $${", "letters, digits and underscores; a literal ${ is written $${"})
		return s, false
	case sub.missing != "":
		d.fail(where(n), fmt.Sprintf("环境变量 %s 未设置或为空", sub.missing), fmt.Sprintf("variable %s is not set, or empty", sub.missing),
			Text{fmt.Sprintf("启动前执行 export %s=…", sub.missing), fmt.Sprintf("export %s=… before the start", sub.missing)})
		return s, false
	}
	s.text, s.used = sub.text, sub.used
	return s, true
}

func isQuote(tokenType string) bool {
	return tokenType == "SingleQuote" || tokenType == "DoubleQuote"
}

func kindZh(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "映射"
	case *ast.SequenceNode:
		return "列表"
	}
	return "单个值"
}

func kindEn(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// entry is one key of a mapping.
type entry struct {
	name  string
	at    Pos
	value ast.Node
}

// mapping returns the entries of a mapping node in order; a null is an empty mapping.
func (d *decoder) mapping(n ast.Node) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch t := n.(type) {
	case *ast.MappingNode:
		values = t.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{t}
	case *ast.NullNode:
		return nil, true
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		_, ok := d.scalarOf(n)
		return nil, ok
	default:
		d.fail(where(n), "此处应为映射（键: 值），而不是"+kindZh(n), "a mapping (key: value) is expected here, not "+kindEn(n), Text{})
		return nil, false
	}
	var out []entry
	seen := map[string]bool{}
	for _, v := range values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			if _, merge := v.Key.(*ast.MergeKeyNode); merge {
				d.fail(where(v.Key), "不接受锚点、别名与合并键", "anchors, aliases and merge keys are refused", Text{"把内容直接写出来", "write the content out"})
			} else {
				d.fail(where(v.Key), "键必须是文本", "a key must be text", Text{"加上引号", "put it in quotes"})
			}
			continue
		}
		if seen[key.Value] { // the parser refuses these too; kept so that the rule does not rest on it alone
			d.fail(where(key), fmt.Sprintf("键 %s 重复", key.Value), fmt.Sprintf("key %s is given twice", key.Value), Text{})
			continue
		}
		seen[key.Value] = true
		out = append(out, entry{key.Value, where(key), v.Value})
	}
	return out, true
}

// selfDecoder is a type with its own form in YAML.
type selfDecoder interface {
	decode(d *decoder, n ast.Node, path string)
}

// structure decodes a mapping into the struct v.
func (d *decoder) structure(n ast.Node, path string, v reflect.Value) {
	entries, ok := d.mapping(n)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	given := map[string]bool{}
	for _, e := range entries {
		f, ok := fields.byName[e.name]
		if !ok {
			d.fail(e.at, fmt.Sprintf("未知的键 %s", clip(e.name)), fmt.Sprintf("unknown key %s", clip(e.name)), hintNearest(e.name, fields.names))
			continue
		}
		given[e.name] = true
		if f.Type == reflect.TypeFor[notYet]() {
			d.notBuilt(e.at, e.name)
			continue
		}
		p := join(path, e.name)
		d.pos[p] = where(e.value)
		d.value(e.value, p, v.FieldByIndex(f.Index), f)
	}
	for _, name := range fields.names {
		if fields.byName[name].Tag.Get("required") == "true" && !given[name] {
			d.fail(where(n), fmt.Sprintf("缺少 %s", name), fmt.Sprintf("%s is missing", name), Text{})
		}
	}
}

func (d *decoder) notBuilt(at Pos, name string) {
	d.fail(at, fmt.Sprintf("%s：本版本尚未提供", name), fmt.Sprintf("%s: not in this version", name),
		Text{"删去此键", "remove this key"})
}

// value decodes n into v, whose field is f.
func (d *decoder) value(n ast.Node, path string, v reflect.Value, f reflect.StructField) {
	if v.Type() == reflect.TypeFor[Facts]() {
		v.Set(reflect.ValueOf(d.facts(n, path, f.Tag.Get("prefix"))))
		return
	}
	if v.CanAddr() {
		if sd, ok := v.Addr().Interface().(selfDecoder); ok {
			sd.decode(d, n, path)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if _, null := n.(*ast.NullNode); null {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, path, v.Elem(), f)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Slice:
		d.list(n, path, v, f)
	case reflect.Map:
		d.stringMap(n, path, v)
	default:
		d.simple(n, v, f)
	}
}

// list decodes a sequence; a single scalar is not taken for a list of one, save where a type says so itself.
func (d *decoder) list(n ast.Node, path string, v reflect.Value, f reflect.StructField) {
	switch t := n.(type) {
	case *ast.NullNode:
	case *ast.SequenceNode:
		for i, item := range t.Values {
			p := fmt.Sprintf("%s[%d]", path, i)
			d.pos[p] = where(item)
			elem := reflect.New(v.Type().Elem()).Elem()
			d.value(item, p, elem, f)
			v.Set(reflect.Append(v, elem))
		}
	default:
		d.fail(where(n), "此处应为列表，而不是"+kindZh(n), "a list is expected here, not "+kindEn(n), Text{"写作 [a, b]，或逐行以 - 开头", "write [a, b], or one line each beginning with -"})
	}
}

func (d *decoder) stringMap(n ast.Node, path string, v reflect.Value) {
	entries, ok := d.mapping(n)
	if !ok {
		return
	}
	m := make(map[string]string, len(entries))
	for _, e := range entries {
		p := join(path, e.name)
		d.pos[p] = where(e.value)
		if s, ok := d.textOf(e.value); ok {
			m[e.name] = s.text
		}
	}
	v.Set(reflect.ValueOf(m))
}

// textOf reads a scalar that must be there and be text.
func (d *decoder) textOf(n ast.Node) (scalar, bool) {
	s, ok := d.scalarOf(n)
	if !ok {
		return s, false
	}
	if s.null {
		d.fail(where(n), "此处不能为空", "a value is missing here", Text{"填写，或删去此键", "fill it in, or remove the key"})
		return s, false
	}
	return s, true
}

// simple decodes strings, booleans, integers and durations.
func (d *decoder) simple(n ast.Node, v reflect.Value, f reflect.StructField) {
	s, ok := d.textOf(n)
	if !ok {
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		dur, err := time.ParseDuration(s.text)
		if err != nil || dur <= 0 {
			d.fail(where(n), "不是有效的时长", "not a duration above zero", Text{"如 500ms、30s、2m", "such as 500ms, 30s, 2m"})
			return
		}
		v.SetInt(int64(dur))
	case v.Kind() == reflect.String:
		if enum := f.Tag.Get("enum"); enum != "" && !contains(strings.Split(enum, ","), s.text) {
			names := strings.Split(enum, ",")
			if f.Name == "Store" && strings.HasPrefix(s.text, "postgres") {
				d.notBuilt(where(n), "store: postgres")
				return
			}
			d.fail(where(n), "值不在可选之列："+strings.Join(names, ", "), "not one of: "+strings.Join(names, ", "), d.shown(s, names))
			return
		}
		v.SetString(s.text)
	case v.Kind() == reflect.Bool:
		b, ok := boolOf(s)
		if !ok {
			d.fail(where(n), "应为 true 或 false", "true or false is expected", Text{})
			return
		}
		v.SetBool(b)
	case v.Kind() == reflect.Int || v.Kind() == reflect.Int64:
		i, ok := parseInt(s.text)
		low, high := limitsOf(f)
		if !ok || i < low || i > high || (s.quoted && !s.used) {
			d.fail(where(n), fmt.Sprintf("应为 %d 到 %d 的整数", low, high), fmt.Sprintf("a whole number from %d to %d is expected", low, high),
				Text{"位数可用下划线分组，如 5_000_000", "digits may be grouped, as in 5_000_000"})
			return
		}
		v.SetInt(i)
	default:
		panic("config: no decoding for " + v.Type().String())
	}
}

// shown is the nearest-name hint, unless the value came from a variable.
func (d *decoder) shown(s scalar, known []string) Text {
	if s.used {
		return Text{}
	}
	return hintNearest(s.text, known)
}

func boolOf(s scalar) (value, ok bool) {
	if s.quoted && !s.used {
		return false, false
	}
	switch s.text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// clip keeps a hostile key from filling the screen.
func clip(s string) string {
	r := []rune(s)
	if len(r) > 60 {
		r = append(r[:60], '…')
	}
	return fmt.Sprintf("%q", string(r))
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
