package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"homeport/internal/appkey"
)

// AppKey is one made key. The credential is not here: only its hash and its last four characters.
type AppKey struct {
	ID      string
	App     string
	Name    string
	Hash    appkey.Hash
	Last4   string
	Created time.Time
	Revoked time.Time // zero while the key is good
}

// CreateKey stores a key.
func (s *Store) CreateKey(ctx context.Context, k AppKey) error {
	return s.tx(ctx, "create app key", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO app_keys (id, app, name, hash, last4, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			k.ID, k.App, k.Name, k.Hash[:], k.Last4, k.Created.Unix())
		return err
	})
}

// RevokeKey marks a key as revoked at a time and returns it. Revoking twice keeps the first time. ErrNotFound for an
// unknown id.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) (AppKey, error) {
	var k AppKey
	err := s.tx(ctx, "revoke app key", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE app_keys SET revoked = $1 WHERE id = $2 AND revoked IS NULL`, at.Unix(), id); err != nil {
			return err
		}
		var err error
		k, err = scanKey(tx.QueryRowContext(ctx, selectKeys+` WHERE id = $1`, id))
		return err
	})
	return k, err
}

// Keys returns all keys, revoked ones too, oldest first.
func (s *Store) Keys(ctx context.Context) ([]AppKey, error) {
	rows, err := s.read.QueryContext(ctx, selectKeys+` ORDER BY created, id`)
	if err != nil {
		return nil, fmt.Errorf("list app keys: %w", err)
	}
	defer rows.Close()
	var out []AppKey
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("list app keys: %w", err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list app keys: %w", err)
	}
	return out, nil
}

const selectKeys = `SELECT id, app, name, hash, last4, created, revoked FROM app_keys`

func scanKey(row interface{ Scan(...any) error }) (AppKey, error) {
	var k AppKey
	var hash []byte
	var created int64
	var revoked sql.NullInt64
	err := row.Scan(&k.ID, &k.App, &k.Name, &hash, &k.Last4, &created, &revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return k, ErrNotFound
	}
	if err != nil {
		return k, err
	}
	if copy(k.Hash[:], hash) != len(k.Hash) {
		return k, errors.New("a stored hash has the wrong length")
	}
	k.Created = time.Unix(created, 0).UTC()
	if revoked.Valid {
		k.Revoked = time.Unix(revoked.Int64, 0).UTC()
	}
	return k, nil
}

// Entries are the good keys in the form appkey.NewSet takes.
func (s *Store) Entries(ctx context.Context) ([]appkey.Entry, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var out []appkey.Entry
	for _, k := range keys {
		if k.Revoked.IsZero() {
			out = append(out, appkey.Entry{Hash: k.Hash, App: k.App, KeyID: k.ID})
		}
	}
	return out, nil
}

// SetAdminSecret replaces the hash of the admin secret. Plain SHA-256 is enough here and argon2id would add nothing: the
// secret is 256 random bits made by us, not a password a person chose, so there is nothing to guess faster.
func (s *Store) SetAdminSecret(ctx context.Context, h appkey.Hash, at time.Time) error {
	return s.tx(ctx, "store admin secret", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO admin_secret (one, hash, created) VALUES (1, $1, $2)
			ON CONFLICT (one) DO UPDATE SET hash = excluded.hash, created = excluded.created`, h[:], at.Unix())
		return err
	})
}

// AdminSecret returns the hash of the admin secret, or ErrNotFound before the first start.
func (s *Store) AdminSecret(ctx context.Context) (appkey.Hash, error) {
	var h appkey.Hash
	var raw []byte
	err := s.read.QueryRowContext(ctx, `SELECT hash FROM admin_secret WHERE one = 1`).Scan(&raw)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return h, ErrNotFound
	case err != nil:
		return h, fmt.Errorf("read admin secret: %w", err)
	case copy(h[:], raw) != len(h):
		return h, errors.New("read admin secret: the stored hash has the wrong length")
	}
	return h, nil
}

// NewAdminSecret makes the secret of a first start if there is none and returns it; it is shown once and then exists
// only as its hash. When there is one already, secret is empty.
func (s *Store) NewAdminSecret(ctx context.Context, at time.Time) (secret string, err error) {
	cred, h := appkey.NewAdmin()
	err = s.tx(ctx, "make admin secret", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO admin_secret (one, hash, created) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING`, h[:], at.Unix())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if n == 1 {
			secret = cred
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}
