-- Application keys: the hash of the whole credential, never the credential.
CREATE TABLE app_keys (
  id      TEXT PRIMARY KEY,
  app     TEXT NOT NULL,
  name    TEXT NOT NULL,
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  last4   TEXT NOT NULL,
  created INTEGER NOT NULL,           -- Unix seconds
  revoked INTEGER                     -- Unix seconds; NULL while the key is good
) STRICT;
CREATE INDEX app_keys_app ON app_keys (app);

-- One row: SHA-256 of the admin secret.
CREATE TABLE admin_secret (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  hash    BLOB NOT NULL CHECK (length(hash) = 32),
  created INTEGER NOT NULL
) STRICT;

-- What an app used of a limit in a period. amount is in the unit of kind: micro-yuan or tokens, always whole.
CREATE TABLE budgets (
  app      TEXT NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('cny', 'tokens')),
  period   TEXT NOT NULL,             -- 2026-11 or 2026-11-22, Beijing
  reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  settled  INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
  PRIMARY KEY (app, kind, period)
) STRICT, WITHOUT ROWID;
