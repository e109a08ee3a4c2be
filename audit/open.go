package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// OpenDecision is a decision whose conclusion is not in the journal.
type OpenDecision struct {
	ID    string
	App   string
	Index uint64 // of the decision
}

// OpenDecisions lists, in the order of the journal, decisions without a
// conclusion among the records of dir with index before to; math.MaxUint64 for
// all. Call it with Journal.Durable() taken right after Open, before new
// requests are served, or beside them: those have later indexes. Memory is held
// for open ones only. It reads from the index MarkSettled last left, else all.
func OpenDecisions(dir string, to uint64) ([]OpenDecision, error) {
	from := settledFrom(dir)
	if from > to {
		from = 0 // a hint from another journal
	}
	open := map[string]OpenDecision{}
	done := errors.New("done")
	err := Read(dir, from, func(index uint64, payload []byte) error {
		if index >= to {
			return done
		}
		kind, id, ref, ok := Peek(payload)
		if ok && kind == KindConclusion {
			delete(open, string(ref))
			return nil
		}
		if ok && kind != KindDecision {
			return nil
		}
		app, plain := peekApp(payload, id)
		if ok && plain {
			open[string(id)] = OpenDecision{ID: string(id), App: string(app), Index: index}
			return nil
		}
		ev, err := Parse(payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		switch ev := ev.(type) {
		case *Decision:
			open[ev.ID] = OpenDecision{ID: ev.ID, App: ev.App, Index: index}
		case *Conclusion:
			delete(open, ev.Ref)
		}
		return nil
	})
	if err != nil && !errors.Is(err, done) {
		return nil, err
	}
	list := slices.Collect(maps.Values(open))
	slices.SortFunc(list, func(a, b OpenDecision) int { return cmp.Compare(a.Index, b.Index) })
	return list, nil
}

// peekApp gives the app of a decision as this package writes it, id as Peek gave
// it; ok is false where only Parse can tell.
func peekApp(payload, id []byte) (app []byte, ok bool) {
	at := len(`{"v":1,"kind":"decision","id":""`) + len(id) + len(`,"time":""`) + len(timeLayout)
	if at > len(payload) {
		return nil, false
	}
	rest, ok := bytes.CutPrefix(payload[at:], []byte(`,"app":"`))
	if !ok {
		return nil, false
	}
	app, _, ok = cutPlain(rest)
	return app, ok
}

const settledName = "settled"

// MarkSettled notes in dir that every decision with index before upto has its
// conclusion, so that OpenDecisions need not read them again. It is a hint:
// without it, or with a damaged one, everything is read. Call it when the
// conclusions that OpenDecisions asked for are durable, and at a clean end when
// none is open.
func MarkSettled(dir string, upto uint64) error {
	path := filepath.Join(dir, settledName)
	if err := os.WriteFile(path+tmpExt, strconv.AppendUint(nil, upto, 10), 0o600); err != nil {
		return fmt.Errorf("write settled hint: %w", err)
	}
	if err := os.Rename(path+tmpExt, path); err != nil {
		return fmt.Errorf("write settled hint: %w", err)
	}
	return nil
}

func settledFrom(dir string) uint64 {
	text, err := os.ReadFile(filepath.Join(dir, settledName))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n == math.MaxUint64 {
		return 0
	}
	return n
}
