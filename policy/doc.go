// Package policy judges a use, or one request, by dated law: typed facts in, a decision with reasons out.
//
// Start at [Load], which builds an [Engine] from the embedded rule packs; make facts with [Schema.New]
// (assumed values filled in) or [Schema.FromMap] (nested maps as in YAML); call [Engine.Decide]. The gateway
// keeps one [Base] per app and target, changes only what was measured in the request, and asks a [Memory].
//
// What always holds:
//
//   - Pure: no network, no clock, no disk but the embedded files. The day of judgement is the fact `date`.
//   - Law is data: packs/<jurisdiction>/*.yaml hold decision tables after DMN (Decision Model and Notation);
//     each row has a condition in CEL (Common Expression Language), an outcome, what to do, citations with
//     their basis, validity, and cases that fire and that do not.
//   - A fact that is not known is CEL unknown, never a zero value. A row that comes out unknown names the facts
//     it lacks, contributes its outcome, and evaluation goes on; the strictest outcome met wins.
//   - A misspelt fact, a literal outside a fact's values, a dangling citation, a row without a firing and a
//     non-firing case are load errors with file, line and column.
//   - What cannot be decided is refused: an expression that fails blocks.
//
// Why CEL, and why flat variables ("service.audience" is one variable, not a field of one): CEL gives typed conditions
// and a typed unknown that names the missing fact. With flat variables the mask of a missing fact is one
// AttributePattern, a vector is an array indexed by fact, and an error shows the fact's own name; a native struct needs
// a mask per field path and cannot tell "unset" from zero. Conditions may only compare facts with literals, so their
// cost is known when they are compiled, misspelt values are found, and thresholds can be read out of them. Where all
// facts that matter are known the same conditions are read without the interpreter (quick.go); tests show that CEL
// alone gives the same answers.
//
// Why the memory looks as it does: a request's facts are those of its app and target, fixed when the configuration is
// loaded, plus a few measured ones. So the key is the base's number, the profile and the overriding facts, the day
// among them; counts enter only as the interval between the thresholds that the tables compare with. The key is exact,
// not a hash: two vectors that could be judged differently never share an entry. The value is a shared, immutable
// *Decision that names rules and never holds a fact's value.
//
// Why a snapshot: parsing a hundred kilobytes of YAML and compiling the conditions takes tens of milliseconds, the
// snapshot of the result a few. It names the digest of the files it was made from and is passed over for any other, so
// it can only save time; [LoadFS] never uses it. A condition's CEL program is then made when it is first needed.
//
// To add a rule, add a row with its cases to a table under packs/; to add a fact, add a line to facts.yaml; a new
// table needs its lines in profiles.yaml. No Go changes with them; afterwards make the snapshot anew:
// go test ./policy -run TestSnapshotIsCurrent -update.
package policy
