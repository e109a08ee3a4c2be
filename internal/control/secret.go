package control

import (
	"context"
	"encoding/json"
	"time"

	"homeport/internal/appkey"
)

// SecretStore is what replacing the admin secret needs of the state.
type SecretStore interface {
	SetAdminSecret(ctx context.Context, h appkey.Hash, at time.Time) error
}

// AdminSecret carries out admin.secret: a new admin secret in place of the one in force, for when that was lost or seen.
// Whoever may open the socket or take the folder's lock may do this: they own the state, and need not know the old secret.
type AdminSecret struct {
	Store SecretStore
	// Record makes the act durable in the evidence log before it is done (invariant 1); nil records nothing.
	Record func(ctx context.Context) error
	Now    func() time.Time
}

// NewSecret is the answer to admin.secret, the one place the secret is shown.
type NewSecret struct {
	Secret  string    `json:"secret"`
	Created time.Time `json:"created"`
}

// Replace makes a secret and stores its hash. When it returns, the old secret counts no more: the admin plane asks the
// state at each request.
func (a *AdminSecret) Replace(ctx context.Context) (NewSecret, error) {
	secret, hash := appkey.NewAdmin()
	now := a.Now()
	if a.Record != nil {
		if err := a.Record(ctx); err != nil {
			return NewSecret{}, err
		}
	}
	if err := a.Store.SetAdminSecret(ctx, hash, now); err != nil {
		return NewSecret{}, err
	}
	return NewSecret{Secret: secret, Created: now.UTC().Truncate(time.Second)}, nil
}

// Verb is Replace for a Handler.
func (a *AdminSecret) Verb(ctx context.Context, _ json.RawMessage) (any, error) {
	return a.Replace(ctx)
}
