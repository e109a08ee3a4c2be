package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"homeport/audit"
	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/store/sqlite"
	"homeport/internal/wiring"
)

// keyCmd manages application keys, and replaces the admin secret.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a key for an app; shown once. 为应用生成密钥，只显示一次。"`
	List   keyListCmd   `cmd:"" help:"List keys. 列出密钥。"`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key, at once. 立即吊销密钥。"`
	Admin  keyAdminCmd  `cmd:"" help:"Replace a lost admin secret; the new one is shown once. 更换遗失的管理密钥，新的只显示一次。"`
}

type keyCreateCmd struct {
	App  string `arg:"" help:"App of the configuration. 配置中的应用。"`
	Name string `help:"What the key is for. 用途。"`
	JSON bool   `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

type keyListCmd struct {
	JSON bool `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

type keyRevokeCmd struct {
	ID   string `arg:"" help:"Id of the key, see key list. 密钥编号。"`
	JSON bool   `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

type keyAdminCmd struct {
	JSON bool `name:"json" help:"One JSON object. 以 JSON 输出。"`
}

// Run makes a new admin secret and prints it, this once; the old one counts no more from now on.
func (c keyAdminCmd) Run(e *env) error {
	var made control.NewSecret
	if err := changeState(e, control.Secret, struct{}{}, &made); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema string `json:"schema"`
			control.NewSecret
		}{"homeport.key.admin.v1", made})
	}
	fmt.Fprintln(e.stdout, made.Secret)
	_, err := fmt.Fprint(e.stderr, e.say("新的管理密钥，旧的已失效。只显示这一次，请立即保存。\n", "The new admin secret; the old one no longer counts. It is shown this once: keep it now.\n"))
	return err
}

// Run makes a key and prints it, this once.
func (c keyCreateCmd) Run(e *env) error {
	var made control.NewKey
	err := changeState(e, control.KeyCreate, control.CreateArgs{App: c.App, Name: c.Name}, &made)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema string `json:"schema"`
			control.NewKey
		}{"homeport.key.created.v1", made})
	}
	fmt.Fprintln(e.stdout, made.Key)
	_, err = fmt.Fprintf(e.stderr, e.say("应用 %s 的密钥，编号 %s。只显示这一次，请立即保存。\n", "Key of app %s, id %s. It is shown this once: keep it now.\n"), made.App, made.ID)
	return err
}

// Run revokes a key; a running server refuses it from now on.
func (c keyRevokeCmd) Run(e *env) error {
	var info control.KeyInfo
	if err := changeState(e, control.KeyRevoke, control.RevokeArgs{ID: c.ID}, &info); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema string `json:"schema"`
			control.KeyInfo
		}{"homeport.key.revoked.v1", info})
	}
	_, err := fmt.Fprintf(e.stdout, e.say("已吊销 %s（应用 %s，末四位 %s）\n", "revoked %s (app %s, last four %s)\n"), info.ID, info.App, info.Last4)
	return err
}

// Run lists keys. It reads the state beside a running server and never takes the lock.
func (c keyListCmd) Run(e *env) error {
	cfg, err := needConfig(e, e.stderr)
	if err != nil {
		return err
	}
	keys, err := listKeys(e.ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, struct {
			Schema string            `json:"schema"`
			Keys   []control.KeyInfo `json:"keys"`
		}{"homeport.key.list.v1", keys})
	}
	w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, e.say("编号\t应用\t末四位\t创建于\t状态\t用途", "ID\tAPP\tLAST4\tCREATED\tSTATE\tNAME"))
	for _, k := range keys {
		state := e.say("有效", "good")
		if k.Revoked != nil {
			state = e.say("已吊销 ", "revoked ") + k.Revoked.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.App, k.Last4, k.Created.Format(time.DateOnly), state, k.Name)
	}
	return w.Flush()
}

func listKeys(ctx context.Context, cfg *config.Config) ([]control.KeyInfo, error) {
	store, err := sqlite.OpenReader(statePath(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return []control.KeyInfo{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return (&control.Keys{Store: store, Now: time.Now}).List(ctx)
}

// statePath is the primary state's file.
func statePath(cfg *config.Config) string { return filepath.Join(cfg.Data, "state.db") }

// appIDs are the apps of a configuration.
func appIDs(cfg *config.Config) []string {
	out := make([]string, 0, len(cfg.Apps))
	for i := range cfg.Apps {
		out = append(out, cfg.Apps[i].ID)
	}
	return out
}

// changeState carries out a verb in the running server, or here, under the lock, when none runs.
func changeState(e *env, verb string, args, out any) error {
	cfg, err := needConfig(e, e.stderr)
	if err != nil {
		return err
	}
	err = control.Do(e.ctx, cfg.Data, verb, args, out, func(ctx context.Context) (control.Handler, func() error, error) {
		return keysHere(ctx, cfg)
	})
	var refused *control.Error
	switch {
	case errors.As(err, &refused):
		code := exitFinding
		if refused.Code == "failed" {
			code = exitFault
		}
		return &exitError{code: code, err: errors.New(e.say(refused.Zh, refused.En))}
	case errors.Is(err, control.ErrLocked):
		return &exitError{code: exitFault, err: err, hint: e.say("另一进程占用数据目录却不应答；稍候重试，或停止它", "another process holds the data folder and does not answer; try again, or stop it")}
	}
	return err
}

// keysHere opens state and evidence log for a change made by this process, which holds the folder's lock. The act is an
// admin event, durable before it is done, as it is in the server.
func keysHere(ctx context.Context, cfg *config.Config) (control.Handler, func() error, error) {
	store, err := sqlite.Open(ctx, statePath(cfg))
	if err != nil {
		return nil, nil, err
	}
	journal, err := audit.Open(wiring.JournalDir(cfg.Data), audit.Options{MaxWait: 10 * time.Second})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open journal: %w", err), store.Close())
	}
	record := func(ctx context.Context, what, on string, changed ...audit.Change) error {
		now := time.Now()
		ev := audit.Admin{Head: audit.Head{ID: audit.NewID(now), Time: now}, Who: "cli", What: what, On: on, Changed: changed}
		if err := journal.Append(ctx, audit.AppendAdmin(nil, &ev)); err != nil {
			return fmt.Errorf("record %s: %w", what, err)
		}
		return nil
	}
	keys := &control.Keys{Store: store, Apps: func() []string { return appIDs(cfg) }, Now: time.Now,
		Record: func(ctx context.Context, c control.Change) error {
			return record(ctx, c.Verb, c.KeyID, audit.Change{Name: "app", New: c.App})
		}}
	secret := &control.AdminSecret{Store: store, Now: time.Now,
		Record: func(ctx context.Context) error { return record(ctx, control.Secret, "") }}
	verbs := keys.Verbs()
	verbs[control.Secret] = secret.Verb
	return verbs, func() error { return errors.Join(journal.Close(), store.Close()) }, nil
}
