package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"homeport/internal/limit"
	"homeport/internal/openai"
	"homeport/internal/provider"
)

// reservation is a request's share of its app's limits. It is settled exactly once: with what was used when the request
// was forwarded, with nothing when not a byte left.
type reservation struct {
	r *limit.Reservation
}

// admitLimits reserves what the request may cost at most. A figure that cannot be read or written refuses (503).
func (g *Gateway) admitLimits(ctx context.Context, app *App, in *admitted, h http.Header, now time.Time) *openai.Error {
	if app.Limiter == nil {
		return nil
	}
	d, err := app.Limiter.Admit(ctx, app.ID, in.estimate(now))
	if err != nil {
		g.opts.Log.LogAttrs(ctx, slog.LevelError, "limits unavailable", slog.String("app", app.ID), slog.String("error", err.Error()))
		return &openai.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "limits_unavailable",
			Message: "The app's usage figures could not be written, so the request was not sent. 用量数据无法写入，请求没有发出。"}
	}
	d.SetHeader(h)
	if d.Denied != limit.None {
		e := &openai.Error{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded", RetryAfter: d.Wait,
			Message: "The app's limit " + d.Denied.String() + " is reached. 应用已达到 " + d.Denied.String() + " 上限。"}
		if d.Denied != limit.Requests {
			e.Type, e.Code, e.NoRetry = "insufficient_quota", "insufficient_quota", true
		}
		return e
	}
	in.limits.r = d.Reservation
	return nil
}

// estimate is the most this request may cost: the prompt by its bytes, the answer by the limit the request sets, at the
// dearest of its targets.
func (in *admitted) estimate(now time.Time) limit.Amount {
	out := in.answerLimit()
	a := limit.Amount{Tokens: in.prompt + out}
	for _, c := range in.choices {
		if c.Cost == nil {
			continue
		}
		if micro, ok := c.Cost(now, in.prompt, out, 0); ok {
			a.MicroCNY = max(a.MicroCNY, micro)
		}
	}
	return a
}

// assumedAnswer is how many tokens an answer may have when the request sets no limit.
const assumedAnswer = 4096

func (in *admitted) answerLimit() int64 {
	if in.req.Endpoint == openai.Embeddings {
		return 0
	}
	n := int64(1)
	if v, ok := smallInt(in.req.Value("n")); ok {
		n = max(v, 1)
	}
	for _, name := range [...]string{"max_completion_tokens", "max_tokens"} {
		if v, ok := smallInt(in.req.Value(name)); ok {
			return v * n
		}
	}
	return assumedAnswer * n
}

// smallInt reads a plain positive JSON integer below 10^9; anything else is not one.
func smallInt(raw []byte) (int64, bool) {
	if len(raw) == 0 || len(raw) > 9 {
		return 0, false
	}
	n := int64(0)
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// settle replaces the reservation by what was used at the target that answered. A failure the upstream answered with an
// error costs nothing; an answer that broke off or that nobody counted keeps the estimate, never a silent refund.
func (r *reservation) settle(out *outcome, now time.Time) {
	if r.r == nil {
		return
	}
	u := out.usage
	switch {
	case u.Source == provider.UsageProvider || u.Source == provider.UsageEstimated:
	case out.result == resultUpstream:
		r.r.Settle(limit.Amount{})
		return
	default:
		r.r.SettleEstimate()
		return
	}
	a := limit.Amount{Tokens: u.Total, MicroCNY: r.r.Estimate().MicroCNY}
	if t := out.target; t != nil && t.Cost != nil {
		if micro, ok := t.Cost(now, u.Prompt, u.Completion, u.Cached); ok {
			a.MicroCNY = micro
		}
	}
	r.r.Settle(a)
}

// release gives back a reservation of which nothing was sent; after settle it changes nothing.
func (r *reservation) release() {
	if r.r != nil {
		r.r.Settle(limit.Amount{})
	}
}
