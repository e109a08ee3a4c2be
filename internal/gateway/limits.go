package gateway

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"time"

	"homeport/internal/limit"
	"homeport/internal/openai"
	"homeport/internal/provider"
)

// reservation is a request's share of its app's limits. It is settled exactly once: with what was used when the request
// was forwarded, with nothing when not a byte left.
type reservation struct {
	r      *limit.Reservation
	prompt int64 // tokens that one try may use at most, as estimated at admission
	answer int64
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
			e.Message = "The app's limit " + d.Denied.String() + " is reached, or has no room for what this request may use; a smaller max_tokens may fit. 应用已达到 " +
				d.Denied.String() + " 上限，或余量不足以容纳该请求的最大可能用量；可减小 max_tokens。"
		}
		return e
	}
	in.limits.r = d.Reservation
	return nil
}

// estimate is the most one try may cost: the prompt by its bytes, the answer by the limit the request sets, at the dearest
// of its targets. A price that cannot be computed is one that fits under no limit.
func (in *admitted) estimate(now time.Time) limit.Amount {
	in.limits.prompt, in.limits.answer = in.prompt, answerLimit(in.req)
	a := limit.Amount{Tokens: saturate(in.limits.prompt, in.limits.answer)}
	for _, c := range in.choices {
		if c.Cost == nil {
			continue
		}
		micro, ok := c.Cost(now, in.limits.prompt, in.limits.answer, 0)
		if !ok {
			micro = math.MaxInt64
		}
		a.MicroCNY = max(a.MicroCNY, micro)
	}
	return a
}

// cost is what one try at t costs: by the usage that was counted, else as much as it may have used.
func (r *reservation) cost(t *Target, u provider.Usage, counted bool, now time.Time) limit.Amount {
	if r.r == nil {
		return limit.Amount{}
	}
	a := limit.Amount{Tokens: saturate(r.prompt, r.answer), MicroCNY: r.r.Estimate().MicroCNY}
	if counted {
		a.Tokens = u.Total
	} else {
		u = provider.Usage{Prompt: r.prompt, Completion: r.answer}
	}
	if t.Cost != nil {
		if micro, ok := t.Cost(now, u.Prompt, u.Completion, u.Cached); ok {
			a.MicroCNY = micro
		}
	}
	return a
}

// settle replaces the reservation by what the tries cost together; where nobody knows, the estimate stays, never a silent
// refund.
func (r *reservation) settle(out *outcome) {
	switch {
	case r.r == nil:
	case out.charged:
		r.r.Settle(out.cost)
	default:
		r.r.SettleEstimate()
	}
}

// release gives back a reservation of which nothing was sent; after settle it changes nothing.
func (r *reservation) release() {
	if r.r != nil {
		r.r.Settle(limit.Amount{})
	}
}
