// Package tour is the guided run: a whole gateway on a temporary folder, four real requests, and what came of each.
//
// Start at [Run], which does everything and returns a [Report]; [Report.Write] tells it in plain words, in Chinese or
// English. What always holds:
//   - nothing leaves the machine: the only upstream is the built-in practice upstream, which plays a model in mainland
//     China, one in Sweden and one in the United States by facts declared in the tour's own configuration;
//   - nothing stays behind: the folder is removed, also after an error;
//   - the report is held against what was promised ([Report.Differences]), so the tour is also an end-to-end test. Every
//     decision is read back from the journal and judged again from the facts in its event.
package tour

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"homeport/internal/config"
	"homeport/internal/wiring"
	"homeport/policy"
	"homeport/registry"
)

// Options are what the tour is run with.
type Options struct {
	Registry *registry.Registry
	Engine   *policy.Engine
	// Config is what the loader of a configuration needs of catalog and rules.
	Config  config.Options
	Version string
	// Lang is the language of the prompts: "zh", else English.
	Lang string
}

// grace is how long the tour's own requests may take to end; there are none left when the gateway is closed.
const grace = 5 * time.Second

// configuration is the tour's homeport.yaml: one operator, two apps, three targets. The verbs are the data folder and two keys.
const configuration = `operator: {name: 示例科技, place: CN, cii: false, sector: general}
listen: "127.0.0.1:0"
admin: {listen: "127.0.0.1:0"}
data: %q
journal: {max_wait: 20s}
providers:
  - {id: china,  catalog: practice, facts: {source: domestic_api, place: [CN], filed: true}}
  - {id: sweden, catalog: practice, facts: {source: azure_global, place: [SE], filed: false}}
  - {id: usa,    catalog: practice, facts: {source: overseas_direct, place: [US], filed: false}}
routes:
  - {model: gpt-4o,      apps: [office], to: [sweden/practice, china/practice]}
  - {model: gpt-4o,      apps: [shop],   to: [usa/practice]}
  - {model: gpt-4o-mini, apps: [shop],   to: [china/practice]}
apps:
  - {id: office, keys: [%q], service: {audience: internal, opinion: false}}
  - {id: shop,   keys: [%q], service: {audience: public_cn, opinion: true}, done: {registration: true, algo_filing: true}}
`

// Keys of the two apps, for a gateway that lives a second on loopback.
const (
	officeKey = "tour-key-of-the-office-app"
	shopKey   = "tour-key-of-the-shop-app-x"
)

// Run starts the gateway, sends the requests, closes it, and reads the journal. An error means that the tour could not be
// carried out; a tour that was carried out but came out otherwise than told has Differences.
func Run(ctx context.Context, o Options) (r *Report, err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "homeport-tour-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := filepath.Join(dir, "data")
	cfg, problems := config.Load("tour.yaml", fmt.Appendf(nil, configuration, data, officeKey, shopKey), o.Config)
	if cfg == nil {
		return nil, fmt.Errorf("the tour's own configuration: %d problems, the first: %s", len(problems), problems[0].In("en"))
	}
	r = &Report{Schema: "homeport.tour.v1", Version: o.Version, Practice: true, Profile: cfg.Profile}
	if err := r.visit(ctx, cfg, o); err != nil {
		return nil, err
	}
	if err := r.readBack(wiring.JournalDir(data), cfg, o); err != nil {
		return nil, err
	}
	r.compare()
	r.Millis = time.Since(began).Milliseconds()
	return r, nil
}

// visit runs the gateway for as long as the requests take.
func (r *Report) visit(ctx context.Context, cfg *config.Config, o Options) (err error) {
	s, err := wiring.Start(ctx, cfg, wiring.Options{Registry: o.Registry, Engine: o.Engine, Version: o.Version, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	defer func() {
		if e := s.Close(grace); e != nil {
			err = errors.Join(err, fmt.Errorf("close the gateway: %w", e))
		}
	}()
	for _, st := range steps() {
		done, err := send(ctx, "http://"+s.Data, st, o.Lang)
		if err != nil {
			return fmt.Errorf("request %d: %w", len(r.Steps)+1, err)
		}
		r.Steps = append(r.Steps, *done)
	}
	return nil
}
