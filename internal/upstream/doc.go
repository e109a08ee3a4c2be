// Package upstream calls model providers over HTTP and decides when a call is tried again. It knows
// nothing of policy, dialects or the shape of bodies.
//
// Start with New, which makes one Client per provider instance from its Config, and Client.Do, which
// sends one request and gives the answer as a stream. Gate limits and breaks per target; Try runs the
// attempts of one request over the targets its decision permits; Entra gets bearer tokens for Azure.
//
// What always holds:
//
//   - The host, scheme, port and path prefix come from Config.BaseURL alone (attack cases A1, A2). A call
//     adds an escaped path and a checked query.
//   - Every connection passes the address guard (A5 to A7). Redirects are errors (A4). Proxy variables of
//     the environment are not read (A11).
//   - A request is handed to the network at most once per Do: the transport never replays a body by itself,
//     so that each sending has its own event in the evidence (invariant 1).
//   - Error texts are constants: no key, no URL, no address, no bytes of an answer (D1, D3, D8).
//   - An answer that breaks off ends in an error, never in a clean io.EOF. One exception is inherent in
//     HTTP: an answer delimited by closing the connection; see Answer.UntilClose.
//
// The package imports net/http, the guard and a circuit breaker. It must not import policy, providers,
// the gateway or the audit log: what to record comes in as a function.
//
// math/rand/v2 is used for weights and jitter, which are no secrets; ids and secrets never come from here.
package upstream
