package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"homeport/internal/limit"
	"homeport/internal/openai"
	"homeport/internal/provider"
	"homeport/internal/upstream"
	"homeport/policy"
)

// Bounds of what is held in memory of one answer that is not a stream.
const (
	headWindow   = 256 << 10 // an answer up to this is read whole; a longer one is streamed on where its dialect allows
	wholeAnswer  = 16 << 20  // the most that is held where a dialect must see the whole
	tailWindow   = 4 << 10   // where the usage figure is looked for in a streamed body
	errorBody    = 64 << 10
	serverBuffer = 2 << 10          // what the server holds of an answer before it writes: below that no reader is waited for here
	maxBackoff   = 10 * time.Second // all waits of one request together
)

// Results of a request, as its conclusion tells them.
const (
	resultOK           = "ok"
	resultRefused      = "refused"
	resultUpstream     = "upstream_error"
	resultClientGone   = "client_gone"
	resultStreamBroken = "stream_broken"
	resultTimeout      = "timeout"
	resultInternal     = "internal_error"
	resultUnrecorded   = "unrecorded"
)

// outcome is what really happened.
type outcome struct {
	status   int
	result   string
	code     string  // short code of an error
	target   *Target // that answered, or was asked last
	tries    int
	usage    provider.Usage // of the last try
	used     provider.Usage // of all tries together
	charged  bool           // cost is what the tries cost, else nobody knows
	cost     limit.Amount
	bytesIn  int64
	bytesOut int64
	firstAt  time.Time
	adapted  []string // changes made to the answer the client got
	finish   string   // its finish reason
	sent     bool     // some byte of the request may have left
	abort    bool     // the connection is cut once the request is concluded
}

// carrier takes one request to its targets. It lives as long as forward.
type carrier struct {
	g   *Gateway
	w   http.ResponseWriter
	r   *http.Request
	app *App
	ex  *exchange
	in  *admitted
	ru  *ruling
	rec *recorded

	body []byte // for the next try
	last *openai.Error
	out  outcome
}

// forward sends the request to the first permitted target, and on failure before the first byte to the next ones, each
// made durable as an attempt before its bytes leave (invariant 3). It answers the client in every case.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, p *Pipeline, app *App, ex *exchange, in *admitted, ru *ruling, rec *recorded) *outcome {
	c := &carrier{g: g, w: w, r: r, app: app, ex: ex, in: in, ru: ru, rec: rec, body: rec.body}
	rec.body = nil // the carrier's until it is sent
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // an upstream is stopped as soon as nobody reads it
	plan := upstream.Plan{Steps: ru.order, Budget: maxBackoff}
	res, err := upstream.Try(ctx, plan, func(target, n int, reason string) error {
		var err error
		c.body, err = g.attempt(ctx, app, ex, in, rec, &ru.judged[target], n, reason)
		if err == nil {
			rec.events++
		}
		return err
	}, c.try)
	c.out.tries, c.out.charged = res.Tries, true
	switch {
	case err != nil && upstream.ClassOf(err) == upstream.ClassCanceled && r.Context().Err() != nil:
		c.out.result, c.out.status, c.out.abort = resultClientGone, 0, true
	case err != nil:
		c.out.result, c.out.code = resultUnrecorded, "evidence_unavailable"
		c.refuseWith(faults["record"])
	case c.last != nil:
		c.refuseWith(c.last)
	}
	return &c.out
}

// refuseWith answers an error, unless the client has gone.
func (c *carrier) refuseWith(e *openai.Error) {
	if c.r.Context().Err() != nil {
		c.out.result, c.out.status, c.out.abort = resultClientGone, 0, true // no answer, rather than an empty one
		return
	}
	c.headers(c.w.Header(), c.out.target, nil)
	c.out.status = e.Status
	if c.out.code == "" {
		c.out.code = e.Code
	}
	e.Write(c.w)
}

// try asks one target once. What it returns decides whether another try may follow; nothing has reached the client unless
// it says Committed.
func (c *carrier) try(ctx context.Context, index, n int) upstream.Outcome {
	j := &c.ru.judged[index]
	c.out.target, c.last = j.Target, nil
	c.out.usage, c.out.bytesIn, c.out.firstAt = provider.Usage{}, 0, time.Time{} // an earlier try's are not this target's
	ticket, err := j.Gate.Enter(ctx)
	if err != nil {
		return c.failed(err)
	}
	health := upstream.Ignored
	defer func() { ticket.Done(health) }()
	if j.Meters.Begin != nil {
		j.Meters.Begin()
		defer j.Meters.Left()
	}
	ans, err := j.Client.Do(ctx, &upstream.Call{Path: j.plan.Path, Query: j.plan.Query, Body: c.body, Stream: c.in.req.Stream})
	c.body = nil // not needed again: a further try builds its own
	if err != nil {
		health = upstream.HealthOf(err)
		if ue, ok := errors.AsType[*upstream.Error](err); !ok || ue.Sent {
			c.out.sent = true
			if class := upstream.ClassOf(err); class != upstream.ClassStale && class != upstream.ClassRedirect {
				c.charge(j.Target, provider.Usage{}, false) // it may have done the work
			}
		}
		return c.failed(err)
	}
	c.out.sent = true
	defer ans.Body.Close()
	if ans.Status < 200 || ans.Status > 299 {
		o := c.errorStatus(j, ans)
		if ans.Status >= 500 || ans.Status == http.StatusTooManyRequests {
			health = upstream.Failed
		}
		return o
	}
	f := j.Wire.Follow(&j.plan, provider.AnswerOptions{Endpoint: c.ex.op, Azure: c.ex.azure, Model: c.in.model,
		ID: c.ex.answerID(n), Created: c.ex.began.Unix(), PromptTokens: c.in.prompt})
	var o upstream.Outcome
	if c.in.req.Stream {
		o, health = c.stream(j, ans, f)
	} else {
		o, health = c.whole(j, ans, f)
	}
	c.out.usage = f.Usage()
	if o.Committed {
		c.out.adapted, c.out.finish = f.Adapted(), f.FinishReason()
	}
	if !turnedAway(f) {
		c.charge(j.Target, c.out.usage, c.out.result == resultOK)
	}
	return o
}

// turnedAway reports an upstream that said no within a 200, before any of its answer: as an error status, that costs nothing.
func turnedAway(f *provider.Answer) bool {
	if f.Relayed() > 0 {
		return false
	}
	switch f.Class() {
	case provider.ClassAuth, provider.ClassPermission, provider.ClassRegion, provider.ClassBalance, provider.ClassRateLimit,
		provider.ClassQuotaWindow, provider.ClassModel, provider.ClassBadRequest, provider.ClassContext, provider.ClassOverload:
		return true
	}
	return false
}

// charge adds what one try used, at the price of its own target. What nobody counted costs as much as it may have: only an
// error, in its status or in place of an answer, or a request that did not leave, costs nothing and is not charged.
func (c *carrier) charge(t *Target, u provider.Usage, whole bool) {
	now := c.g.opts.Now()
	counted := u.Source == provider.UsageProvider || u.Source == provider.UsageEstimated
	if !whole && u.Total == 0 {
		counted = false // a figure from before the end
	}
	if counted {
		c.out.used = addUsage(c.out.used, u)
	}
	a := c.in.limits.cost(t, u, counted, now)
	c.out.cost = limit.Amount{Tokens: saturate(c.out.cost.Tokens, a.Tokens), MicroCNY: saturate(c.out.cost.MicroCNY, a.MicroCNY)}
}

// addUsage adds what two tries used; it is the provider's figure only if both are.
func addUsage(a, b provider.Usage) provider.Usage {
	if a.Source == "" {
		return b
	}
	sum := provider.Usage{Prompt: saturate(a.Prompt, b.Prompt), Completion: saturate(a.Completion, b.Completion), Total: saturate(a.Total, b.Total),
		Cached: saturate(a.Cached, b.Cached), Reasoning: saturate(a.Reasoning, b.Reasoning), Source: a.Source}
	if b.Source != a.Source {
		sum.Source = provider.UsageEstimated
	}
	return sum
}

// failed turns an error before any answer into what the client gets if nothing else helps.
func (c *carrier) failed(err error) upstream.Outcome {
	c.out.code = upstream.ClassOf(err).String()
	c.out.result = resultUpstream
	switch upstream.ClassOf(err) {
	case upstream.ClassFirstByte, upstream.ClassIdle, upstream.ClassTotal:
		c.out.result = resultTimeout
		c.last = provider.UpstreamFailure(provider.ClassTimeout)
	case upstream.ClassBusy, upstream.ClassOpen:
		c.last = provider.UpstreamFailure(provider.ClassOverload)
	case upstream.ClassAuth:
		c.last = provider.UpstreamFailure(provider.ClassAuth)
	case upstream.ClassCanceled:
		c.out.result = resultClientGone
		c.last = provider.UpstreamFailure(provider.ClassUpstream)
	default:
		c.last = provider.UpstreamFailure(provider.ClassUpstream)
	}
	return upstream.OutcomeOf(err)
}

// errorStatus judges an answer that is not 2xx, by its body before its status.
func (c *carrier) errorStatus(j *judged, ans *upstream.Answer) upstream.Outcome {
	body, _ := io.ReadAll(io.LimitReader(ans.Body, errorBody))
	e, class := provider.ClassifyError(j.Wire.Errors, ans.Status, ans.Header, body)
	return c.classified(e, class, upstream.RetryAfter(ans.Header, c.g.opts.Now()))
}

func (c *carrier) classified(e *openai.Error, class provider.Class, after time.Duration) upstream.Outcome {
	c.out.target.conceal(e)
	c.last, c.out.code, c.out.result = e, string(class), resultUpstream
	o := upstream.Outcome{Kind: upstream.Fatal, Reason: string(class), After: after}
	switch {
	case class.Retryable():
		o.Kind = upstream.Retryable
	case class.Fallback():
		o.Kind = upstream.FallbackOnly
	}
	return o
}

// headers tells the client where its answer comes from. Values that are not ASCII are percent-encoded.
func (c *carrier) headers(h http.Header, t *Target, adapted []byte) {
	if t == nil {
		return
	}
	h["X-Homeport-Target"] = []string{headerValue(t.ID)}
	h["X-Homeport-Place"] = []string{t.PlaceHeader()}
	if t.Filing != "" {
		h["X-Homeport-Filing"] = []string{headerValue(t.Filing)}
	}
	h["X-Homeport-Verdict"] = []string{c.ru.verdictOf(t).String()}
	if len(adapted) > 0 {
		h["X-Homeport-Adapted"] = []string{string(adapted)}
	}
}

// adapted is x-homeport-adapted: the request's changes and those of the answer known so far; f may be nil.
func (c *carrier) adapted(j *judged, f *provider.Answer) []byte {
	b := provider.AppendAdapted(nil, j.plan.Adapted)
	if f == nil {
		return b
	}
	for _, a := range f.Adapted() {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, a...)
	}
	return b
}

func headerValue(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return url.PathEscape(s)
		}
	}
	return s
}

// answerID stands in where an upstream gives no id; attempts never share one.
func (ex *exchange) answerID(n int) string {
	if n == 1 {
		return ex.id
	}
	return ex.id + "-" + strconv.Itoa(n)
}

func (r *ruling) verdictOf(t *Target) policy.Verdict {
	for i := range r.judged {
		if r.judged[i].Target == t {
			return r.judged[i].decision.Verdict
		}
	}
	return policy.Block
}
