package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"homeport/internal/config"
	"homeport/policy"
)

// checkCmd validates the configuration without starting anything.
type checkCmd struct {
	File string `arg:"" optional:"" help:"Configuration file; - reads standard input; without it, --config. 配置文件。"`
	JSON bool   `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

// checkReport is the output of check --json.
type checkReport struct {
	Schema   string           `json:"schema"`
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Digest   string           `json:"digest,omitempty"`
	Problems []config.Problem `json:"problems"`
	Assumed  []assumedFact    `json:"assumed"`
}

// assumedFact is a fact nobody declared. Value is null when it is then unknown and the strict branch applies.
type assumedFact struct {
	App   string `json:"app"`
	Fact  string `json:"fact"`
	Value any    `json:"value"`
}

// Run prints every problem at its place, then what is assumed. Exit 2 when there is an error.
func (c *checkCmd) Run(e *env) error {
	reg, err := openCatalog()
	if err != nil {
		return err
	}
	engine, err := policy.Load()
	if err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	name, data, err := c.read(e)
	if err != nil {
		return &exitError{code: exitUsage, err: err, hint: e.say("不用配置文件也可运行：homeport serve", "none is needed: homeport serve")}
	}
	cfg, problems := config.Load(name, data, configOptions(reg, engine.Schema(), e.getenv))
	rep := checkReport{Schema: "homeport.check.v1", File: name, OK: cfg != nil, Problems: append([]config.Problem{}, problems...), Assumed: []assumedFact{}}
	if cfg != nil {
		rep.Digest = cfg.Digest()
		rep.Assumed = assumptions(cfg, engine.Schema())
	}
	if c.JSON {
		if err := writeJSON(e.stdout, rep); err != nil {
			return err
		}
	} else {
		c.print(e, rep)
	}
	if !rep.OK {
		return &exitError{code: exitUsage, err: errors.New("")}
	}
	return nil
}

func (c *checkCmd) read(e *env) (name string, data []byte, err error) {
	switch c.File {
	case "":
		data, err = config.ReadFile(e.configPath)
		return e.configPath, data, err
	case "-":
		data, err = io.ReadAll(io.LimitReader(e.stdin, config.MaxFileSize+1))
		return "-", data, err
	}
	data, err = config.ReadFile(c.File)
	return c.File, data, err
}

func (c *checkCmd) print(e *env, rep checkReport) {
	printProblems(e.stdout, rep.Problems, e.lang, false)
	if !rep.OK {
		n := 0
		for _, p := range rep.Problems {
			if p.Severity == config.Error {
				n++
			}
		}
		fmt.Fprintf(e.stdout, e.say("%s：%d 处错误\n", "%s: %d errors\n"), rep.File, n)
		return
	}
	printAssumed(e, rep.Assumed)
	fmt.Fprintf(e.stdout, e.say("%s：配置有效，%s\n", "%s: the configuration is valid, %s\n"), rep.File, rep.Digest)
}

// printAssumed writes one line for each app and group of facts.
func printAssumed(e *env, facts []assumedFact) {
	app, group := "", ""
	for _, a := range facts {
		if a.App != app {
			if app != "" {
				fmt.Fprintln(e.stdout)
			}
			app, group = a.App, ""
			fmt.Fprintf(e.stdout, e.say("应用 %s 未声明而按默认假定的事实：", "facts nobody declared for app %s, and what is assumed:"), app)
		}
		g, name, dotted := strings.Cut(a.Fact, ".")
		if !dotted {
			name = a.Fact
		}
		value := e.say("未知（按严格口径判定）", "unknown (the strict branch applies)")
		if a.Value != nil {
			value = factValue(a.Value)
		}
		if g != group {
			group = g
			fmt.Fprintf(e.stdout, "\n  %s: %s = %s", g, name, value)
			continue
		}
		fmt.Fprintf(e.stdout, ", %s = %s", name, value)
	}
	if app != "" {
		fmt.Fprintln(e.stdout)
	}
}

func factValue(v any) string {
	if list, ok := v.([]string); ok {
		return "[" + strings.Join(list, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// assumptions lists, for each app, the facts of operator and app that nobody declared. Facts the gateway measures and
// facts of the model, which the catalog knows, are not among them.
func assumptions(cfg *config.Config, schema *policy.Schema) []assumedFact {
	out := []assumedFact{}
	for i := range cfg.Apps {
		declared := cfg.DeclaredFacts(&cfg.Apps[i])
		for _, f := range schema.Facts() {
			if _, ok := declared[f.ID]; ok || !appFact(f) {
				continue
			}
			if f.Assume != nil || f.ID == "service.audience" || f.ID == "service.opinion" {
				out = append(out, assumedFact{cfg.Apps[i].ID, f.ID, f.Assume})
			}
		}
	}
	return out
}

// appFact reports whether operator or app declare this fact in a configuration.
func appFact(f policy.Fact) bool {
	switch f.ID {
	case "date", "data.pi_persons_ytd", "data.sensitive_persons_ytd", "data.important", "data.core", "data.state_secret":
		return false
	}
	group, _, _ := strings.Cut(f.ID, ".")
	return group != "model" && group != "event" && group != "request" && group != "recipient"
}
