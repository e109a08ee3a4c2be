package practice_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestGuide sends every command that the guide shows: none may be unknown to the upstream.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/guide/practice.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(practice: [^`]+)`").FindAllSubmatch(guide, -1)
	if len(rows) < 12 {
		t.Fatalf("found %d commands in the guide, want at least 12", len(rows))
	}
	for _, row := range rows {
		rec, _, _ := do(t, "POST", chatPath, `{"messages":[`+user(string(row[1]))+`]}`)
		if strings.Contains(rec.Body.String(), "unknown practice command") {
			t.Errorf("unknown command %q", row[1])
		}
	}
}
