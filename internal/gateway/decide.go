package gateway

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/upstream"
	"homeport/policy"
)

// beijing is the time zone of days, months and yearly counts in the law that is applied.
var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

// ruling is the judgement of one request over all targets of its route.
type ruling struct {
	route   string
	judged  []judged
	order   []upstream.Step // permitted and able, in the order of trying; Target indexes judged
	verdict policy.Verdict  // of the first in order; of a refusal, the mildest met
	facts   []byte          // members of the facts measured in this request
}

// judged is one target with its decision and, when permitted, what would be sent.
type judged struct {
	Choice
	decision *policy.Decision
	plan     provider.Plan
	unable   *openai.Error // permitted, but this target cannot take the request
}

// Denied reports that no target is permitted.
func (r *ruling) Denied() bool { return len(r.order) == 0 }

// decide judges every target that the route offers, and plans the edits for each permitted one. It is pure: no I/O, and
// the clock comes in as a value. The error is a 404 for a model nobody serves, or a 400 when every permitted target
// cannot take the request as it is.
func decide(p *Pipeline, app *App, in *admitted, found *Findings, now time.Time) (*ruling, *openai.Error) {
	r := &ruling{route: in.route.Pattern, verdict: policy.Block}
	choices := in.choices
	r.judged = make([]judged, len(choices))
	facts := p.facts(choices[0].Base)
	defer p.pool.Put(facts)
	day := p.today(now)
	if clean := setMeasured(p, app, in, found, facts, day); clean {
		r.facts = day.clean(facts)
	} else {
		r.facts = facts.AppendSetJSON(make([]byte, 0, 512))
	}
	var unable *openai.Error
	for i, c := range choices {
		j := &r.judged[i]
		j.Choice = c
		facts.Rebase(c.Base)
		j.decision = p.Memory.Decide(facts, p.Profile)
		r.verdict = min(r.verdict, j.decision.Verdict)
		if !j.decision.Verdict.Permitted() {
			continue
		}
		j.plan, j.unable = c.Wire.Adapt(in.req, c.Call)
		if j.unable != nil {
			if unable == nil {
				unable = j.unable
			}
			continue
		}
		r.order = append(r.order, upstream.Step{Target: i, Tier: c.Tier, Weight: c.Weight, Retries: c.Retries})
	}
	if len(r.order) == 0 && unable != nil {
		return nil, unable
	}
	r.arrange()
	if len(r.order) > 0 {
		r.verdict = r.judged[r.order[0].Target].decision.Verdict
	}
	return r, nil
}

// arrange draws by weight within tiers, and puts targets whose breaker is open behind the others: they are asked only
// when nothing else is left.
func (r *ruling) arrange() {
	if len(r.order) < 2 {
		return
	}
	for i := range r.order {
		if r.judged[r.order[i].Target].Gate.Open() {
			r.order[i].Tier += math.MaxInt32
		}
	}
	upstream.Order(r.order, nil)
}

// setMeasured puts what was seen in this request on top of what was declared. What was found is never counted as less:
// with personal information present and no yearly count declared, the count is unknown and the strict branch applies.
// What could not be read counts as personal information that was not ruled out. It reports whether every value is that of
// a request in which nothing was found and for which nothing was declared.
func setMeasured(p *Pipeline, app *App, in *admitted, found *Findings, f *policy.Facts, day *today) (clean bool) {
	id := &p.Facts
	_ = f.Set(id.Date, day.date, policy.Measured)
	unread := found.Uninspected > 0
	clean = !unread && in.class == classNone
	count := func(fact policy.ID, present, declared bool, base int64) {
		switch {
		case !present:
			f.SetInt(fact, 0, policy.Measured) // this request carries none, whatever others carried
		case declared:
			f.SetInt(fact, base+1, policy.Declared)
			clean = false
		default:
			f.Unknown(fact)
			clean = false
		}
	}
	personal := found.Personal() || in.class >= classPersonal || unread
	sensitive := found.Sensitive() || in.class >= classSensitive || unread
	count(id.Persons, personal, app.PersonsDeclared && !unread, app.Persons)
	count(id.SensitivePersons, sensitive, app.SensitiveDeclared && !unread, app.Sensitive)
	flag := func(fact policy.ID, declared *bool, tightened bool) {
		switch {
		case tightened:
			f.SetBool(fact, true, policy.Declared)
		case declared != nil:
			f.SetBool(fact, *declared, policy.Declared)
			clean = false
		case unread && fact == id.StateSecret:
			// Where nothing leaves, a picture stays usable: no mark was seen, and none is assumed behind it. What would
			// leave is stopped by the unknowns beside it.
			f.SetBool(fact, false, policy.Assumed)
		case unread:
			f.Unknown(fact)
		default:
			f.SetBool(fact, false, policy.Measured)
		}
	}
	flag(id.Important, app.Important, in.class >= classImportant)
	flag(id.Core, app.Core, in.class >= classCore)
	flag(id.StateSecret, app.StateSecret, in.class >= classStateSecret)
	return clean
}

// today is a day in Beijing, with the encoded facts of a request in which nothing was found: most requests.
type today struct {
	number int64 // days since 1970-01-01, Beijing
	date   string
	once   sync.Once
	json   []byte
}

func (p *Pipeline) today(now time.Time) *today {
	n := (now.Unix() + 8*60*60) / (24 * 60 * 60)
	if d := p.day.Load(); d != nil && d.number == n {
		return d
	}
	d := &today{number: n, date: now.In(beijing).Format(time.DateOnly)}
	p.day.Store(d)
	return d
}

// clean gives the encoded facts of a clean request; they are the same for all of a day.
func (d *today) clean(f *policy.Facts) []byte {
	d.once.Do(func() { d.json = f.AppendSetJSON(nil) })
	return d.json
}

// facts takes a vector from the pool and puts base under it.
func (p *Pipeline) facts(base *policy.Base) *policy.Facts {
	if f, ok := p.pool.Get().(*policy.Facts); ok {
		f.Reset(base)
		return f
	}
	return base.Facts()
}

// resolve finds the route and its targets for a model name.
func (p *Pipeline) resolve(app *App, model string) (*Route, []Choice) {
	for i := range p.Routes {
		rt := &p.Routes[i]
		if rt.Matches(app.ID, model) {
			return rt, rt.To(app, model)
		}
	}
	return nil, nil
}

// unknownModel lists what the key may use, so that the caller need not ask for it.
func unknownModel(app *App) *openai.Error {
	names := make([]string, 0, 20)
	for _, m := range app.Models() {
		if len(names) == 20 {
			names = append(names, "…")
			break
		}
		names = append(names, m.ID)
	}
	list := strings.Join(names, ", ")
	return &openai.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "model_not_found", Param: "model",
		Message: "This key has no route for the requested model. It may use: " + list + ". 该密钥没有所请求模型的路由，可用模型：" + list + "。"}
}

// Bare judges a request that carries nothing at one choice: what is not permitted then never is, for a request can only add.
func (p *Pipeline) Bare(app *App, c Choice, now time.Time) *policy.Decision {
	facts := c.Base.Facts()
	setMeasured(p, app, &admitted{}, &Findings{}, facts, p.today(now))
	return p.Memory.Decide(facts, p.Profile)
}

// AnyPermitted reports whether a request that carries nothing could go to one of the choices.
func (p *Pipeline) AnyPermitted(app *App, choices []Choice, now time.Time) bool {
	facts := choices[0].Base.Facts()
	setMeasured(p, app, &admitted{}, &Findings{}, facts, p.today(now))
	for _, c := range choices {
		facts.Rebase(c.Base)
		if p.Memory.Decide(facts, p.Profile).Verdict.Permitted() {
			return true
		}
	}
	return false
}
