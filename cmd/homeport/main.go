// Command homeport takes an application off the OpenAI API and brings it to models that are lawful for it.
//
// One file per subcommand. main only wires: run takes its whole world as arguments, so tests start the same code.
// Exit codes: 0 done, 1 finding or refusal, 2 usage or configuration, 3 fault.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes of every subcommand (DESIGN 5.3).
const (
	exitDone    = 0
	exitFinding = 1
	exitUsage   = 2
	exitFault   = 3
)

// cli lists the subcommands: one line each.
type cli struct {
	Config string `help:"Configuration file; none is needed. 配置文件，可不提供。" placeholder:"FILE" default:"homeport.yaml"`
	Lang   string `help:"Language of output: zh or en. 输出语言。" enum:"zh,en,auto" default:"auto"`

	Catalog catalogCmd `cmd:"" help:"Providers and models: search, show. 供应商与模型目录。"`
	Check   checkCmd   `cmd:"" help:"Validate the configuration without starting. 校验配置。"`
	Doctor  doctorCmd  `cmd:"" help:"What is found, what is missing, how to fix it. 环境诊断。"`
	Key     keyCmd     `cmd:"" help:"Application keys: create, list, revoke; admin: a new admin secret. 应用密钥；更换管理密钥。"`
	Schema  schemaCmd  `cmd:"" help:"JSON Schema of the configuration, for editors. 配置的 JSON Schema。"`
	Serve   serveCmd   `cmd:"" help:"Run the gateway. 运行网关。"`
	Tour    tourCmd    `cmd:"" help:"A guided run on synthetic data. 导览。"`
	Version versionCmd `cmd:"" help:"Version of this binary. 版本。"`
}

// env is the world a subcommand may touch. It is built once in run and never mutated.
type env struct {
	ctx        context.Context
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	getenv     func(string) string
	configPath string // --config as given; the default file may be absent
	configSet  bool   // --config was given: the file must exist
	lang       string // "zh" or "en"
}

// exitError carries the exit code a subcommand ends with; hint is printed on its own line.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run is the whole program: arguments and streams in, exit code out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	var c cli
	exited := -1
	parser, err := newParser(&c, stdout, stderr, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintf(stderr, "error: build command line: %v\n", err)
		return exitFault
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: homeport --help\n", err)
		return exitUsage
	}
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv,
		configPath: c.Config, configSet: flagGiven(kctx, "config"), lang: language(c.Lang, getenv)}
	return report(stderr, kctx.Run(e))
}

// newParser reads the command line into c; exit is called by --help.
func newParser(c *cli, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	parser, err := kong.New(c, kong.Name("homeport"), kong.Writers(stdout, stderr),
		kong.Description("Bring an OpenAI application home: lawful models, judged requests, evidence. 让 OpenAI 应用平稳回到依法可用的模型：逐个请求判定，留下证据。"),
		kong.Exit(exit))
	if err != nil {
		return nil, err
	}
	parser.Model.HelpFlag.Help = "This help. 显示帮助。"
	return parser, nil
}

// report prints an error with its hint and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var ee *exitError
	if !errors.As(err, &ee) {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return exitFault
	}
	if ee.err != nil && ee.err.Error() != "" {
		fmt.Fprintf(stderr, "error: %v\n", ee.err)
	}
	if ee.hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", ee.hint)
	}
	return ee.code
}

func flagGiven(kctx *kong.Context, name string) bool {
	for _, p := range kctx.Path {
		if p.Flag != nil && p.Flag.Name == name {
			return true
		}
	}
	return false
}

// language settles auto from LC_ALL, LC_MESSAGES and LANG; Chinese unless another language is set.
func language(flag string, getenv func(string) string) string {
	if flag == "zh" || flag == "en" {
		return flag
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		switch v := getenv(name); {
		case v == "", v == "C", v == "POSIX", strings.HasPrefix(v, "C."):
		case strings.HasPrefix(v, "zh"):
			return "zh"
		default:
			return "en"
		}
	}
	return "zh"
}
