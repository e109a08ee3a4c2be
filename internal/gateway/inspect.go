package gateway

import (
	"encoding/json/jsontext"
	"fmt"
	"sync"

	"homeport/internal/openai"
	"homeport/internal/pii"
)

// Findings is what inspection saw in a request: counts by type, no text.
type Findings struct {
	Counts      []TypeCount // in order of first appearance
	Uninspected int         // parts that cannot be read: images, audio, files, token arrays
	Bytes       int         // text that was read
}

// TypeCount is how often a type was found.
type TypeCount struct {
	Type  pii.Type
	Count int
}

// Personal reports whether personal information was found, sensitive or not.
func (f *Findings) Personal() bool {
	for _, c := range f.Counts {
		if c.Type.Class != pii.Secret {
			return true
		}
	}
	return false
}

// Sensitive reports whether sensitive personal information was found.
func (f *Findings) Sensitive() bool {
	for _, c := range f.Counts {
		if c.Type.Class == pii.Sensitive {
			return true
		}
	}
	return false
}

func (f *Findings) add(t pii.Type) {
	for i := range f.Counts {
		if f.Counts[i].Type == t {
			f.Counts[i].Count++
			return
		}
	}
	f.Counts = append(f.Counts, TypeCount{t, 1})
}

type scratch struct {
	text  []byte
	ends  []int // where each of several joined places ends in text
	most  int   // bytes of text that have held content since it was cleared
	found []pii.Finding
	own   []pii.Finding // of single places among joined ones, as spans of text
	parts []openai.Text
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

const maxScratch = 1 << 20 // larger buffers are not kept

// inspect reads every text-bearing place of the request. Parts of one message are read joined, so that a value split over
// parts is seen (attack case E5). An error means: not inspected, so not sent (invariant 1).
func inspect(req *openai.Request) (Findings, error) {
	out := Findings{Uninspected: req.Uninspected}
	s := scratches.Get().(*scratch)
	defer func() {
		if cap(s.text) <= maxScratch {
			clear(s.text[:s.most]) // content does not stay in a pool
			s.text, s.found, s.most = s.text[:0], s.found[:0], 0
			scratches.Put(s)
		}
	}()
	for i := 0; i < len(req.Texts); {
		// The contents of one group are neighbours, whatever stands between them: a part has its type beside its text.
		group := req.Texts[i].Group
		s.parts = s.parts[:0]
		for ; i < len(req.Texts) && req.Texts[i].Group == group; i++ {
			if req.Texts[i].Content {
				s.parts = append(s.parts, req.Texts[i])
			} else if err := s.scan(&out, req.Raw, req.Texts[i:i+1]); err != nil {
				return Findings{}, fmt.Errorf("inspect text %d of the request: %w", i, err)
			}
		}
		if len(s.parts) > 0 {
			if err := s.scan(&out, req.Raw, s.parts); err != nil {
				return Findings{}, fmt.Errorf("inspect the text before %d of the request: %w", i, err)
			}
		}
	}
	return out, nil
}

// scan reads neighbouring places: each by itself, and what crosses from one into the next. A value at the end of a part is
// whole whatever the next part begins with.
func (s *scratch) scan(out *Findings, raw []byte, texts []openai.Text) error {
	text, err := joined(s, raw, texts)
	if err != nil {
		return err
	}
	out.Bytes += len(text)
	if len(texts) == 1 {
		s.found = pii.Scan(s.found[:0], text)
		for _, f := range s.found {
			out.add(f.Type)
		}
		return nil
	}
	at := 0
	s.own = s.own[:0]
	for _, end := range s.ends {
		s.found = pii.Scan(s.found[:0], text[at:end])
		for _, f := range s.found {
			out.add(f.Type)
			s.own = append(s.own, pii.Finding{Type: f.Type, Start: at + f.Start, End: at + f.End})
		}
		at = end
	}
	s.found = pii.Scan(s.found[:0], text)
	own, ends := s.own, s.ends
	for _, f := range s.found { // all three in order of place: one pass
		for ends[0] <= f.Start {
			ends = ends[1:]
		}
		for len(own) > 0 && own[0].End <= f.Start {
			own = own[1:]
		}
		if ends[0] >= f.End {
			continue // its own part has told of it
		}
		told := false
		for _, o := range own {
			if o.Start >= f.End {
				break
			}
			told = told || o.Type == f.Type
		}
		if !told {
			out.add(f.Type)
		}
	}
	return nil
}

// joined gives the plain text of neighbouring places: the raw bytes themselves where nothing is escaped.
func joined(s *scratch, raw []byte, texts []openai.Text) ([]byte, error) {
	if len(texts) == 1 && !texts[0].Escaped {
		return texts[0].Of(raw), nil
	}
	s.text, s.ends = s.text[:0], s.ends[:0]
	for _, t := range texts {
		if t.Escaped {
			var err error
			if s.text, err = jsontext.AppendUnquote(s.text, raw[t.Start-1:t.End+1]); err != nil {
				return nil, err
			}
		} else {
			s.text = append(s.text, t.Of(raw)...)
		}
		s.ends = append(s.ends, len(s.text))
	}
	s.most = max(s.most, len(s.text))
	return s.text, nil
}
