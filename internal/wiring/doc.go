// Package wiring builds the running gateway from a configuration, top to bottom: providers and their clients, targets with
// their facts, routes, apps with their limits. Start at [Build] for one pipeline and [Start] for a whole server.
//
// It is the one place where configuration, registry, rules and upstreams meet; none of them knows the others. What it builds
// is immutable: a reload builds anew and swaps.
package wiring
