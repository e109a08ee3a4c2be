package policy

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed facts.yaml packs
var embedded embed.FS

// Basis says what a citation or a row rests on.
type Basis string

// TextRead: the official text was read. Established: long-standing text, not re-read. Practice: practice or
// commentary, no text found.
const (
	TextRead    Basis = "text"
	Established Basis = "established"
	Practice    Basis = "practice"
)

func (b Basis) valid() bool { return b == TextRead || b == Established || b == Practice }

// Cite is one citation.
type Cite struct {
	ID    string `json:"id"`
	Art   string `json:"art,omitempty"`
	Basis Basis  `json:"basis"`
	Title Text   `json:"title"`
	URL   string `json:"url,omitempty"`
}

// String gives the citation as scenario files write it: "cn-pipl-2021 38".
func (c Cite) String() string {
	if c.Art == "" {
		return c.ID
	}
	return c.ID + " " + c.Art
}

// ZH gives 《title》第N条, with the basis in words where it is not text that was read.
func (c Cite) ZH() string {
	s := "《" + c.Title.ZH + "》"
	if numbered(c.Art) {
		s += "第" + c.Art + "条"
	}
	switch c.Basis {
	case Established:
		s += "（未重新核对原文）"
	case Practice:
		s += "（实务做法，未见条文）"
	}
	return s
}

// EN gives the title and article in English, with the basis in words where it is not text that was read.
func (c Cite) EN() string {
	s := c.Title.EN
	if numbered(c.Art) {
		s += ", art. " + c.Art
	}
	switch c.Basis {
	case Established:
		s += " (not re-read)"
	case Practice:
		s += " (practice, no text found)"
	}
	return s
}

func numbered(art string) bool { return art != "" && art[0] >= '0' && art[0] <= '9' }

// Rule describes one row of a table. Several rows may carry one rule: "M7.P" and "M7.I" are rows of rule M7.
type Rule struct {
	Table   string `json:"table"`
	Row     string `json:"row"`
	Rule    string `json:"rule"`
	When    string `json:"when"`
	Outcome string `json:"outcome"`
	Duty    string `json:"duty,omitempty"` // the duty's name, where the row carries one
	Do      Text   `json:"do"`
	Cites   []Cite `json:"cites"`
	Basis   Basis  `json:"basis"`
	From    string `json:"from,omitempty"`
	Until   string `json:"until,omitempty"`
}

type tableYAML struct {
	Table    string             `yaml:"table"`
	Title    Text               `yaml:"title"`
	Hit      string             `yaml:"hit"`
	Total    bool               `yaml:"total"`
	Outcomes []string           `yaml:"outcomes"`
	Rows     []located[rowYAML] `yaml:"rows"`
}

type rowYAML struct {
	ID      string            `yaml:"id"`
	When    located[string]   `yaml:"when"`
	Outcome string            `yaml:"outcome"`
	Duty    string            `yaml:"duty"`
	Do      Text              `yaml:"do"`
	Cites   []located[string] `yaml:"cites"`
	Basis   string            `yaml:"basis"`
	From    string            `yaml:"from"`
	Until   string            `yaml:"until"`
	Cases   []caseYAML        `yaml:"cases"`
}

type caseYAML struct {
	Fires *bool          `yaml:"fires"`
	Facts map[string]any `yaml:"facts"`
}

type termsYAML struct {
	Sets    map[string]string      `yaml:"sets"` // words divided by spaces
	Derived []located[derivedYAML] `yaml:"derived"`
}

type derivedYAML struct {
	ID   string          `yaml:"id"`
	When located[string] `yaml:"when"`
	Why  Text            `yaml:"why"`
}

type profilesYAML struct {
	Profiles []string               `yaml:"profiles"`
	Verdicts []located[verdictYAML] `yaml:"verdicts"`
}

type verdictYAML struct {
	Table    string          `yaml:"table"`
	Rules    []string        `yaml:"rules"`
	Outcomes []string        `yaml:"outcomes"`
	When     located[string] `yaml:"when"`
	Strict   string          `yaml:"strict"`
	Counsel  string          `yaml:"counsel"`
}

type instrumentYAML struct {
	ID        string            `yaml:"id"`
	ZH        string            `yaml:"zh"`
	EN        string            `yaml:"en"`
	URL       string            `yaml:"url"`
	Effective string            `yaml:"effective"`
	Verified  bool              `yaml:"verified"` // title, dates and status were read
	Arts      map[string]string `yaml:"arts"`     // article → basis
}

// Load builds the engine from the embedded packs, once per process, in a few milliseconds: a snapshot holds what
// parsing and checking them gave when they were last changed. A snapshot of other packs is not used. It leaves the
// rows' cases out, which no decision needs; [LoadFS] over [Embedded] reads the YAML, with the cases, and compiles all.
func Load() (*Engine, error) {
	names, raws, digest, err := readPacks(embedded)
	if err != nil {
		return nil, err
	}
	if snap := openSnapshot(digest); snap != nil {
		l := newLoader(false)
		l.snap = snap
		return l.engine(names, snap.Facts, snap.Docs, digest)
	}
	facts, docs, err := parsePacks(names, raws, false)
	if err != nil {
		return nil, err
	}
	return newLoader(false).engine(names, facts, docs, digest)
}

// Embedded is the file system of the shipped packs.
func Embedded() fs.FS { return embedded }

// LoadFS builds an engine from a file system of the embedded packs' form: facts.yaml, and packs/*/*.yaml with
// terms.yaml (sets and derived facts), profiles.yaml, instruments.yaml; every other file is one table. A row must have
// its cases. Errors name file, line and column.
func LoadFS(fsys fs.FS) (*Engine, error) {
	names, raws, digest, err := readPacks(fsys)
	if err != nil {
		return nil, err
	}
	facts, docs, err := parsePacks(names, raws, true)
	if err != nil {
		return nil, err
	}
	return newLoader(true).engine(names, facts, docs, digest)
}

// readPacks reads the files, facts.yaml first, and their common digest.
func readPacks(fsys fs.FS) (names []string, raws [][]byte, digest [32]byte, err error) {
	names, err = fs.Glob(fsys, "packs/*/*.yaml")
	if err != nil || len(names) == 0 {
		return nil, nil, digest, fmt.Errorf("load packs: no packs/*/*.yaml found")
	}
	slices.Sort(names)
	names = append([]string{"facts.yaml"}, names...)
	sum := sha256.New()
	raws = make([][]byte, len(names))
	for i, name := range names {
		if raws[i], err = fs.ReadFile(fsys, name); err != nil {
			return nil, nil, digest, fmt.Errorf("load packs: %w", err)
		}
		// Length-prefixed, so that no two sets of files can give the same stream.
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(raws[i]))
		sum.Write(raws[i])
	}
	sum.Sum(digest[:0])
	return names, raws, digest, nil
}

// parsePacks parses the files side by side, for the YAML parser is the slowest part; docs[0], of facts.yaml, is empty.
func parsePacks(names []string, raws [][]byte, withCases bool) (facts []located[factYAML], docs []document, err error) {
	docs = make([]document, len(names))
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			raw := raws[i]
			if i == 0 {
				facts, errs[0] = readFacts(name, raw)
				return
			}
			if !withCases {
				raw = withoutCases(raw)
			}
			docs[i], errs[i] = readDocument(name, raw)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	return facts, docs, nil
}

func newLoader(withCases bool) *loader {
	return &loader{withCases: withCases, instruments: map[string]instrumentYAML{}, sets: map[string][]string{}}
}

// engine joins the parsed files, in order, and builds.
func (l *loader) engine(names []string, facts []located[factYAML], docs []document, digest [32]byte) (*Engine, error) {
	var err error
	if l.schema, err = newSchema(names[0], facts); err != nil {
		return nil, err
	}
	for i, name := range names[1:] {
		if err := l.file(name, docs[i+1]); err != nil {
			return nil, err
		}
	}
	e, err := l.build()
	if err != nil {
		return nil, err
	}
	e.digest = digest
	return e, nil
}

// withoutCases blanks the block under each `cases:` line, keeping the line numbers of everything else.
func withoutCases(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	inside := -1
	for line := range bytes.Lines(raw) {
		text := bytes.TrimLeft(line, " ")
		indent := len(line) - len(text)
		if inside >= 0 && (indent > inside || len(bytes.TrimSpace(text)) == 0) {
			out = append(out, '\n')
			continue
		}
		inside = -1
		if bytes.Equal(bytes.TrimSpace(text), []byte("cases:")) {
			inside = indent
			out = append(out, '\n')
			continue
		}
		out = append(out, line...)
	}
	return out
}

// document is one file of a pack, whichever it is.
type document struct {
	Terms       *termsYAML                `json:",omitempty"`
	Profiles    *profilesYAML             `json:",omitempty"`
	Instruments []located[instrumentYAML] `json:",omitempty"`
	Table       *tableYAML                `json:",omitempty"`
}

func readDocument(name string, raw []byte) (document, error) {
	var d document
	switch path.Base(name) {
	case "terms.yaml":
		d.Terms = new(termsYAML)
		return d, decodeYAML(name, raw, d.Terms)
	case "profiles.yaml":
		d.Profiles = new(profilesYAML)
		return d, decodeYAML(name, raw, d.Profiles)
	case "instruments.yaml":
		var y struct {
			Instruments []located[instrumentYAML] `yaml:"instruments"`
		}
		err := decodeYAML(name, raw, &y)
		d.Instruments = y.Instruments
		return d, err
	}
	d.Table = new(tableYAML)
	return d, decodeYAML(name, raw, d.Table)
}

// loader collects the files before anything is compiled: tables may use sets and derived facts of any file.
type loader struct {
	schema      *Schema
	withCases   bool      // a row must have its cases
	snap        *snapshot // used instead of compiling; nil: compile
	made        *snapshot // what compiling gave
	instruments map[string]instrumentYAML
	sets        map[string][]string
	derived     []inFile[derivedYAML]
	verdicts    []inFile[verdictYAML]
	tables      []inFile[tableYAML]
}

type inFile[T any] struct {
	file string
	located[T]
}

// file joins one document; an error names it.
func (l *loader) file(name string, d document) error {
	switch {
	case d.Terms != nil:
		for id, words := range d.Terms.Sets {
			members := strings.Fields(words)
			if _, dup := l.sets[id]; dup || len(members) == 0 {
				return fmt.Errorf("%s: set %q is empty or declared twice", name, id)
			}
			l.sets[id] = members
		}
		for _, t := range d.Terms.Derived {
			l.derived = append(l.derived, inFile[derivedYAML]{name, t})
		}
	case d.Profiles != nil:
		for _, v := range d.Profiles.Verdicts {
			l.verdicts = append(l.verdicts, inFile[verdictYAML]{name, v})
		}
	case d.Table != nil:
		l.tables = append(l.tables, inFile[tableYAML]{name, located[tableYAML]{V: *d.Table, Line: 1, Col: 1}})
	default:
		for _, i := range d.Instruments {
			if _, dup := l.instruments[i.V.ID]; dup || i.V.ID == "" || i.V.ZH == "" || i.V.EN == "" {
				return fmt.Errorf("%s:%d:%d: instrument %q is declared twice or lacks a title", name, i.Line, i.Col, i.V.ID)
			}
			for art, b := range i.V.Arts {
				if !Basis(b).valid() {
					return fmt.Errorf("%s:%d:%d: instrument %q: article %s: unknown basis %q", name, i.Line, i.Col, i.V.ID, art, b)
				}
			}
			l.instruments[i.V.ID] = i.V
		}
	}
	return nil
}

// cite resolves "id", "id art" or "id art basis" against the instruments.
func (l *loader) cite(s string) (Cite, error) {
	parts := strings.Fields(s)
	if len(parts) == 0 || len(parts) > 3 {
		return Cite{}, fmt.Errorf("citation %q: want an instrument id, an article and perhaps a basis", s)
	}
	in, ok := l.instruments[parts[0]]
	if !ok {
		return Cite{}, fmt.Errorf("citation %q: no instrument %q", s, parts[0])
	}
	c := Cite{ID: in.ID, Title: Text{in.ZH, in.EN}, URL: in.URL}
	if len(parts) == 1 {
		return Cite{}, fmt.Errorf("citation %q: the article is missing", s)
	}
	b, ok := in.Arts[parts[1]]
	if !ok {
		return Cite{}, fmt.Errorf("citation %q: instrument %s has no article %q in this data", s, in.ID, parts[1])
	}
	c.Art, c.Basis = parts[1], Basis(b)
	if len(parts) == 3 {
		c.Basis = Basis(parts[2])
	}
	if !c.Basis.valid() {
		return Cite{}, fmt.Errorf("citation %q: unknown basis %q", s, c.Basis)
	}
	return c, nil
}
