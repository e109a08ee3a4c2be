package audit

import (
	"encoding/json/jsontext"
	"fmt"
	"slices"
	"strconv"
)

// Value is a fact's value: a string, integer, boolean, list of strings, or null.
// The zero Value is null.
type Value struct {
	kind valueKind
	str  string
	num  int64 // also 0 and 1 for false and true
	list []string
}

type valueKind uint8

const (
	valueNull valueKind = iota
	valueString
	valueInt
	valueBool
	valueList
)

// String makes a string value.
func String(s string) Value { return Value{kind: valueString, str: s} }

// Int makes an integer value.
func Int(n int64) Value { return Value{kind: valueInt, num: n} }

// Bool makes a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{kind: valueBool, num: 1}
	}
	return Value{kind: valueBool}
}

// Strings makes a list value. The list is not copied.
func Strings(list ...string) Value { return Value{kind: valueList, list: list} }

// Null is the value of a fact that is not known.
func Null() Value { return Value{} }

// Any gives the value as string, int64, bool, []string or nil.
func (v Value) Any() any {
	switch v.kind {
	case valueString:
		return v.str
	case valueInt:
		return v.num
	case valueBool:
		return v.num != 0
	case valueList:
		return slices.Clone(v.list)
	}
	return nil
}

// Equal reports whether v and o are the same value.
func (v Value) Equal(o Value) bool {
	return v.kind == o.kind && v.str == o.str && v.num == o.num && slices.Equal(v.list, o.list)
}

func (v Value) appendTo(dst []byte) []byte {
	switch v.kind {
	case valueString:
		return appendString(dst, v.str)
	case valueInt:
		return strconv.AppendInt(dst, v.num, 10)
	case valueBool:
		return strconv.AppendBool(dst, v.num != 0)
	case valueList:
		return appendList(dst, v.list)
	}
	return append(dst, "null"...)
}

// UnmarshalJSONFrom reads a value; other JSON than the five kinds is an error.
func (v *Value) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case 'n':
		*v = Null()
	case 't', 'f':
		*v = Bool(tok.Bool())
	case '"':
		*v = String(tok.String())
	case '0':
		n, err := strconv.ParseInt(tok.String(), 10, 64)
		if err != nil {
			return fmt.Errorf("fact value is no 64-bit integer")
		}
		*v = Int(n)
	case '[':
		list := []string{}
		for dec.PeekKind() == '"' {
			tok, err := dec.ReadToken()
			if err != nil {
				return err
			}
			list = append(list, tok.String())
		}
		if tok, err := dec.ReadToken(); err != nil || tok.Kind() != ']' {
			return fmt.Errorf("fact value is a list of something else than strings")
		}
		*v = Strings(list...)
	default:
		return fmt.Errorf("fact value is an object")
	}
	return nil
}
