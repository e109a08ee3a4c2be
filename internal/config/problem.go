package config

import (
	"fmt"
	"strings"
)

// Severity of a Problem.
type Severity string

// An error stops the start and a reload; a warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Text is one sentence in both languages.
type Text struct {
	Zh string `json:"zh"`
	En string `json:"en"`
}

// In returns the text in lang, "zh" or "en"; any other value gives Chinese, then English.
func (t Text) In(lang string) string {
	switch {
	case lang == "en":
		return t.En
	case lang == "zh" || t.Zh == t.En || t.En == "":
		return t.Zh
	}
	return t.Zh + " / " + t.En
}

// IsZero reports an empty text.
func (t Text) IsZero() bool { return t.Zh == "" && t.En == "" }

// Pos is a place in a file; line and column count from 1, the column in characters. The zero Pos is no place.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Problem is one thing wrong with a configuration, at its place. It never holds the value of a variable or a secret.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Message  Text     `json:"message"`
	Hint     Text     `json:"hint"`
}

// In is "file:line:column: severity: message", one line.
func (p Problem) In(lang string) string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	word := map[Severity]Text{Error: {"错误", "error"}, Warning: {"警告", "warning"}}[p.Severity]
	fmt.Fprintf(&b, ": %s: %s", word.In(lang), p.Message.In(lang))
	return b.String()
}

// HasErrors reports whether a problem among these stops the start.
func HasErrors(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == Error {
			return true
		}
	}
	return false
}

// nearest returns the known name closest to name, when it is close enough to be what was meant.
func nearest(name string, known []string) (string, bool) {
	best, dist := "", max(1, len(name)/3)+1
	if len(name) < 3 { // too short to guess from
		dist = 1
	}
	for _, k := range known {
		if strings.EqualFold(k, name) || strings.ReplaceAll(k, "_", "") == strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name)) {
			return k, true
		}
		if d := editDistance(name, k); d < dist {
			best, dist = k, d
		}
	}
	return best, best != ""
}

func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	if len(ra) > 64 || len(rb) > 64 {
		return 64
	}
	prev := make([]int, len(rb)+1)
	for j := range prev {
		prev[j] = j
	}
	for i, ca := range ra {
		cur := make([]int, len(rb)+1)
		cur[0] = i + 1
		for j, cb := range rb {
			cost := 1
			if ca == cb {
				cost = 0
			}
			cur[j+1] = min(prev[j+1]+1, cur[j]+1, prev[j]+cost)
		}
		prev = cur
	}
	return prev[len(rb)]
}

// hintNearest is "did you mean …", or the list of what is known.
func hintNearest(name string, known []string) Text {
	if k, ok := nearest(name, known); ok {
		return Text{fmt.Sprintf("是否想写 %s？", k), fmt.Sprintf("did you mean %s?", k)}
	}
	if len(known) == 0 {
		return Text{}
	}
	list := strings.Join(known, ", ")
	return Text{"可用：" + list, "known: " + list}
}
