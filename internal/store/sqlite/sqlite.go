// Package sqlite is the primary state of one node: data/state.db with application keys, the hash of the admin secret and
// the budgets of apps.
//
// What always holds: every method is one transaction; one connection writes (BEGIN IMMEDIATE), others read; WAL with
// synchronous FULL, so what a method returned without error survives a power cut; all tables are STRICT; every value is
// bound, never put into SQL text. The evidence log is not here: see package audit.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver, in pure Go
)

// Store is an open state.db. It is safe for use by several goroutines.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
}

// ErrNotFound says that there is no such record.
var ErrNotFound = errors.New("not found")

// Open opens or creates the database at path and brings it to the newest form. The folder must exist; the file is made
// readable by its owner only.
func Open(ctx context.Context, path string) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // before SQLite does, for the mode
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Store{}
	if s.write, err = open(path, "rw", "immediate", 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate state: %w", err), s.Close())
	}
	if s.read, err = open(path, "rw", "deferred", 4); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenReader opens an existing database for reading only, beside a server that may be writing it. An error that satisfies
// errors.Is(err, fs.ErrNotExist) says that there is none yet. Methods that write fail.
func OpenReader(path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	db, err := open(path, "ro", "deferred", 2)
	if err != nil {
		return nil, err
	}
	return &Store{read: db, write: db}, nil
}

// open makes a pool; txlock says how its transactions begin.
func open(path, mode, txlock string, conns int) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // C:/… on Windows
	}
	q := url.Values{"mode": {mode}, "_txlock": {txlock}, "_pragma": {"busy_timeout(5000)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)"}}
	if mode != "ro" {
		q.Add("_pragma", "journal_mode(WAL)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Close closes both pools.
func (s *Store) Close() error {
	var errs []error
	for i, db := range []*sql.DB{s.read, s.write} {
		if db != nil && (i == 0 || db != s.read) {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// tx runs fn in one write transaction; it is rolled back when fn fails.
func (s *Store) tx(ctx context.Context, doing string, fn func(*sql.Tx) error) error {
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer t.Rollback()
	if err := fn(t); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
