package policy

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxPackFile bounds one YAML file: the parser's memory grows with it.
const maxPackFile = 1 << 20

// located is a YAML value that remembers where it stands (1-based), so that an error found later can name the place.
type located[T any] struct {
	V         T
	Line, Col int // Col is that of the text, behind an opening quote
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *located[T]) UnmarshalYAML(n ast.Node) error {
	if t := firstToken(n); t != nil && t.Position != nil {
		l.Line, l.Col = t.Position.Line, t.Position.Column
		if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
			l.Col++
		}
	}
	return yaml.NodeToValue(n, &l.V, yaml.Strict())
}

// firstToken is where a node begins; a mapping's own token is the colon after its first key.
func firstToken(n ast.Node) *token.Token {
	switch x := n.(type) {
	case *ast.MappingNode:
		if x.IsFlowStyle || len(x.Values) == 0 {
			return x.GetToken()
		}
		return x.Values[0].Key.GetToken()
	case *ast.MappingValueNode:
		return x.Key.GetToken()
	}
	return n.GetToken()
}

// decodeYAML reads one strict YAML document: unknown and duplicate keys, anchors and further documents are errors
// that name file, line and column.
func decodeYAML(file string, raw []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil { // the parser is not ours; a pack must never bring the process down
			err = fmt.Errorf("%s: the YAML parser gave up", file)
		}
	}()
	if len(raw) > maxPackFile {
		return fmt.Errorf("%s: %d bytes, at most %d are read", file, len(raw), maxPackFile)
	}
	doc, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return yamlError(file, err)
	}
	if len(doc.Docs) != 1 || doc.Docs[0].Body == nil {
		return fmt.Errorf("%s: want one YAML document", file)
	}
	var bad anchorFinder
	ast.Walk(&bad, doc.Docs[0].Body)
	if bad.at != nil {
		return fmt.Errorf("%s:%d:%d: anchors and aliases are not read", file, bad.at.Position.Line, bad.at.Position.Column)
	}
	if err := yaml.NodeToValue(doc.Docs[0].Body, into, yaml.Strict()); err != nil {
		return yamlError(file, err)
	}
	return nil
}

type anchorFinder struct{ at *token.Token }

// Visit implements ast.Visitor.
func (a *anchorFinder) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		a.at = n.GetToken()
	}
	return a
}

func yamlError(file string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
		p := y.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", file, p.Line, p.Column, y.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}
