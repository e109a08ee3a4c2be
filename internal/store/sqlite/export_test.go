package sqlite

import "database/sql"

// Pools are the two pools of a store.
func Pools(s *Store) []*sql.DB { return []*sql.DB{s.write, s.read} }
