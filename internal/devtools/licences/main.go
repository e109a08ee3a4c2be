// Command licences lists the licence of every module linked into a package, and fails on any that is not permissive.
//
//	licences -check NOTICE ./cmd/homeport   fails when NOTICE is not current
//	licences -write NOTICE ./cmd/homeport   writes it
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

type module struct {
	Path, Version, Dir string
	Main               bool
}

// kinds are the licences that may be linked, each with words that only it has.
var kinds = []struct{ name, words string }{
	{"Apache-2.0", "Apache License"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining"},
	{"BSD", "Redistribution and use in source and binary forms"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
}

func main() {
	check := flag.String("check", "", "file that must be current")
	write := flag.String("write", "", "file to write")
	flag.Parse()
	if err := run(*check, *write, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(check, write string, packages []string) error {
	mods, err := linked(packages)
	if err != nil {
		return err
	}
	if len(mods) == 0 {
		return errors.New("no linked modules found: name a package that has some")
	}
	var b bytes.Buffer
	b.WriteString("Homeport\nLicensed under the Apache License, Version 2.0.\n\nLinked modules and their licences:\n\n")
	for _, m := range mods {
		kind, err := licence(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%-50s %-12s\n", m.Path, kind)
	}
	if write != "" {
		return os.WriteFile(write, b.Bytes(), 0o644)
	}
	old, err := os.ReadFile(check)
	if err != nil {
		return fmt.Errorf("read notice: %w", err)
	}
	if !bytes.Equal(old, b.Bytes()) {
		return fmt.Errorf("%s is not current: run make notice", check)
	}
	return nil
}

// linked lists the modules whose packages are built in, for any supported platform.
func linked(packages []string) ([]module, error) {
	seen := map[string]module{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, packages...)...)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("list dependencies for %s: %w", goos, err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct{ Module *module }
			if err := dec.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read dependency list: %w", err)
			}
			if p.Module != nil && !p.Module.Main {
				seen[p.Module.Path] = *p.Module
			}
		}
	}
	var mods []module
	for _, m := range seen {
		mods = append(mods, m)
	}
	slices.SortFunc(mods, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return mods, nil
}

func licence(m module) (string, error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return "", fmt.Errorf("read module %s: %w", m.Path, err)
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("read licence of %s: %w", m.Path, err)
		}
		flat := strings.Join(strings.Fields(string(text)), " ")
		for _, k := range kinds {
			if strings.Contains(flat, k.words) {
				return k.name, nil
			}
		}
		return "", fmt.Errorf("%s: licence %s is none of the permitted ones", m.Path, e.Name())
	}
	return "", fmt.Errorf("%s: no licence file", m.Path)
}
