// Package gateway is the data plane: it answers the OpenAI and Azure forms of the API from lawful targets.
//
// Start at pipeline.go: one function tells a request's whole life, admit → inspect → decide → record → forward →
// conclude. Each stage is a file that takes values and returns values; the order is code, not configuration, because it
// is the compliance promise (ARCHITECTURE.md, invariants 1 to 8).
//
// A [Gateway] serves from an immutable [Pipeline]; a reload builds a new one and swaps the pointer. The package must not
// log or count content, findings or keys, and must not read configuration files, the environment or the clock beyond the
// functions given in [Options].
package gateway
