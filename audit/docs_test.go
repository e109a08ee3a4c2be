package audit_test

import (
	"os"
	"strings"
	"testing"
)

// TestPublishedExamples: docs/events.md shows the golden file of every kind.
func TestPublishedExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]bool{}
	for i, block := range strings.Split(string(page), "```json\n") {
		if i > 0 {
			text, _, _ := strings.Cut(block, "\n```")
			blocks[text] = true
		}
	}
	for name, ev := range samples() {
		if name == "refusal" {
			continue
		}
		if !blocks[string(ev.AppendTo(nil))] {
			t.Errorf("docs/events.md does not show %s as it is encoded", name)
		}
	}
	if len(blocks) != 4 {
		t.Errorf("%d examples", len(blocks))
	}
}
