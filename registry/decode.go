package registry

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed data
var embedded embed.FS

// Text is a user-visible text, Chinese first. An empty half is not known or not needed.
type Text struct {
	Zh string `yaml:"zh" json:"zh,omitempty"`
	En string `yaml:"en" json:"en,omitempty"`
}

// In returns the text in "zh" or "en", or the other half when that one is empty.
func (t Text) In(lang string) string {
	if (lang == "zh" && t.Zh != "") || t.En == "" {
		return t.Zh
	}
	return t.En
}

// DataError says where in the data something is wrong. Line is 1-based, 0 when unknown.
type DataError struct {
	File string // path inside the data, such as data/providers/deepseek.yaml
	Line int
	Msg  string
}

func (e *DataError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("registry: %s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("registry: %s:%d: %s", e.File, e.Line, e.Msg)
}

// decode reads one YAML file strictly into v and returns its bytes, for locating what later checks find wrong.
func decode(fsys fs.FS, file string, v any) ([]byte, error) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, &DataError{File: file, Msg: err.Error()}
	}
	if err := yaml.UnmarshalWithOptions(data, v, yaml.Strict()); err != nil {
		return nil, dataError(file, err)
	}
	return data, nil
}

func dataError(file string, err error) *DataError {
	out := &DataError{File: file, Msg: err.Error()}
	var ye yaml.Error
	if errors.As(err, &ye) {
		out.Msg = ye.GetMessage()
		if tok := ye.GetToken(); tok != nil && tok.Position != nil {
			out.Line = tok.Position.Line
		}
	}
	return out
}

// at makes a DataError located at a YAML path such as $.filings[0].number. The file is parsed again: this is the
// error path only.
func at(file string, data []byte, path, format string, args ...any) error {
	e := &DataError{File: file, Msg: fmt.Sprintf(format, args...)}
	if p, err := yaml.PathString(path); err == nil {
		if node, err := p.ReadNode(bytes.NewReader(data)); err == nil && node.GetToken() != nil {
			e.Line = node.GetToken().Position.Line
		}
	}
	return e
}

// lazy is a part of the data that is parsed at most once, at first use.
type lazy[T any] func() (T, error)

func onFirstUse[T any](f func() (T, error)) lazy[T] { return sync.OnceValues(f) }
