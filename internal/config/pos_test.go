package config_test

import (
	"fmt"
	"strings"
	"testing"

	"homeport/internal/config"
)

// Places are those an editor shows, whatever stands before them: Chinese text counts in characters, line ends may be
// CRLF, comments, blank lines, block scalars and multi-line flow do not shift what follows.
func TestPlacesAreExact(t *testing.T) {
	for name, c := range map[string]struct{ text, at string }{
		"after Chinese text":        {"operator: {name: 示例科技, plcae: 1}\n", "1:31"},
		"after a Chinese comment":   {"# 注释：说明\nprofile: strict # 严格\nwrong: 1\n", "3:1"},
		"crlf":                      {"profile: strict\r\n\r\nadmin:\r\n  wrong: 1\r\n", "4:3"},
		"after blank lines":         {"\n\n\nprofile: strict\n\n\nwrong: 1\n", "7:1"},
		"after a block scalar":      {"operator:\n  name: |\n    one\n    two\n\nwrong: 1\n", "6:1"},
		"after a folded scalar":     {"operator:\n  name: >-\n    one\n    two\nwrong: 1\n", "5:1"},
		"in flow over lines":        {"providers:\n  - {id: a, catalog: deepseek,\n     wrong: 1}\n", "3:6"},
		"after flow over lines":     {"apps: [\n  {id: a},\n  {id: b}\n]\nwrong: 1\n", "5:1"},
		"after a two-line string":   {"operator:\n  name: \"one\n    two\"\nwrong: 1\n", "4:1"},
		"after comments in a list":  {"apps:\n  # first\n  - id: a   # x\n    # second\n  - id: b\n    wrong: 1\n", "6:5"},
		"nested deep":               {"providers:\n  - id: a\n    catalog: deepseek\n    timeouts:\n      connect: 1s\n      wrong: 1\n", "6:7"},
		"value after spaces":        {"listen:        nonsense\n", "1:16"},
		"value on the next line":    {"listen:\n  nonsense\n", "2:3"},
		"after a document marker":   {"---\nwrong: 1\n", "2:1"},
		"after a byte order mark":   {"\ufeffwrong: 1\n", "1:1"},
		"duplicate after a comment": {"# x\nprofile: strict\n# y\nprofile: strict\n", "4:1"},
	} {
		_, problems := config.Load("f", []byte(c.text), options(nil))
		var at []string
		for _, p := range problems {
			if p.Severity == config.Error {
				at = append(at, fmt.Sprintf("%d:%d", p.Line, p.Column))
			}
		}
		if strings.Join(at, " ") != c.at {
			t.Errorf("%s: at %v, want %s:%s", name, at, c.at, lines(problems))
		}
	}
}
