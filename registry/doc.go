// Package registry holds the legal facts Homeport judges by, as dated, sourced data: providers and the places where
// they process, filings (备案) of models, prices, suggested replacements for OpenAI models, supported regions.
//
// Start with [Load], then [Registry.Target]: everything known about one place a request can go to.
//
// What always holds:
//   - A fact that is not in the data is unknown. "Not in this data" is never "not filed", a missing price is never
//     zero, a place inferred from a name is not a known place.
//   - Records are immutable after loading; a Registry may be used by many goroutines. Callers must not modify what
//     they are given.
//   - Data are parsed strictly: an unknown field, a duplicate id or a dangling reference is an error that names file
//     and line. [Registry.Check] opens everything.
//   - Wire facts (parameters, errors, dialects) are not here: they share the provider's id and live elsewhere.
//
// Providers are parsed by Load. Models, filings, mappings and regions are parsed at first use, because the gateway
// needs few of them and its idle memory should stay small; a part that cannot be parsed reads as unknown, and Check
// says why.
//
// Layout of the data:
//
//	data/providers/ID.yaml           one provider: operator, endpoints and places, filings, environment variables
//	data/models/ID.yaml              its models: context, modality, price; dated and sourced one by one
//	data/models/mapping.yaml         OpenAI names → suggested models
//	data/models/openai-lifecycle.yaml  when OpenAI ends its models
//	data/filings.csv                 the CAC's lists of filings and registrations, in part
//	data/regions/ID.yaml             where a provider lets its service be used
//	data/rates.yaml                  exchange rates for counting in CNY
//
// Every record says where and when it was read (source, as_of) and whether that was confirmed (verified). To add a
// provider, add its file; a test opens them all.
//
// The package depends on the standard library and a YAML parser only: no network, no clock, no disk.
package registry
