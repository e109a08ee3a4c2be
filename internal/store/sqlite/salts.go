package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"
)

// Salt returns the 32-byte key of the commitments named id, making it when there is none. It is durable before it is
// returned: an event must not rest on a key that a crash forgets.
func (s *Store) Salt(ctx context.Context, id string, at time.Time) (key []byte, err error) {
	err = s.tx(ctx, "make commitment key", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT secret FROM salts WHERE id = $1`, id).Scan(&key)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		key = make([]byte, 32)
		rand.Read(key) // never fails
		_, err = tx.ExecContext(ctx, `INSERT INTO salts (id, secret, created) VALUES ($1, $2, $3)`, id, key, at.Unix())
		return err
	})
	return key, err
}
