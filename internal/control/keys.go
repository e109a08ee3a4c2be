package control

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"homeport/internal/appkey"
	"homeport/internal/store/sqlite"
)

// KeyStore is what the key verbs need of the state.
type KeyStore interface {
	CreateKey(ctx context.Context, k sqlite.AppKey) error
	RevokeKey(ctx context.Context, id string, at time.Time) (sqlite.AppKey, error)
	Keys(ctx context.Context) ([]sqlite.AppKey, error)
}

// Change is one act of administration on a key, for the evidence log. It holds no credential.
type Change struct {
	Verb  string // KeyCreate or KeyRevoke
	KeyID string
	App   string
}

// Keys carries out the key verbs, in the server behind the socket and in a command that holds the lock.
type Keys struct {
	Store KeyStore
	// Apps are the apps of the configuration in force; nil means any app may have a key.
	Apps func() []string
	// Record makes the act durable in the evidence log before it is done (invariant 1); nil records nothing.
	Record func(ctx context.Context, c Change) error
	// Changed is called after each change; when it returns, the change is in effect.
	Changed func(ctx context.Context) error
	Now     func() time.Time
}

// KeyInfo is a key as lists show it: never the credential, never the hash.
type KeyInfo struct {
	ID      string     `json:"id"`
	App     string     `json:"app"`
	Name    string     `json:"name,omitempty"`
	Last4   string     `json:"last4"`
	Created time.Time  `json:"created"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// NewKey is the answer to key.create, the one place a credential is shown.
type NewKey struct {
	KeyInfo
	Key string `json:"key"`
}

// CreateArgs, RevokeArgs: what the verbs take.
type (
	CreateArgs struct {
		App  string `json:"app"`
		Name string `json:"name,omitempty"`
	}
	RevokeArgs struct {
		ID string `json:"id"`
	}
)

// Verbs returns the key verbs for a Handler.
func (k *Keys) Verbs() Verbs {
	return Verbs{
		KeyCreate: func(ctx context.Context, raw json.RawMessage) (any, error) {
			var a CreateArgs
			if err := decodeArgs(raw, &a); err != nil {
				return nil, err
			}
			return k.Create(ctx, a)
		},
		KeyRevoke: func(ctx context.Context, raw json.RawMessage) (any, error) {
			var a RevokeArgs
			if err := decodeArgs(raw, &a); err != nil {
				return nil, err
			}
			return k.Revoke(ctx, a)
		},
		KeyList: func(ctx context.Context, _ json.RawMessage) (any, error) { return k.List(ctx) },
	}
}

func decodeArgs(raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return &Error{"bad_request", "参数格式不对", "the arguments have the wrong form"}
	}
	return nil
}

// Create makes a key for an app.
func (k *Keys) Create(ctx context.Context, a CreateArgs) (NewKey, error) {
	if len(a.Name) > 200 || !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return NewKey{}, &Error{"bad_request", "名称过长，或含有控制字符", "the name is too long, or holds a control character"}
	}
	if a.App == "" || len(a.App) > 63 || !k.known(a.App) {
		list := ""
		if k.Apps != nil {
			list = strings.Join(k.Apps(), ", ")
		}
		return NewKey{}, &Error{"not_found", "配置中没有此应用；现有：" + list, "the configuration has no such app; there are: " + list}
	}
	made := appkey.New()
	rec := sqlite.AppKey{ID: made.ID, App: a.App, Name: a.Name, Hash: made.Hash, Last4: made.Last4, Created: k.Now()}
	if k.Record != nil {
		if err := k.Record(ctx, Change{KeyCreate, rec.ID, rec.App}); err != nil {
			return NewKey{}, err
		}
	}
	if err := k.Store.CreateKey(ctx, rec); err != nil {
		return NewKey{}, err
	}
	if err := k.changed(ctx); err != nil {
		return NewKey{}, err
	}
	return NewKey{KeyInfo: info(rec), Key: made.Credential}, nil
}

func (k *Keys) known(app string) bool {
	if k.Apps == nil {
		return true
	}
	for _, a := range k.Apps() {
		if a == app {
			return true
		}
	}
	return false
}

// Revoke ends a key; it is refused from the moment this returns.
func (k *Keys) Revoke(ctx context.Context, a RevokeArgs) (KeyInfo, error) {
	missing := &Error{"not_found", "没有此密钥；homeport key list 列出全部", "there is no such key; homeport key list shows all"}
	keys, err := k.Store.Keys(ctx)
	if err != nil {
		return KeyInfo{}, err
	}
	app := ""
	for _, rec := range keys {
		if rec.ID == a.ID {
			app = rec.App
		}
	}
	if app == "" {
		return KeyInfo{}, missing
	}
	if k.Record != nil {
		if err := k.Record(ctx, Change{KeyRevoke, a.ID, app}); err != nil {
			return KeyInfo{}, err
		}
	}
	rec, err := k.Store.RevokeKey(ctx, a.ID, k.Now())
	if errors.Is(err, sqlite.ErrNotFound) {
		return KeyInfo{}, missing
	}
	if err != nil {
		return KeyInfo{}, err
	}
	return info(rec), k.changed(ctx)
}

func (k *Keys) changed(ctx context.Context) error {
	if k.Changed == nil {
		return nil
	}
	return k.Changed(ctx)
}

// List returns all keys, revoked ones too.
func (k *Keys) List(ctx context.Context) ([]KeyInfo, error) {
	keys, err := k.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]KeyInfo, 0, len(keys))
	for _, rec := range keys {
		out = append(out, info(rec))
	}
	return out, nil
}

func info(k sqlite.AppKey) KeyInfo {
	i := KeyInfo{ID: k.ID, App: k.App, Name: k.Name, Last4: k.Last4, Created: k.Created.UTC().Truncate(time.Second)}
	if !k.Revoked.IsZero() {
		r := k.Revoked
		i.Revoked = &r
	}
	return i
}
