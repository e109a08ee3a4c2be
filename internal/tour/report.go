package tour

import "homeport/policy"

// Report is everything the tour saw. It is the output of --json.
type Report struct {
	Schema      string        `json:"schema"`
	Version     string        `json:"version"`
	OK          bool          `json:"ok"`       // everything came out as told
	Practice    bool          `json:"practice"` // always true: no model answered
	Profile     string        `json:"profile"`
	Steps       []Step        `json:"steps"`
	Journal     Journal       `json:"journal"`
	Differences []policy.Text `json:"differences"` // what came out otherwise than told
	Millis      int64         `json:"ms"`
}

// Step is one request: what was sent, what came back, and what the evidence says of it.
type Step struct {
	Title    policy.Text `json:"title"`
	Point    policy.Text `json:"point"`
	App      string      `json:"app"`
	Who      policy.Text `json:"who"`
	Model    string      `json:"model"` // as asked for
	Stream   bool        `json:"stream"`
	Sent     policy.Text `json:"sent"` // described, personal information masked
	Status   int         `json:"status"`
	EventID  string      `json:"event_id"` // x-request-id
	Verdict  string      `json:"verdict"`  // x-homeport-verdict
	Target   string      `json:"target"`   // x-homeport-target; "" for a refusal
	Place    string      `json:"place"`    // x-homeport-place
	Adapted  string      `json:"adapted,omitempty"`
	Answer   string      `json:"answer,omitempty"` // the practice upstream's words, the beginning
	Chunks   int         `json:"chunks,omitempty"` // events of a stream, the last one included
	Code     string      `json:"error_code,omitempty"`
	Message  string      `json:"error_message,omitempty"` // what the application's developer reads
	Retry    string      `json:"should_retry,omitempty"`  // x-should-retry of a refusal
	Targets  []Judged    `json:"targets"`                 // in the order of the route, from the event
	Event    *Event      `json:"event"`
	Conclude *Conclusion `json:"conclusion"`

	told    step
	refusal refusal
}

// Judged is one target with its verdict and the rules behind it, judged again from the facts in the event.
type Judged struct {
	ID       string   `json:"id"`
	Place    []string `json:"place"`
	Source   string   `json:"source"`
	Verdict  string   `json:"verdict"`
	Rules    []Reason `json:"rules"`
	Needs    []Need   `json:"needs_facts,omitempty"`
	Replayed bool     `json:"replayed"` // judging the event's facts again gave the same verdict and rules
}

// Need is a fact that was not known.
type Need struct {
	Fact string      `json:"fact"`
	Why  policy.Text `json:"why"` // what it is, and which rules ask
}

// Reason is one rule that answered.
type Reason struct {
	Rule      string      `json:"rule"`
	Verdict   string      `json:"verdict"`
	Unknown   bool        `json:"unknown,omitempty"` // it could not be ruled out: a fact is unknown
	Forbids   bool        `json:"forbids"`
	Duty      string      `json:"duty,omitempty"`
	Do        policy.Text `json:"do"`
	Citations []Citation  `json:"citations"`
}

// Citation is an article in words.
type Citation struct {
	Title policy.Text `json:"title"` // title and number of the article
	Basis policy.Text `json:"basis"`
	URL   string      `json:"url,omitempty"`
}

// Event is what the journal holds of the decision: ids, counts and commitments, no text.
type Event struct {
	Index      uint64           `json:"index"`
	Bytes      int              `json:"bytes"` // of the event
	Time       string           `json:"time"`
	Findings   map[string]int64 `json:"findings"`
	Facts      int              `json:"facts"` // recorded with their provenance
	Config     string           `json:"config_digest"`
	Packs      string           `json:"packs_digest"`
	Commitment string           `json:"commitment,omitempty"` // of the exact bytes sent, hex
}

// Conclusion is what the journal holds of the end.
type Conclusion struct {
	Index    uint64 `json:"index"`
	Outcome  string `json:"outcome"`
	Attempts int64  `json:"attempts"`
	Tokens   int64  `json:"tokens"`
	Usage    string `json:"usage_source"`
	Finish   string `json:"finish,omitempty"`
	// Adapted are the changes made to the answer.
	Adapted []string `json:"adapted,omitempty"`
}

// Journal is what checking the evidence gave.
type Journal struct {
	Records     uint64 `json:"records"`
	Bytes       int64  `json:"bytes"`
	Decisions   int    `json:"decisions"`
	Conclusions int    `json:"conclusions"`
	Admin       int    `json:"admin"`
	Verified    bool   `json:"verified"`  // every frame, checksum and index
	Parsed      bool   `json:"parsed"`    // every event, strictly
	Concluded   bool   `json:"concluded"` // each decision has one conclusion
	TextFree    bool   `json:"text_free"` // no event holds text of a prompt
	Replayed    bool   `json:"replayed"`  // every verdict came out again from its event
}
