package wiring

import (
	"context"
	"encoding/json"

	"homeport/internal/control"
	"homeport/internal/limit"
	"homeport/internal/store/sqlite"
)

// budgets keeps limits' figures in the primary state.
type budgets struct{ s *sqlite.Store }

func budgetOf(app string, kind limit.Kind, period string) sqlite.Budget {
	k := sqlite.Tokens
	if kind == limit.Money {
		k = sqlite.CNY
	}
	return sqlite.Budget{App: app, Kind: k, Period: period}
}

func (b budgets) Load(ctx context.Context, app string, kind limit.Kind, period string) (int64, error) {
	u, err := b.s.Usage(ctx, budgetOf(app, kind, period))
	return u.Total(), err
}

// Reserve sets aside; the limit itself was judged by the limiter, which alone writes here.
func (b budgets) Reserve(ctx context.Context, app string, kind limit.Kind, period string, amount int64) error {
	_, _, err := b.s.Reserve(ctx, budgetOf(app, kind, period), amount, 0)
	return err
}

func (b budgets) Settle(ctx context.Context, app string, kind limit.Kind, period string, reserved, actual int64) error {
	_, err := b.s.Settle(ctx, budgetOf(app, kind, period), reserved, actual)
	return err
}

// reloadVerb is the control socket's "reload".
func (s *Server) reloadVerb(ctx context.Context, _ json.RawMessage) (any, error) {
	if err := s.Reload(ctx); err != nil {
		return nil, &control.Error{Code: "failed", Zh: "重新加载失败，原配置继续生效：" + err.Error(), En: "reload failed, the old configuration goes on: " + err.Error()}
	}
	return map[string]string{"config": s.built.Load().Digests.Config}, nil
}
