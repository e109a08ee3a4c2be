package policy

import (
	_ "embed"
	"encoding/hex"
	"encoding/json/v2"
)

//go:embed snapshot.json
var snapshotJSON []byte

// snapshot is what parsing, checking and compiling the embedded packs gave. It is made by
// `go test ./policy -run TestSnapshotIsCurrent -update` and only ever saves time: it is used when it names the digest
// of the embedded files, and a test fails when it does not say what they say.
type snapshot struct {
	Digest     string
	Facts      []located[factYAML]
	Docs       []document
	Conditions map[string]quick // by the condition's text
	Used       [2]uint64        // facts that some condition reads
	Thresholds map[ID][]int64
	Fractions  map[ID][]float64
}

// openSnapshot gives the snapshot of the packs with this digest, or nil.
func openSnapshot(digest [32]byte) *snapshot {
	var s snapshot
	if err := json.Unmarshal(snapshotJSON, &s); err != nil || s.Digest != hex.EncodeToString(digest[:]) {
		return nil
	}
	return &s
}

// makeSnapshot compiles the embedded packs and writes down what that gave.
func makeSnapshot() ([]byte, error) {
	names, raws, digest, err := readPacks(embedded)
	if err != nil {
		return nil, err
	}
	facts, docs, err := parsePacks(names, raws, false)
	if err != nil {
		return nil, err
	}
	l := newLoader(false)
	if _, err := l.engine(names, facts, docs, digest); err != nil {
		return nil, err
	}
	s := l.made
	s.Digest, s.Facts, s.Docs = hex.EncodeToString(digest[:]), facts, docs
	raw, err := json.Marshal(s, json.Deterministic(true))
	return append(raw, '\n'), err
}
