package openai_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"homeport/internal/openai"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// chunked gives at most n bytes a read, cutting also at the places in cuts.
type chunked struct {
	b    []byte
	at   int
	n    int
	cuts []int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.at == len(c.b) {
		return 0, io.EOF
	}
	end := min(len(c.b), c.at+min(c.n, len(p)))
	for _, cut := range c.cuts {
		if cut > c.at && cut < end {
			end = cut
		}
	}
	n := copy(p, c.b[c.at:end])
	c.at += n
	return n, nil
}

// events reads all events as "name|data", with "#" for a block of comments, and "…" for what is left unfinished.
func events(r io.Reader, buf []byte, max int) (out []string, raw []byte, err error) {
	er := openai.NewEventReader(r, buf, max)
	for {
		ev, err := er.Next()
		raw = append(raw, ev.Raw...)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return append(out, "…"+strings.TrimRight(string(ev.Raw), "\r\n")), raw, nil
		case err == io.EOF:
			return out, raw, nil
		case err != nil:
			return out, raw, err
		case ev.Data == nil:
			out = append(out, "#")
		default:
			out = append(out, ev.Name+"|"+string(ev.Data))
		}
	}
}

var corpus = []struct {
	name, stream string
	want         []string
}{
	{"one event", "data: a\n\n", []string{"|a"}},
	{"no space", "data:a\n\n", []string{"|a"}},
	{"two spaces keep one", "data:  a\n\n", []string{"| a"}},
	{"several", "data: a\n\ndata: b\n\ndata: [DONE]\n\n", []string{"|a", "|b", "|[DONE]"}},
	{"multi-line", "data: a\ndata: b\ndata:\ndata: c\n\n", []string{"|a\nb\n\nc"}},
	{"named", "event: response.done\ndata: x\nid: 7\nretry: 10\n\n", []string{"response.done|x"}},
	{"comment", ": keep-alive\n\ndata: a\n\n", []string{"#", "|a"}},
	{"comment inside", ": c\ndata: a\n: d\n\n", []string{"|a"}},
	{"data without colon", "data\n\n", []string{"|"}},
	{"empty data", "data: \n\n", []string{"|"}},
	{"blank line first", "\ndata: a\n\n", []string{"|a"}},
	{"blank lines between", "data: a\n\n\n\ndata: b\n\n", []string{"|a", "#", "|b"}},
	{"unknown field", "foo: x\n\ndata: a\n\n", []string{"#", "|a"}},
	{"byte order mark", "\xef\xbb\xbfdata: a\n\n", []string{"|a"}},
	{"unfinished", "data: a\n\ndata: b\n", []string{"|a", "…data: b"}},
	{"unfinished without line end", "data: a\n\ndata: [DONE]", []string{"|a", "…data: [DONE]"}},
	{"empty stream", "", nil},
	{"colons in data", "data: {\"a\":\"b: c\"}\n\n", []string{"|{\"a\":\"b: c\"}"}},
	{"chinese", "data: {\"text\":\"你好，世界\"}\n\n", []string{"|{\"text\":\"你好，世界\"}"}},
	{"long", "data: " + strings.Repeat("长", 3000) + "\n\ndata: b\n\n", []string{"|" + strings.Repeat("长", 3000), "|b"}},
}

// The corpus with LF, CRLF and CR ends, at chunk sizes 1, 7 and 4096 and cut at every place: always the same events, and
// every byte is in exactly one event (attack case E6).
func TestEventReader(t *testing.T) {
	for _, c := range corpus {
		for endName, end := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
			t.Run(c.name+" "+endName, func(t *testing.T) {
				stream := []byte(strings.ReplaceAll(c.stream, "\n", end))
				check := func(how string, r io.Reader) {
					t.Helper()
					got, raw, err := events(r, nil, 1<<20)
					if err != nil || !slices.Equal(got, c.want) {
						t.Fatalf("%s: %.200q %v, want %.200q", how, got, err, c.want)
					}
					if !bytes.Equal(raw, bytes.TrimPrefix(stream, []byte("\xef\xbb\xbf"))) {
						t.Fatalf("%s: bytes were lost or doubled: %.200q", how, raw)
					}
				}
				for _, n := range []int{1, 7, 4096} {
					check(fmt.Sprintf("chunks of %d", n), &chunked{b: stream, n: n})
				}
				if len(stream) > 500 {
					return
				}
				for i := range stream {
					check(fmt.Sprintf("cut at %d", i), &chunked{b: stream, n: 4096, cuts: []int{i}})
				}
			})
		}
	}
}

func TestEventBound(t *testing.T) {
	long := "data: " + strings.Repeat("x", 5000) + "\n\n"
	for _, max := range []int{600, 4096, 5000} {
		_, _, err := events(strings.NewReader("data: a\n\n"+long), nil, max)
		if !errors.Is(err, openai.ErrEventTooLarge) {
			t.Errorf("bound %d: %v", max, err)
		}
	}
	got, _, err := events(strings.NewReader(strings.Repeat(long, 3)), nil, len(long))
	if err != nil || len(got) != 3 {
		t.Errorf("events of exactly the bound: %d %v", len(got), err)
	}
}

func TestEventReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	er := openai.NewEventReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), &failing{broken}), nil, 1<<20)
	if ev, err := er.Next(); err != nil || string(ev.Data) != "a" {
		t.Fatalf("%q %v", ev.Data, err)
	}
	for range 2 {
		if _, err := er.Next(); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	}
	er = openai.NewEventReader(&failing{nil}, nil, 1<<20)
	if _, err := er.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestBuffered(t *testing.T) {
	er := openai.NewEventReader(strings.NewReader("data: a\n\ndata: b\n\ndata: c"), nil, 1<<20)
	var got []bool
	for range 2 {
		if _, err := er.Next(); err != nil {
			t.Fatal(err)
		}
		got = append(got, er.Buffered())
	}
	if !slices.Equal(got, []bool{true, false}) {
		t.Errorf("buffered %v", got)
	}
}

func FuzzEventReader(f *testing.F) {
	for _, c := range corpus {
		if len(c.stream) < 500 {
			f.Add([]byte(c.stream), uint8(3))
			f.Add([]byte(strings.ReplaceAll(c.stream, "\n", "\r\n")), uint8(5))
		}
	}
	f.Add([]byte("data: a\r\rdata: b\n\r\n\r"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		const max = 512
		whole, _, wholeErr := events(bytes.NewReader(stream), make([]byte, 512), max)
		split, _, splitErr := events(&chunked{b: stream, n: int(n)%16 + 1}, make([]byte, 512), max)
		if !slices.Equal(whole, split) || !errors.Is(splitErr, wholeErr) {
			t.Fatalf("whole %q %v, split %q %v", whole, wholeErr, split, splitErr)
		}
		for _, e := range whole {
			if len(e) > max+8 {
				t.Fatalf("an event of %d bytes under a bound of %d", len(e), max)
			}
		}
	})
}
