package pii_test

import (
	"strings"
	"testing"

	"homeport/internal/pii"
)

func BenchmarkScanClean(b *testing.B) {
	text := []byte(strings.Repeat("请根据以下会议记录整理出三条要点，并说明理由。Summarise the notes below in three points and say why. ", 300))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if len(pii.Scan(nil, text)) > 0 {
			b.Fatal("found something")
		}
	}
}
