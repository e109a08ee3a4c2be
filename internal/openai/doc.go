// Package openai knows the shape of the OpenAI HTTP API: strict, span-carrying views over raw request bodies,
// edits as splices, server-sent events, and the error envelope.
//
// Start at [Parse]. Raw bytes are the truth: a [Request] only points into them, so what was judged is what is sent,
// save for the [Edit]s that a decision names (invariant 2). Nothing here knows providers, policy or configuration.
package openai
