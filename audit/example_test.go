package audit_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"homeport/audit"
)

func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ev := audit.Admin{
		Head: audit.Head{ID: "hp_01KANSYJ2Q0000000000000001", Time: now},
		Who:  "cli", What: "key.create", On: "support-bot",
	}
	if err := j.Append(context.Background(), audit.AppendAdmin(nil, &ev)); err != nil {
		fmt.Println("refuse what it was to record:", err)
	}
	if err := j.Close(); err != nil {
		fmt.Println(err)
	}

	report, err := audit.Verify(dir)
	fmt.Println(report.Records, err)
	err = audit.Read(dir, 0, func(index uint64, payload []byte) error {
		fmt.Printf("%d %s\n", index, payload)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// 0 {"v":1,"kind":"admin","id":"hp_01KANSYJ2Q0000000000000001","time":"2026-11-22T12:00:00.000Z","who":"cli","what":"key.create","on":"support-bot"}
	// <nil>
}
