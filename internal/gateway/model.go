package gateway

import (
	"encoding/json/jsontext"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"homeport/audit"
	"homeport/internal/appkey"
	"homeport/internal/limit"
	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/upstream"
	"homeport/policy"
)

// Pipeline is everything a request is judged and carried by: applications, routes, targets, rules and the digests that
// events name. It is immutable; a reload builds another and swaps the pointer, so one request sees one snapshot
// (attack case B14).
type Pipeline struct {
	Keys    *appkey.Set
	Apps    map[string]*App
	Routes  []Route
	Engine  *policy.Engine
	Memory  *policy.Memory
	Profile policy.Profile
	Digests audit.Digests
	MaxBody int64 // bytes
	// Salt gives the key of an app's commitments in a month ("2026-11", Beijing).
	Salt func(app, month string) (*CommitKey, error)
	// Facts are the handles of what is measured in each request.
	Facts FactIDs

	day  atomic.Pointer[today]
	pool sync.Pool // of *policy.Facts
}

// FactIDs are the handles of the facts a request sets.
type FactIDs struct {
	Date, Persons, SensitivePersons, Important, Core, StateSecret policy.ID
}

// App is one calling application with what was declared for it.
type App struct {
	ID      string
	Limiter *limit.Limiter // nil without limits; shared by all apps and kept over reloads
	// Declared data facts, which measuring may tighten but not loosen.
	PersonsDeclared, SensitiveDeclared bool
	Persons, Sensitive                 int64
	Important, Core, StateSecret       *bool // nil: measured
	// FactsJSON are the members of the event's facts that hold for every request of the app.
	FactsJSON []byte
	// Models lists what the app may ask for, for GET /v1/models. Safe for concurrent use; worked out at first use.
	Models func() []ModelName
	Meters AppMeters
}

// ModelName is one entry of the model list.
type ModelName struct {
	ID      string
	OwnedBy string
}

// Route says where a model name may go, for the apps it names.
type Route struct {
	Pattern string
	Matches func(app, model string) bool
	// To lists the targets in order for a model name; nil when the name resolves to nothing.
	To func(app *App, model string) []Choice
}

// Choice is a target within a route.
type Choice struct {
	*Target
	Tier, Weight int
	Base         *policy.Base // facts of this app at this target
}

// Target is one provider instance with one model.
type Target struct {
	ID       string // provider/model, as configured
	Wire     *provider.Wire
	Call     provider.Target
	Client   *upstream.Client
	Gate     *upstream.Gate
	Retries  int
	Place    []string // ISO codes; none is unknown
	Filing   string   // number shown for this model; "" is unknown
	System   string   // gen_ai.provider.name
	Practice bool
	// Cost of a call in micro-CNY; ok is false when a price is unknown. Nil: unknown.
	Cost func(now time.Time, in, out, cached int64) (micro int64, ok bool)
	// Conceal hides the upstream's credential in what the upstream says of a failure (attack case D1); nil without one.
	Conceal *strings.Replacer
	// FactsJSON are the members of the facts that belong to this target.
	FactsJSON []byte
	Meters    TargetMeters

	fragments sync.Map // *policy.Decision → []byte, the target's part of a decision event without edits
}

// conceal takes the upstream's credential out of an error that is made of the upstream's words.
func (t *Target) conceal(e *openai.Error) {
	if t.Conceal == nil {
		return
	}
	for _, s := range [...]*string{&e.Type, &e.Code, &e.Param, &e.Message} {
		*s = t.Conceal.Replace(*s)
	}
	for _, v := range [...]*jsontext.Value{&e.Homeport, &e.Inner} {
		if *v != nil {
			*v = jsontext.Value(t.Conceal.Replace(string(*v)))
		}
	}
}

// PlaceHeader is x-homeport-place: ISO codes separated by commas, or unknown.
func (t *Target) PlaceHeader() string {
	if len(t.Place) == 0 {
		return "unknown"
	}
	out := t.Place[0]
	for _, p := range t.Place[1:] {
		out += "," + p
	}
	return out
}

// AppMeters count one app's requests. Nil functions count nothing.
type AppMeters struct {
	Admitted func(status int) // answers before judgement: 400, 401, 404, 429 …
	Verdict  func(v policy.Verdict)
	Finding  func(typ string, n int)
	Duty     func(id string)
}

// TargetMeters count one target's calls. Nil functions count nothing.
type TargetMeters struct {
	Begin func() // a call begins
	Left  func() // and ends
	// End reports one concluded request: duration, time to the first event (0: none), tokens by kind and their source.
	End func(op string, status int, outcome string, took, first time.Duration, u provider.Usage)
}
