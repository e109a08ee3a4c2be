package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is the version this source tree builds; build information adds the commit.
const release = "0.1.0"

// versionCmd prints what this binary is.
type versionCmd struct {
	JSON bool `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

type versionReport struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints version, commit, Go and platform.
func (c versionCmd) Run(e *env) error {
	v := thisVersion()
	if c.JSON {
		return writeJSON(e.stdout, v)
	}
	commit := v.Commit
	if v.Modified {
		commit += "+"
	}
	_, err := fmt.Fprintf(e.stdout, "homeport %s (%s, %s, %s)\n", v.Version, commit, v.Go, v.Platform)
	return err
}

func thisVersion() versionReport {
	v := versionReport{Schema: "homeport.version.v1", Version: release, Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// writeJSON writes one object, indented, for machines and eyes.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
