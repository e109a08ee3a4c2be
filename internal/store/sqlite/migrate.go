package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one numbered step; sum is the SHA-256 of its text, so that an edited step is noticed, not half applied.
type migration struct {
	number int
	name   string
	text   string
	sum    string
}

func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var out []migration
	for i, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql")
		number, err := strconv.Atoi(strings.SplitN(name, "_", 2)[0])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s: numbers must run from 1 without a gap", name)
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{number, name, string(text), hex.EncodeToString(sum[:])})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no migrations are embedded")
	}
	return out, nil
}

// migrate applies what is missing, all of it in one transaction. A database made by a newer version, or one whose steps
// were other than ours, is refused and left as it is.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := migrations(migrationFiles)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil) // immediate: two starting processes take turns
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sum TEXT NOT NULL) STRICT`); err != nil {
		return err
	}
	done, err := applied(ctx, tx)
	if err != nil {
		return err
	}
	if len(done) > len(steps) {
		return fmt.Errorf("the database was made by a newer version (step %d, this version knows %d)", len(done), len(steps))
	}
	for i, m := range steps {
		if i < len(done) {
			if done[i] != m.sum {
				return fmt.Errorf("step %s differs from the one applied to this database", m.name)
			}
			continue
		}
		if _, err := tx.ExecContext(ctx, m.text); err != nil {
			return fmt.Errorf("step %s: %w", m.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (number, name, sum) VALUES ($1, $2, $3)`, m.number, m.name, m.sum); err != nil {
			return fmt.Errorf("step %s: %w", m.name, err)
		}
	}
	return tx.Commit()
}

// applied returns the sums of the steps done, in order.
func applied(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT sum FROM migrations ORDER BY number`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return nil, err
		}
		out = append(out, sum)
	}
	return out, rows.Err()
}
