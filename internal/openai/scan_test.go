package openai_test

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"io"
	"strings"
	"testing"

	"homeport/internal/openai"
)

// strictObject is jsontext's opinion of a body: one object, strictly valid, nothing after it, at most MaxDepth deep.
func strictObject(b []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	if dec.PeekKind() != '{' {
		return false
	}
	deepest := 0
	for first := true; first || dec.StackDepth() > 0; first = false {
		if _, err := dec.ReadToken(); err != nil {
			return false
		}
		deepest = max(deepest, dec.StackDepth())
	}
	_, err := dec.ReadToken()
	return errors.Is(err, io.EOF) && deepest <= openai.MaxDepth
}

// refusedForItsJSON tells a refusal of the JSON itself from one of what it says, or of how much it says: too_many_items has
// no counterpart here, for a body over a bound is valid JSON.
func refusedForItsJSON(err *openai.Error) bool {
	switch err.Code {
	case "invalid_json", "duplicate_field", "trailing_data", "too_deep":
		return true
	}
	return false
}

// FuzzScanAgainstJSONText holds the scanner to the standard library: what one refuses as JSON the other refuses too. Bodies
// refused for what they say (missing messages, routing names) are no difference.
func FuzzScanAgainstJSONText(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":"你好 \ud83d\ude00 \n"}]}`, `{"a":1,"\u0061":2}`, `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`,
		"{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xe0\x80\xaf\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\x01\"}", `{"a":01}`, `{"a":-0.0e+9}`,
		`{"a":1.}`, `{"a":+1}`, `{"a":.5}`, `{"a":tru}`, `{"a":[1,]}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `[]`, ` {} `, `{}x`, "\xef\xbb\xbf{}",
		`{"a":{"b":1,"b":2}}`, `{` + strings.Repeat(`"k":[`, 3) + `]]]}`, `{"x":` + strings.Repeat("[", 199) + strings.Repeat("]", 199) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := openai.Parse(openai.Chat, b)
		valid := strictObject(b)
		switch {
		case err == nil && !valid:
			t.Fatal("taken, and jsontext refuses it")
		case err != nil && valid && refusedForItsJSON(err):
			t.Fatalf("refused as JSON (%s), and jsontext takes it", err.Code)
		}
	})
}

// Many names in one object are looked up in another way; both ways must see a repetition.
func TestRepeatedNameAmongMany(t *testing.T) {
	for _, n := range []int{2, 23, 24, 25, 26, 60} {
		var b strings.Builder
		b.WriteString(`{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"name` + strings.Repeat("x", i) + `":1`)
		}
		whole := b.String()
		if _, err := openai.Parse(openai.Chat, []byte(whole+`}}`)); err != nil {
			t.Fatalf("%d names: %v", n, err)
		}
		for _, repeated := range []string{`name`, `name` + strings.Repeat("x", n-1), `n\u0061me`} {
			_, err := openai.Parse(openai.Chat, []byte(whole+`,"`+repeated+`":2}}`))
			if err == nil || err.Code != "duplicate_field" {
				t.Fatalf("%d names, one repeated: got %v", n, err)
			}
		}
	}
}

func BenchmarkParse32K(b *testing.B) {
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("请整理要点并说明理由。Summarise the notes. ", 700) + `"}]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openai.Parse(openai.Chat, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONText32K(b *testing.B) {
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("请整理要点并说明理由。Summarise the notes. ", 700) + `"}]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if !strictObject(body) {
			b.Fatal("refused")
		}
	}
}

// FuzzValid holds Valid to the standard library's opinion of a whole value.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{`{}`, ` [1, "a", {"b":null}] `, `"\ud83d\ude00"`, `-0`, `tru`, `[1,]`, `{"a":1,"a":2}`, `1 2`, ``, `{"a":}`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Count(string(b), "[")+strings.Count(string(b), "{") > openai.MaxDepth {
			return // depths differ by design
		}
		if got, want := openai.Valid(b), jsontext.Value(b).IsValid(); got != want {
			t.Fatalf("Valid says %v, jsontext %v", got, want)
		}
	})
}
