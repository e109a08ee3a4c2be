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

// Price is what a target's tokens cost.
type Price = func(now time.Time, prompt, completion, cached int64) (micro int64, ok bool)

// Estimate gives the tokens a request may use at most.
func Estimate(op openai.Endpoint, raw string) (prompt, answer int64, err *openai.Error) {
	req, err := openai.Parse(op, []byte(raw))
	if err != nil {
		return 0, 0, err
	}
	return estimatePrompt(req), answerLimit(req), nil
}

// Try is one try of a request: with Left false nothing was sent, else Usage is what was counted.
type Try struct {
	Price Price
	Left  bool
	Whole bool
	Usage provider.Usage
}

// Spend admits a chat request against the limits of app and settles its tries.
func Spend(l *limit.Limiter, app, raw string, tries ...Try) *openai.Error {
	req, err := openai.Parse(openai.Chat, []byte(raw))
	if err != nil {
		return err
	}
	g := &Gateway{opts: Options{Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	in := &admitted{req: req, prompt: estimatePrompt(req)}
	for _, t := range tries {
		in.choices = append(in.choices, Choice{Target: &Target{Cost: t.Price}})
	}
	if err := g.admitLimits(context.Background(), &App{ID: app, Limiter: l}, in, http.Header{}, time.Now()); err != nil {
		return err
	}
	in.forget()
	c := &carrier{g: g, in: in}
	for i, t := range tries {
		if t.Left {
			c.charge(in.choices[i].Target, t.Usage, t.Whole)
		}
	}
	c.out.charged = true
	in.limits.settle(&c.out)
	return nil
}
