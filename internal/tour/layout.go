package tour

import (
	"strings"
	"unicode/utf8"
)

// columns is the width of a line; a wide character takes two.
const columns = 88

// page builds text in two columns: a label, and what belongs to it.
type page struct {
	b strings.Builder
}

// line writes one line as it is.
func (p *page) line(s string) {
	p.b.WriteString(strings.TrimRight(s, " "))
	p.b.WriteByte('\n')
}

// rule writes a line across the page.
func (p *page) rule(c string) { p.line(strings.Repeat(c, columns)) }

// item writes text behind a label at an indent, wrapped under itself. The label's column is width wide.
func (p *page) item(indent int, label string, labelWidth int, text string) {
	pad := strings.Repeat(" ", indent)
	first := pad + label + strings.Repeat(" ", max(1, labelWidth-width(label)))
	if labelWidth == 0 {
		first = pad
	}
	rest := strings.Repeat(" ", width(first))
	for i, l := range wrap(text, columns-width(first)) {
		if i == 0 {
			p.line(first + l)
		} else {
			p.line(rest + l)
		}
	}
}

// width counts columns of a terminal.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth covers the characters this package writes: CJK ideographs, their punctuation, full-width forms.
func runeWidth(r rune) int {
	if r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 {
		return 2
	}
	return 1
}

// notFirst may not begin a line, notLast may not end one (a minimal form of GB/T 15834 5.1).
const (
	notFirst = "，。、；：？！）》】,.;:?!)"
	notLast  = "（《【("
)

// wrap breaks text into lines of at most limit columns: at spaces, and between wide characters.
func wrap(text string, limit int) []string {
	var lines []string
	line, used := "", 0
	flush := func() {
		lines = append(lines, strings.TrimRight(line, " "))
		line, used = "", 0
	}
	for _, piece := range pieces(text) {
		w := width(strings.TrimRight(piece, " "))
		if used > 0 && used+w > limit {
			flush()
		}
		for w > limit { // a word longer than a line
			cut := 0
			for n := 0; cut < len(piece) && n < limit; n++ {
				_, size := utf8.DecodeRuneInString(piece[cut:])
				cut += size
			}
			line, piece = piece[:cut], piece[cut:]
			w = width(piece)
			flush()
		}
		line += piece
		used = width(line)
	}
	if line != "" || len(lines) == 0 {
		flush()
	}
	return lines
}

// pieces are what may stand at the end of a line: words with the spaces behind them, and wide characters with the
// punctuation that clings to them.
func pieces(text string) []string {
	var out []string
	cur := ""
	var last rune
	for _, r := range text {
		breakable := cur != "" && !strings.ContainsRune(notFirst, r) && !strings.ContainsRune(notLast, last) &&
			(last == ' ' && r != ' ' || r != ' ' && (runeWidth(r) == 2 || runeWidth(last) == 2))
		if breakable {
			out = append(out, cur)
			cur = ""
		}
		cur += string(r)
		last = r
	}
	if cur != "" {
		out = append(out, cur)
	}
	return out
}
