package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"homeport/audit"
	"homeport/internal/appkey"
	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/wiring"
	"homeport/policy"
	"homeport/registry"
)

// serveCmd runs the gateway until it is told to stop.
type serveCmd struct {
	Grace time.Duration `help:"How long requests in flight may take to end. 优雅退出的等待时间。" default:"30s"`
	Delay time.Duration `help:"How long /readyz says no before the listeners close. 关闭监听前 /readyz 报告未就绪的时间。" default:"0s" name:"drain-delay"`
}

// settle is waited for after a change of the file: editors write more than once.
const settle = 300 * time.Millisecond

// Run starts the server, prints what to paste, follows changes of the file, and drains at the end.
func (c *serveCmd) Run(e *env) error {
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
	if l.cfg == nil {
		printProblems(e.stderr, l.problems, e.lang, true)
		return &exitError{code: exitUsage, err: errors.New(e.say("配置有误，没有启动", "the configuration has errors; not started"))}
	}
	printProblems(e.stderr, l.problems, e.lang, false)
	return c.run(e, reg, engine, l)
}

// run serves a configuration that was loaded, until it is told to stop.
func (c *serveCmd) run(e *env, reg *registry.Registry, engine *policy.Engine, l loaded) error {
	o := wiring.Options{Registry: reg, Engine: engine, Version: release, Log: slog.New(slog.NewJSONHandler(e.stderr, nil))}
	log.SetOutput(io.Discard) // net/http reports unsolicited upstream bytes to the standard logger: content (invariant 5)
	if l.fromFile {
		o.Load = func() (*config.Config, error) { return e.again(reg, engine) }
	} else {
		o.AppKey = appkey.New().Credential
		o.AssumedFacts = config.AssumedByDefault()
	}
	s, err := wiring.Start(e.ctx, l.cfg, o)
	if err != nil {
		return startError(e, err)
	}
	startProfile(e)
	pace()
	debug.FreeOSMemory() // what the start needed and serving does not
	c.banner(e, s, l, o.AppKey, unusedKeys(reg, e.getenv))
	err = c.follow(e, s, o)
	s.Gateway().Drain()
	time.Sleep(c.Delay) // load balancers turn away while the listeners still answer
	return errors.Join(err, s.Close(c.Grace))
}

// again reads the configuration for a reload. Problems are printed; a bad file leaves the old configuration running.
func (e *env) again(reg *registry.Registry, engine *policy.Engine) (*config.Config, error) {
	l, err := loadConfig(e, reg, engine.Schema(), true)
	if err != nil {
		return nil, err
	}
	if !l.fromFile { // a server that was started from a file never falls back on what is assumed without one
		return nil, fmt.Errorf("%s: %w", e.configPath, fs.ErrNotExist)
	}
	if l.cfg == nil {
		printProblems(e.stderr, l.problems, e.lang, true)
		return nil, fmt.Errorf("%s: %d problems, the first at line %d", e.configPath, len(l.problems), l.problems[0].Line)
	}
	return l.cfg, nil
}

// follow waits for the end, reloading on SIGHUP and when the file changes.
func (c *serveCmd) follow(e *env, s *wiring.Server, o wiring.Options) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	changed, closeWatch := watch(e, o)
	defer closeWatch()
	var due <-chan time.Time
	started := s.Config()
	for {
		select {
		case <-e.ctx.Done():
			return nil
		case err := <-s.Failed():
			return err
		case <-hup:
			reload(e.ctx, s, started, o.Log)
		case <-changed:
			due = time.After(settle)
		case <-due:
			due = nil
			reload(e.ctx, s, started, o.Log)
		}
	}
}

// reload puts the file in force and logs what came of it. started is the configuration that the listeners were opened with.
func reload(ctx context.Context, s *wiring.Server, started *config.Config, log *slog.Logger) {
	if err := s.Reload(ctx); err != nil {
		log.LogAttrs(ctx, slog.LevelError, "reload failed, the old configuration goes on", slog.String("error", err.Error()))
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, "reloaded", slog.String("config", s.Config().Digest()))
	if keys := needRestart(started, s.Config()); len(keys) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "changed keys that take a restart", slog.Any("keys", keys))
	}
}

// needRestart names the keys that differ and that a reload does not put in force: listeners and the data folder stay as
// they were started.
func needRestart(was, is *config.Config) (keys []string) {
	for _, k := range []struct {
		name    string
		was, is any
	}{
		{"listen", was.Listen, is.Listen}, {"tls", was.TLS, is.TLS}, {"trusted_proxies", was.TrustedProxies, is.TrustedProxies},
		{"admin", was.Admin, is.Admin}, {"data", was.Data, is.Data}, {"store", was.Store, is.Store}, {"journal", was.Journal, is.Journal},
	} {
		if !reflect.DeepEqual(k.was, k.is) {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// watch reports changes of the configuration file. The folder is watched, because editors replace files; and the file is
// looked at on every event of the folder, because it may be a link whose target is swapped, as in a mounted ConfigMap.
func watch(e *env, o wiring.Options) (<-chan struct{}, func()) {
	changed := make(chan struct{}, 1)
	if o.Load == nil {
		return changed, func() {}
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(filepath.Dir(e.configPath))
	}
	if err != nil {
		o.Log.LogAttrs(e.ctx, slog.LevelWarn, "configuration is not watched; send SIGHUP to reload", slog.String("error", err.Error()))
		return changed, func() {}
	}
	name, last := filepath.Clean(e.configPath), look(e.configPath)
	go func() { // ends when the watcher is closed
		tell := func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		for {
			select {
			case ev, open := <-w.Events:
				if !open {
					return
				}
				now := look(e.configPath)
				if !unchanged(last, now) || filepath.Clean(ev.Name) == name && !ev.Has(fsnotify.Chmod) {
					last = now
					tell()
				}
			case err, open := <-w.Errors:
				if !open {
					return
				}
				// Events may have been lost: look at the file again rather than miss a change.
				o.Log.LogAttrs(e.ctx, slog.LevelWarn, "watching the configuration failed for a moment", slog.String("error", err.Error()))
				tell()
			}
		}
	}()
	return changed, func() { _ = w.Close() }
}

// unchanged reports whether two looks at a path found the same file in the same state; nil is no file. Time and size alone
// are not enough: files made within a clock tick may share both.
func unchanged(was, is os.FileInfo) bool {
	if was == nil || is == nil {
		return was == nil && is == nil
	}
	return os.SameFile(was, is) && was.ModTime().Equal(is.ModTime()) && was.Size() == is.Size()
}

// look is os.Stat, nil where there is nothing to see.
func look(path string) os.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

func startError(e *env, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &exitError{code: exitFault, err: err, hint: e.say("端口被占用：改 listen 或 admin.listen，或停止占用者（homeport doctor 可查）", "the port is taken: change listen or admin.listen, or stop what holds it (homeport doctor shows)")}
	case errors.Is(err, control.ErrLocked), errors.Is(err, audit.ErrLocked):
		return &exitError{code: exitFault, err: err, hint: e.say("另一个 homeport 进程正在使用此数据目录：停止它，或在配置中另写 data", "another homeport process uses this data folder: stop it, or name another folder in data")}
	case errors.Is(err, os.ErrPermission):
		return &exitError{code: exitFault, err: err, hint: e.say("检查 data 目录的权限", "check the permissions of the data folder")}
	}
	return &exitError{code: exitFault, err: err, hint: "homeport doctor"}
}

// banner prints where to connect and what to paste. The key of a start without a file is shown here, this once;
// unused names keys of the environment that are never used.
func (c *serveCmd) banner(e *env, s *wiring.Server, l loaded, key string, unused []string) {
	base := "http://" + dialable(s.Data) + "/v1"
	if l.cfg.TLS != nil {
		base = "https://" + dialable(s.Data) + "/v1"
	}
	scheme := "http://"
	if l.cfg.Admin.TLS != nil {
		scheme = "https://"
	}
	p := func(zh, en string, args ...any) { fmt.Fprintf(e.stdout, e.say(zh, en)+"\n", args...) }
	p("Homeport %s 已启动", "Homeport %s is running", release)
	p("  base URL   %s", "  base URL   %s", base)
	p("  管理面     %s", "  admin URL  %s", scheme+dialable(s.Admin)+"/")
	if s.AdminSecret != "" {
		p("  管理密钥   %s   （只显示这一次）", "  admin secret  %s   (shown this once)", s.AdminSecret)
	}
	p("  数据目录   %s", "  data       %s", l.cfg.Data)
	if len(unused) > 0 {
		p("  不使用     %s：这些服务不向中国内地提供，网关从不向其发送", "  not used   %s: these services are not offered in mainland China, and nothing is ever sent to them", strings.Join(unused, ", "))
	}
	if s.Unfinished > 0 {
		p("  上次进程有 %d 个请求未记结论，已记为“进程结束，结果未知”", "  %d requests of the last process were left open; they are concluded as unknown", s.Unfinished)
	}
	if key == "" {
		p("  上游       %s", "  upstreams  %s", upstreams(e, l))
		p("  应用       %s", "  apps       %s", strings.Join(appIDs(l.cfg), ", "))
		p("  密钥       配置中的 keys，或 homeport key create 应用名", "  keys       those of the configuration, or homeport key create APP")
		return
	}
	p("  应用密钥   %s   （应用 default，仅在内存中，重启即换）", "  app key    %s   (app default, in memory only, new at each start)", key)
	p("  上游       %s", "  upstreams  %s", upstreams(e, l))
	p("  假定       没有配置文件：运营者所在地 CN；应用 default 仅供内部使用（internal），无舆论属性（opinion: false）",
		"  assumed    no configuration file: operator in CN; app default is internal, without influence on opinion (opinion: false)")
	snippets(e, base, key)
}

// upstreams names the providers, and says so when there are none but practice.
func upstreams(e *env, l loaded) string {
	var names []string
	for i := range l.cfg.Providers {
		names = append(names, l.cfg.Providers[i].ID)
	}
	list := strings.Join(names, ", ")
	if l.detected && len(l.found) == 0 {
		list += e.say("：没有发现供应商密钥或本机模型，由内置练习上游作答", ": no provider key and no local model found, the built-in practice upstream answers")
	}
	return list
}

// snippets are ready to paste: one curl line, one Python and one Node snippet.
func snippets(e *env, base, key string) {
	ask := e.say("你好，请用一句话介绍你自己", "Hello, introduce yourself in one sentence")
	fmt.Fprintf(e.stdout, `
curl %[1]s/chat/completions -H "Authorization: Bearer %[2]s" -H "Content-Type: application/json" -d '{"model":"gpt-4","messages":[{"role":"user","content":"%[3]s"}]}'

Python  (pip install openai)
  from openai import OpenAI
  client = OpenAI(base_url="%[1]s", api_key="%[2]s")
  print(client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "%[3]s"}]).choices[0].message.content)

Node  (npm install openai)
  import OpenAI from "openai";
  const client = new OpenAI({ baseURL: "%[1]s", apiKey: "%[2]s" });
  console.log((await client.chat.completions.create({ model: "gpt-4", messages: [{ role: "user", content: "%[3]s" }] })).choices[0].message.content);

`, base, key, ask)
}

// dialable turns a listening address into one a client on this machine can use.
func dialable(addr string) string {
	for _, any := range []string{"0.0.0.0:", "[::]:"} {
		if rest, ok := strings.CutPrefix(addr, any); ok {
			return "127.0.0.1:" + rest
		}
	}
	return addr
}
