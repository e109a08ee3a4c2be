package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
)

// Kind is what a budget counts.
type Kind string

// CNY counts millionths of a yuan, Tokens counts tokens; both whole numbers.
const (
	CNY    Kind = "cny"
	Tokens Kind = "tokens"
)

// Budget names one counter. Period is 2026-11 or 2026-11-22, Beijing time.
type Budget struct {
	App    string
	Kind   Kind
	Period string
}

// Usage is what a budget holds: reserved for calls under way, settled for calls that ended.
type Usage struct {
	Reserved int64
	Settled  int64
}

// Total is what counts against a limit.
func (u Usage) Total() int64 { return u.Reserved + u.Settled }

// Reserve takes amount out of a limit, atomically: ok is false, and nothing changes, when reserved + settled + amount
// would pass the limit. A limit of zero or less means none. The usage after the call is returned either way.
func (s *Store) Reserve(ctx context.Context, b Budget, amount, limit int64) (u Usage, ok bool, err error) {
	if amount < 0 {
		return u, false, errors.New("reserve budget: a negative amount")
	}
	err = s.tx(ctx, "reserve budget", func(tx *sql.Tx) error {
		var err error
		if u, err = usage(ctx, tx, b); err != nil {
			return err
		}
		if limit > 0 && (amount > limit || u.Total() > limit-amount) {
			return nil
		}
		if amount > math.MaxInt64-u.Reserved-u.Settled {
			return errFull
		}
		ok = true
		u.Reserved += amount
		return put(ctx, tx, b, u)
	})
	return u, ok && err == nil, err
}

// Settle ends a reservation: reserved is given back, actual is what the call really used. actual may pass what was
// reserved: what was used is counted, limit or no limit.
func (s *Store) Settle(ctx context.Context, b Budget, reserved, actual int64) (u Usage, err error) {
	if reserved < 0 || actual < 0 {
		return u, errors.New("settle budget: a negative amount")
	}
	err = s.tx(ctx, "settle budget", func(tx *sql.Tx) error {
		var err error
		if u, err = usage(ctx, tx, b); err != nil {
			return err
		}
		if reserved > u.Reserved {
			return fmt.Errorf("more is settled (%d) than is reserved (%d)", reserved, u.Reserved)
		}
		u.Reserved -= reserved
		if actual > math.MaxInt64-u.Reserved-u.Settled {
			return errFull
		}
		u.Settled += actual
		return put(ctx, tx, b, u)
	})
	return u, err
}

// Add counts a use that had no reservation, for example a batch of settled calls.
func (s *Store) Add(ctx context.Context, b Budget, actual int64) (Usage, error) {
	return s.Settle(ctx, b, 0, actual)
}

// Usage of one budget; zero when nothing was ever used.
func (s *Store) Usage(ctx context.Context, b Budget) (Usage, error) {
	u, err := usage(ctx, s.read, b)
	if err != nil {
		return u, fmt.Errorf("read budget: %w", err)
	}
	return u, nil
}

// SettleOrphans is called at start, before any call: reservations left by a crash count as used, since nobody knows what
// those calls came to and giving them back would make a crash a refund. It returns how many budgets held some.
func (s *Store) SettleOrphans(ctx context.Context) (n int64, err error) {
	err = s.tx(ctx, "settle what a crash left", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE budgets SET settled = settled + reserved, reserved = 0 WHERE reserved > 0`)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

var errFull = errors.New("the counter is full")

// querier is a transaction or a pool.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func usage(ctx context.Context, q querier, b Budget) (u Usage, err error) {
	err = q.QueryRowContext(ctx, `SELECT reserved, settled FROM budgets WHERE app = $1 AND kind = $2 AND period = $3`, b.App, string(b.Kind), b.Period).Scan(&u.Reserved, &u.Settled)
	if errors.Is(err, sql.ErrNoRows) {
		return Usage{}, nil
	}
	return u, err
}

func put(ctx context.Context, tx *sql.Tx, b Budget, u Usage) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO budgets (app, kind, period, reserved, settled) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (app, kind, period) DO UPDATE SET reserved = excluded.reserved, settled = excluded.settled`,
		b.App, string(b.Kind), b.Period, u.Reserved, u.Settled)
	return err
}
