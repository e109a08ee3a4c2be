package main

import (
	"errors"
	"fmt"

	"homeport/internal/tour"
	"homeport/policy"
)

// tourCmd shows in one go what Homeport does, on synthetic data and a temporary folder.
type tourCmd struct {
	JSON bool `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

// Run takes the tour and prints it. Exit code 3 when anything came out otherwise than told.
func (c tourCmd) Run(e *env) error {
	reg, err := openCatalog()
	if err != nil {
		return err
	}
	engine, err := policy.Load()
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	noenv := func(string) string { return "" } // the tour is the same everywhere
	r, err := tour.Run(e.ctx, tour.Options{Registry: reg, Engine: engine, Config: configOptions(reg, engine.Schema(), noenv), Version: release, Lang: e.lang})
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, r)
	} else {
		err = r.Write(e.stdout, e.lang)
	}
	if err == nil && !r.OK {
		err = &exitError{code: exitFault, err: errors.New(e.say("导览的结果与所述不符", "the tour came out otherwise than told"))}
	}
	return err
}
