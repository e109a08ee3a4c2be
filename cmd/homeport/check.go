package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"homeport/internal/config"
	"homeport/internal/wiring"
	"homeport/policy"
	"homeport/registry"
)

// checkCmd validates the configuration without starting anything.
type checkCmd struct {
	File string `arg:"" optional:"" help:"Configuration file, - for standard input. Without it --config is checked, or standard input where there is no homeport.yaml. 配置文件，- 为标准输入；不给则校验 --config，没有 homeport.yaml 时读标准输入。"`
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
		found, ok := unreachable(cfg, name, reg, engine)
		rep.OK = ok
		rep.Problems = append(rep.Problems, found...)
		slices.SortStableFunc(rep.Problems, func(a, b config.Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
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

// read takes the file named, or --config. With neither given and no file in the folder, what is piped in is read; nothing
// piped in is no configuration, so that a check in the wrong folder does not pass.
func (c *checkCmd) read(e *env) (name string, data []byte, err error) {
	piped := func() (string, []byte, error) {
		data, err := io.ReadAll(io.LimitReader(e.stdin, config.MaxFileSize+1))
		return "-", data, err
	}
	switch c.File {
	case "":
	case "-":
		return piped()
	default:
		data, err = config.ReadFile(c.File)
		return c.File, data, err
	}
	data, err = config.ReadFile(e.configPath)
	if errors.Is(err, fs.ErrNotExist) && !e.configSet && !terminal(e.stdin) {
		if name, data, err := piped(); err != nil || len(bytes.TrimSpace(data)) > 0 {
			return name, data, err
		}
	}
	return e.configPath, data, err
}

// terminal reports whether r is a terminal, or another device that nothing is piped through.
func terminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

// unreachable warns of targets that a route offers to an app in vain, each at its place in the file. ok is false when the
// configuration cannot be started.
func unreachable(cfg *config.Config, file string, reg *registry.Registry, engine *policy.Engine) (problems []config.Problem, ok bool) {
	found, err := wiring.Unreachables(cfg, reg, engine, time.Now())
	if err != nil {
		return []config.Problem{unstartable(cfg, file, err)}, false
	}
	for _, u := range found {
		at := cfg.At(fmt.Sprintf("routes[%d].to[%d]", u.Route, u.To))
		if at == (config.Pos{}) {
			at = cfg.At(fmt.Sprintf("routes[%d]", u.Route))
		}
		rules, route, word := strings.Join(u.Rules, ", "), cfg.Routes[u.Route].Model, "rule"
		if len(u.Rules) > 1 {
			word = "rules"
		}
		p := config.Problem{File: file, Line: at.Line, Column: at.Column, Severity: config.Warning, Message: config.Text{
			Zh: fmt.Sprintf("路由 %q 的目标 %s 对应用 %s 永远不会被允许，空请求也不行（%s，规则 %s）", route, u.Target, u.App, u.Verdict, rules),
			En: fmt.Sprintf("route %q: target %s is never permitted for app %s, not even for a request with nothing in it (%s, %s %s)", route, u.Target, u.App, u.Verdict, word, rules)}}
		p.Hint = config.Text{Zh: u.Do.ZH, En: u.Do.EN}
		if u.All {
			p.Hint.Zh, p.Hint.En = p.Hint.Zh+"。此路由没有该应用可用的目标，请求都会被拒绝", p.Hint.En+". This route has no target for this app: every request on it is refused"
		}
		if needs := strings.Join(u.Needs, ", "); needs != "" {
			p.Hint.Zh, p.Hint.En = p.Hint.Zh+"。尚不知道："+needs+"，声明后结论可能改变", p.Hint.En+". Not known: "+needs+"; declaring it may change this"
		}
		problems = append(problems, p)
	}
	return problems, true
}

// unstartable is why no pipeline can be built, at the provider at fault.
func unstartable(cfg *config.Config, file string, err error) config.Problem {
	p := config.Problem{File: file, Line: 1, Column: 1, Severity: config.Error, Message: config.Text{Zh: "无法启动：" + err.Error(), En: "cannot be started: " + err.Error()}}
	for i := range cfg.Providers {
		id := cfg.Providers[i].ID
		if !strings.HasPrefix(err.Error(), "provider "+id+": ") {
			continue
		}
		if at := cfg.At(fmt.Sprintf("providers[%d]", i)); at != (config.Pos{}) {
			p.Line, p.Column = at.Line, at.Column
		}
		if errors.Is(err, wiring.ErrKeyNeeded) {
			p.Message = config.Text{Zh: fmt.Sprintf("供应商 %s 需要 key", id), En: fmt.Sprintf("provider %s needs a key", id)}
			p.Hint = config.Text{Zh: "写明 key: \"${…}\"，并在环境中设置该变量", En: "give key: \"${…}\" and set that variable in the environment"}
		}
	}
	return p
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
	warned := ""
	if n := len(rep.Problems); n > 0 {
		warned = fmt.Sprintf(e.say("，%d 条警告", ", warnings: %d"), n)
	}
	fmt.Fprintf(e.stdout, e.say("\n%s：配置有效%s，%s\n", "\n%s: the configuration is valid%s, %s\n"), rep.File, warned, rep.Digest)
}

// printAssumed writes one line for each group of facts, once for all apps of which the same is assumed.
func printAssumed(e *env, facts []assumedFact) {
	var texts []string
	apps := map[string][]string{}
	for rest := facts; len(rest) > 0; {
		app := rest[0].App
		n := slices.IndexFunc(rest, func(a assumedFact) bool { return a.App != app })
		if n < 0 {
			n = len(rest)
		}
		text := assumedText(e, rest[:n])
		if apps[text] == nil {
			texts = append(texts, text)
		}
		apps[text], rest = append(apps[text], app), rest[n:]
	}
	for _, text := range texts {
		fmt.Fprintf(e.stdout, e.say("应用 %s 未声明而按默认假定的事实：", "facts nobody declared for app %s, and what is assumed:")+"%s\n", strings.Join(apps[text], ", "), text)
	}
}

func assumedText(e *env, facts []assumedFact) string {
	var b strings.Builder
	group := ""
	for _, a := range facts {
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
			fmt.Fprintf(&b, "\n  %s: %s = %s", g, name, value)
			continue
		}
		fmt.Fprintf(&b, ", %s = %s", name, value)
	}
	return b.String()
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
