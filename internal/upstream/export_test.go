package upstream

import "net"

// SetResolver makes a configuration resolve names by r.
func SetResolver(cfg *Config, r *net.Resolver) { cfg.resolver = r }
