package audit

import "time"

// Version of the event schema: member "v" of every event.
const Version = 1

// Kind of an event.
type Kind string

// The four kinds.
const (
	KindDecision   Kind = "decision"   // one per judged request, durable before its bytes leave
	KindAttempt    Kind = "attempt"    // each further target or retry, durable before its bytes leave
	KindConclusion Kind = "conclusion" // exactly one per decision: what really happened
	KindAdmin      Kind = "admin"      // an act of administration
)

// Event is a *Decision, *Attempt, *Conclusion or *Admin.
type Event interface {
	// Kind tells which.
	Kind() Kind
	// Common gives the members every event has.
	Common() *Head
	// AppendTo appends the event's encoding, as AppendDecision and its siblings do.
	AppendTo(dst []byte) []byte
}

// Head is what every event has.
type Head struct {
	ID   string    `json:"id"`            // from NewID; a decision's is the answer's x-request-id
	Time time.Time `json:"time"`          // kept in UTC to the millisecond
	App  string    `json:"app,omitempty"` // app id of the configuration; empty for acts on the whole
}

// Common gives h itself.
func (h *Head) Common() *Head { return h }

// Provenance says where a fact's value comes from.
type Provenance string

// Provenances; Unknown goes with a null value.
const (
	Measured Provenance = "measured"
	Declared Provenance = "declared"
	Assumed  Provenance = "assumed"
	Unknown  Provenance = "unknown"
)

// Fact is one input of a decision.
type Fact struct {
	Name  string // as the rules call it, e.g. "data.personal"
	Value Value
	From  Provenance
}

// Facts is an object in JSON: {"name":{"value":…,"from":"…"}}. Names are unique.
type Facts []Fact

// Count is a number of things of one type.
type Count struct {
	Type string
	N    int64
}

// Counts is an object in JSON: {"type":n}. Types are unique.
type Counts []Count

// Edit is one change between what was received and what is sent. It names
// fields and finding types, never values that came from a client.
type Edit struct {
	Op   string `json:"op"`             // mask, set, drop, clamp, rename, model, add, …
	Name string `json:"name,omitempty"` // finding type, parameter, or model set
	N    int64  `json:"n,omitempty"`    // how many, where more than one is possible
}

// Target is one target as it was judged.
type Target struct {
	ID      string   `json:"id"`      // provider/model
	Place   []string `json:"place"`   // ISO 3166-1 codes; none is unknown
	Verdict string   `json:"verdict"` // allow, allow_with_duties, needs_approval, block
	Rules   []string `json:"rules"`   // ids of rules that fired
	Cites   []string `json:"cites,omitempty"`
	Duties  []string `json:"duties,omitempty"`
	Needs   []string `json:"needs,omitempty"` // facts that were missing
	Edits   []Edit   `json:"edits,omitempty"` // what is changed if it goes there
	Filing  string   `json:"filing,omitempty"`
	Error   string   `json:"error,omitempty"` // short code why it could not be judged or built
	// Facts are those of this target; the decision's own hold for all. Names are in one place only.
	Facts Facts `json:"facts,omitempty"`
	// FactsJSON holds members encoded before, as Decision.FactsJSON does.
	FactsJSON []byte `json:"-"`
}

// Digests name what judged the request; "sha256:…" or another prefixed form.
type Digests struct {
	Config string `json:"config,omitempty"`
	Packs  string `json:"packs,omitempty"`
}

// Commitments are values of 32 bytes under one secret key, nil where there is
// none. Destroying the key that Salt names unlinks them. Request is made with Alg;
// the others are HMAC-SHA256 of name, a zero byte and value.
type Commitments struct {
	Salt         string `json:"salt,omitempty"`         // id of the key
	Alg          string `json:"alg,omitempty"`          // AlgBLAKE2b
	Request      []byte `json:"request,omitempty"`      // of the exact body sent
	Idempotency  []byte `json:"idempotency,omitempty"`  // of the Idempotency-Key header
	Subject      []byte `json:"subject,omitempty"`      // of x-homeport-subject
	Conversation []byte `json:"conversation,omitempty"` // of the conversation
}

// AlgBLAKE2b is keyed BLAKE2b with 32 bytes of output (RFC 7693).
const AlgBLAKE2b = "blake2b-256"

// Decision is the event of one judged request, refused ones included. It holds
// the first attempt. Nothing in it may come from the request's content: ids of
// the configuration, numbers and commitments only.
type Decision struct {
	Head
	Op      string `json:"op"`                // chat.completions, embeddings, …
	Route   string `json:"route,omitempty"`   // the configured route's model pattern
	Profile string `json:"profile,omitempty"` // strict or counsel
	Stream  bool   `json:"stream"`

	Facts   Facts    `json:"facts"`
	Targets []Target `json:"targets"`
	// FactsJSON and TargetsJSON hold parts encoded before by AppendFacts and
	// AppendTargets, which repeat from request to request. They stand before Facts
	// and Targets in the event and are empty in an event that was parsed. A name
	// must not be in both.
	FactsJSON   []byte `json:"-"`
	TargetsJSON []byte `json:"-"`

	Chosen      string      `json:"chosen,omitempty"` // target id; empty for a refusal
	Verdict     string      `json:"verdict"`          // of the chosen target, else the mildest met
	Findings    Counts      `json:"findings"`
	Edits       []Edit      `json:"edits,omitempty"`   // made for the chosen target
	Adapted     []string    `json:"adapted,omitempty"` // as in x-homeport-adapted
	Digests     Digests     `json:"digests"`
	Commitments Commitments `json:"commitments"`
	Bytes       int64       `json:"bytes"` // length of the body that is sent, else received
}

// Kind is KindDecision.
func (*Decision) Kind() Kind { return KindDecision }

// Attempt is the event of a further target or a retry.
type Attempt struct {
	Head
	Ref         string      `json:"ref"`    // id of the decision
	N           int64       `json:"n"`      // 2 for the first of them: attempt 1 is the decision's
	Target      string      `json:"target"` // one that the decision permits
	Reason      string      `json:"reason"` // short code: retry, fallback, …
	Edits       []Edit      `json:"edits,omitempty"`
	Adapted     []string    `json:"adapted,omitempty"`
	Commitments Commitments `json:"commitments"`
	Bytes       int64       `json:"bytes"`
}

// Kind is KindAttempt.
func (*Attempt) Kind() Kind { return KindAttempt }

// Outcomes of a conclusion.
const (
	OutcomeOK            = "ok"
	OutcomeRefused       = "refused"        // by decision: nothing was sent
	OutcomeUpstreamError = "upstream_error" // the provider answered with an error, or not at all
	OutcomeClientGone    = "client_gone"
	OutcomeStreamBroken  = "stream_broken"
	OutcomeTimeout       = "timeout"
	OutcomeInternal      = "internal_error"
	OutcomeUnrecorded    = "unrecorded" // an attempt could not be recorded, so it was not made
	// OutcomeProcessEnded is written at the next start for a decision that was left open.
	OutcomeProcessEnded = "unknown_process_ended"
)

// Sources of a usage figure.
const (
	UsageProvider  = "provider"
	UsageEstimated = "estimated"
	UsageNone      = "none"
)

// Usage is tokens as they were counted, and by whom.
type Usage struct {
	Prompt     int64  `json:"prompt"`
	Completion int64  `json:"completion"`
	Total      int64  `json:"total"`
	Cached     int64  `json:"cached,omitempty"`    // of Prompt
	Reasoning  int64  `json:"reasoning,omitempty"` // of Completion
	Source     string `json:"source"`
}

// Millis are durations in milliseconds.
type Millis struct {
	Before int64 `json:"before"` // request read until first byte sent upstream
	First  int64 `json:"first"`  // from there to the first byte of the answer
	Total  int64 `json:"total"`  // request read until concluded
}

// Conclusion is the event that tells how a request ended.
type Conclusion struct {
	Head
	Ref      string   `json:"ref"`              // id of the decision
	Target   string   `json:"target,omitempty"` // that really answered; empty if none was asked
	Place    []string `json:"place,omitempty"`
	Filing   string   `json:"filing,omitempty"` // of the model that really answered
	Status   int64    `json:"status"`           // HTTP status the client got; 0 if none
	Outcome  string   `json:"outcome"`
	Error    string   `json:"error,omitempty"`   // short code
	Attempts int64    `json:"attempts"`          // 0 if nothing was sent
	Finish   string   `json:"finish,omitempty"`  // OpenAI's finish reason as relayed; of several choices the first's
	Adapted  []string `json:"adapted,omitempty"` // changes made to the answer; those to the request are the decision's or attempt's
	Usage    Usage    `json:"usage"`             // of all attempts together
	BytesIn  int64    `json:"bytes_in"`          // of the answer, as received
	BytesOut int64    `json:"bytes_out"`         // of the answer, as given to the client
	Millis   Millis   `json:"ms"`
}

// Kind is KindConclusion.
func (*Conclusion) Kind() Kind { return KindConclusion }

// Change is one thing an act of administration altered. Old and New are ids,
// digests or settings, never keys or personal data.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Admin is the event of an act of administration.
type Admin struct {
	Head
	Who     string   `json:"who"`          // role or account id: "cli", "process", "admin", …
	What    string   `json:"what"`         // e.g. key.create, config.reload, log.repair
	On      string   `json:"on,omitempty"` // id of what it was done to
	Changed []Change `json:"changed,omitempty"`
}

// Kind is KindAdmin.
func (*Admin) Kind() Kind { return KindAdmin }
