-- Keys of the commitments in events, per app and month (Beijing). Destroying a row unlinks what it committed to.
CREATE TABLE salts (
  id      TEXT PRIMARY KEY,           -- app/<app>/<month>
  secret  BLOB NOT NULL CHECK (length(secret) = 32),
  created INTEGER NOT NULL
) STRICT;
