package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// MaxFileSize bounds homeport.yaml in bytes; MaxDepth bounds its nesting.
const (
	MaxFileSize = 256 << 10
	MaxDepth    = 100
)

// Options are what Load needs of the world. Every function may be nil: then what it would check is not checked.
type Options struct {
	Getenv       func(string) string                  // value of a variable, "" when unset
	KnownCatalog func(id string) bool                 // is there such a catalog entry
	CatalogIDs   func() []string                      // for hints
	CatalogHosts func(id string) []string             // the entry's hosts; {label} or * stands for one label
	CheckFact    func(name string, value any) error   // policy's schema; value as in Fact.Value; may return *FactError
	Routable     func(id string) bool                 // may requests go there at all (reference entries: no)
	PriceKnown   func(p *Provider, model string) bool // does the model have a price in CNY
	FileReadable func(path string) error              // are certificate and key files there
}

// FactError is an error of CheckFact in both languages, with a hint.
type FactError struct{ Message, Hint Text }

func (e *FactError) Error() string { return e.Message.En }

// ReadFile reads a configuration file, bounded. A missing file is an error that satisfies errors.Is(err, fs.ErrNotExist).
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1)) // one byte too many is reported by Load
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return b, nil
}

// Load reads data as homeport.yaml. path names it in problems, and relative paths start at its folder. All problems are
// returned, in order of place; the configuration is nil when one of them is an error.
func Load(path string, data []byte, o Options) (*Config, []Problem) {
	d := &decoder{file: path, getenv: o.Getenv, pos: map[string]Pos{}}
	cfg := &Config{file: path, pos: d.pos}
	if body, ok := d.parse(data); ok {
		if body != nil {
			d.structure(body, "", reflect.ValueOf(cfg).Elem())
		}
		entraOfChina(cfg)
		applyDefaults(reflect.ValueOf(cfg).Elem())
		v := &validator{decoder: d, cfg: cfg, o: o}
		v.all()
		resolvePaths(cfg)
	}
	sort.SliceStable(d.problems, func(i, j int) bool {
		a, b := d.problems[i], d.problems[j]
		return a.Line < b.Line || (a.Line == b.Line && a.Column < b.Column)
	})
	if HasErrors(d.problems) {
		return nil, d.problems
	}
	return cfg, d.problems
}

// parse turns bytes into the root node; nil with ok for an empty document.
func (d *decoder) parse(data []byte) (body ast.Node, ok bool) {
	top := Pos{1, 1}
	switch {
	case len(data) > MaxFileSize:
		d.fail(top, fmt.Sprintf("文件超过 %d KiB", MaxFileSize>>10), fmt.Sprintf("the file is larger than %d KiB", MaxFileSize>>10), Text{})
		return nil, false
	case !utf8.Valid(data):
		d.fail(badUTF8(data), "不是有效的 UTF-8", "not valid UTF-8", Text{"以 UTF-8 保存文件", "save the file as UTF-8"})
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at, deep := tooDeep(data); deep {
		d.fail(at, fmt.Sprintf("嵌套超过 %d 层", MaxDepth), fmt.Sprintf("nested deeper than %d", MaxDepth), Text{})
		return nil, false
	}
	file, err := parseBytes(data)
	if err != nil {
		d.syntax(data, err)
		return nil, false
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, ok := doc.Body.(*ast.CommentGroupNode); ok {
			continue
		}
		if body != nil {
			d.fail(where(doc.Body), "文件中只能有一个 YAML 文档", "one YAML document a file", Text{"去掉 ---", "remove the ---"})
			return nil, false
		}
		body = doc.Body
	}
	return body, true
}

// parseBytes is the library's parser; a panic of it is an error of the file, not of the program.
func parseBytes(data []byte) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML parser gave up")
		}
	}()
	return parser.ParseBytes(data, 0)
}

// syntax reports a parser's error without the excerpt of the source it would print, which may hold a secret.
func (d *decoder) syntax(data []byte, err error) {
	at, msg := Pos{1, 1}, "invalid YAML"
	var ye yaml.Error
	if errors.As(err, &ye) {
		if tk := ye.GetToken(); tk != nil && tk.Position != nil {
			at = Pos{tk.Position.Line, tk.Position.Column}
		}
		msg = ye.GetMessage()
	}
	hint := Text{}
	switch {
	case bareVariable(data, at.Line):
		hint = Text{"{} 或 [] 之内的 ${NAME} 须加引号：\"${NAME}\"", "inside {} or [] quote it: \"${NAME}\""}
	case strings.Contains(msg, "already defined"):
		d.fail(at, "键重复："+msg, msg, Text{"删去其一", "remove one of them"})
		return
	case strings.Contains(msg, "\t"):
		hint = Text{"用空格缩进，不用制表符", "indent with spaces, not tabs"}
	}
	d.fail(at, "YAML 语法错误："+msg, "YAML syntax: "+msg, hint)
}

// bareVariable reports an unquoted ${ inside a flow collection at this line or on the three before it.
func bareVariable(data []byte, line int) bool {
	lines := strings.Split(string(data), "\n")
	depth := 0
	for i, l := range lines {
		if i >= line {
			break
		}
		quote := byte(0)
		for j := 0; j < len(l); j++ {
			c := l[j]
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '#' && (j == 0 || l[j-1] == ' '):
				j = len(l)
			case c == '"' || c == '\'':
				quote = c
			case c == '$' && j+1 < len(l) && l[j+1] == '{':
				if depth > 0 && i >= line-4 {
					return true
				}
				j++
				if end := strings.IndexByte(l[j:], '}'); end >= 0 {
					j += end
				}
			case c == '{' || c == '[':
				depth++
			case (c == '}' || c == ']') && depth > 0:
				depth--
			}
		}
	}
	return false
}

// tooDeep bounds nesting before the parser, which recurses, sees the file: by brackets, by "- - -", by indentation.
func tooDeep(data []byte) (Pos, bool) {
	depth := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		dashes, indent := 0, true
		for j := 0; j < len(line); j++ {
			switch c := line[j]; c {
			case '{', '[':
				depth++
			case '}', ']':
				depth = max(depth-1, 0)
			case '-', '?', ':':
				if indent && j+1 < len(line) && line[j+1] == ' ' {
					dashes++
				}
			case ' ':
			default:
				indent = false
			}
			if depth > MaxDepth || dashes > MaxDepth {
				return Pos{i + 1, j + 1}, true
			}
		}
		if lead := len(line) - len(bytes.TrimLeft(line, " ")); lead > 8*MaxDepth && lead < len(line) {
			return Pos{i + 1, lead + 1}, true
		}
	}
	return Pos{}, false
}

func badUTF8(data []byte) Pos {
	line, col := 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		col++
		if r == '\n' {
			line, col = line+1, 1
		}
		data = data[n:]
	}
	return Pos{line, col}
}

// entraOfChina: the cloud operated by 21Vianet has an authority and scope of its own; global tokens do not work there.
func entraOfChina(c *Config) {
	for i := range c.Providers {
		if e := c.Providers[i].Entra; e != nil && c.Providers[i].Catalog == "azure-china-21vianet" {
			if e.Authority == "" {
				e.Authority = "https://login.partner.microsoftonline.cn"
			}
			if e.Scope == "" {
				e.Scope = "https://cognitiveservices.azure.cn/.default"
			}
		}
	}
}

// resolvePaths makes relative paths start at the file's folder; without a file, at the working folder.
func resolvePaths(c *Config) {
	dir := ""
	if c.file != "" && c.file != "-" {
		dir = filepath.Dir(c.file)
	}
	fix := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	fix(&c.Data)
	for _, t := range []*TLS{c.TLS, c.Admin.TLS} {
		if t != nil {
			fix(&t.Cert)
			fix(&t.Key)
		}
	}
}
