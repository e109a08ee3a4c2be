package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"homeport/internal/doctor"
	"homeport/policy"
)

// doctorCmd shows what is found, what is missing and how to mend it.
type doctorCmd struct {
	JSON bool `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

// dataAsOf is the date of the data in this release: a clock before it is wrong.
var dataAsOf = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Run prints each item with its cure. Exit 1 when something keeps the gateway from starting.
func (c doctorCmd) Run(e *env) error {
	reg, err := openCatalog()
	if err != nil {
		return err
	}
	engine, err := policy.Load()
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	l, err := loadConfig(e, reg, engine.Schema(), true)
	if err != nil {
		return err
	}
	items := doctor.Look(e.ctx, doctor.Input{Getenv: e.getenv, ConfigPath: e.configPath, FromFile: l.fromFile, Config: l.cfg, Problems: l.problems, Found: l.found, Unused: unusedKeys(reg, e.getenv),
		Platform: fmt.Sprintf("homeport %s, %s, %s/%s", release, runtime.Version(), runtime.GOOS, runtime.GOARCH), DataAsOf: dataAsOf, Now: time.Now()})
	worst := doctor.Worst(items)
	if c.JSON {
		if err := writeJSON(e.stdout, struct {
			Schema string        `json:"schema"`
			Status doctor.Status `json:"status"`
			Items  []doctor.Item `json:"items"`
		}{"homeport.doctor.v1", worst, items}); err != nil {
			return err
		}
	} else {
		c.print(e, items)
	}
	if worst == doctor.Fail {
		return &exitError{code: exitFinding, err: errors.New("")}
	}
	return nil
}

func (doctorCmd) print(e *env, items []doctor.Item) {
	marks := map[doctor.Status]string{doctor.OK: e.say("正常", "ok  "), doctor.Warn: e.say("注意", "warn"), doctor.Fail: e.say("故障", "FAIL")}
	for _, it := range items {
		fmt.Fprintf(e.stdout, "%s  %s\n", marks[it.Status], it.Found.In(e.lang))
		if !it.Fix.IsZero() {
			fmt.Fprintf(e.stdout, "      → %s\n", it.Fix.In(e.lang))
		}
	}
}
