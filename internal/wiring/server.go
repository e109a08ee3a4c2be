package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"homeport/audit"
	"homeport/internal/admin"
	"homeport/internal/appkey"
	"homeport/internal/config"
	"homeport/internal/control"
	"homeport/internal/gateway"
	"homeport/internal/httpx"
	"homeport/internal/limit"
	"homeport/internal/metrics"
	"homeport/internal/practice"
	"homeport/internal/store/sqlite"
	"homeport/policy"
	"homeport/registry"
)

// Options start a server.
type Options struct {
	Registry *registry.Registry
	Engine   *policy.Engine
	Version  string
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// AppKey, when set, is one more credential for the app "default": held in memory, never stored.
	AppKey string
	// AssumedFacts are the facts that a start without a file assumes.
	AssumedFacts []string
	// SegmentBytes is what the evidence log takes on disk in advance; 0 is the journal's default.
	SegmentBytes int64
	// Load reads the configuration again, for a reload; nil: there is nothing to reload.
	Load func() (*config.Config, error)
}

// Server is a running Homeport: both listeners, the journal, the state and the control socket.
type Server struct {
	Data  string // address of the data plane, as host:port
	Admin string
	// AdminSecret is set at the first start on a data folder only: it is shown once.
	AdminSecret string
	// Unfinished is how many decisions of an earlier process were concluded as unknown.
	Unfinished int

	opts    Options
	world   *World
	gate    *gateway.Gateway
	journal *audit.Journal
	built   atomic.Pointer[Built]
	reload  sync.Mutex // one reload at a time
	lock    *control.Lock
	control *control.Server
	servers []*http.Server
	stop    context.CancelFunc
	group   sync.WaitGroup
	failed  chan error
	closers []func() error // in the order of opening
}

// JournalDir is the folder of the evidence log within a data folder.
func JournalDir(data string) string { return filepath.Join(data, "journal") }

// Start opens state and journal, builds the pipeline, and listens. On an error nothing stays open.
func Start(ctx context.Context, cfg *config.Config, o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{opts: o, stop: stop, failed: make(chan error, 4)}
	err := s.open(ctx, cfg)
	if err == nil {
		err = s.begin(ctx, cfg)
	}
	if err != nil {
		stop()
		s.closeAll()
		s.group.Wait()
		return nil, err
	}
	return s, nil
}

// open takes the data folder: its lock, the state, the journal, and what an earlier process left open.
func (s *Server) open(ctx context.Context, cfg *config.Config) error {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	var err error
	if s.lock, err = control.AcquireLock(cfg.Data); err != nil {
		return fmt.Errorf("take data folder %s: %w", cfg.Data, err)
	}
	s.closers = append(s.closers, s.lock.Release)
	store, err := sqlite.Open(ctx, filepath.Join(cfg.Data, "state.db"))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, store.Close)
	if s.AdminSecret, err = store.NewAdminSecret(ctx, s.opts.Now()); err != nil {
		return err
	}
	if _, err := store.SettleOrphans(ctx); err != nil {
		return err
	}
	dir := JournalDir(cfg.Data)
	if s.journal, err = audit.Open(dir, audit.Options{MaxWait: cfg.Journal.MaxWait, SegmentBytes: s.opts.SegmentBytes}); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	s.closers = append(s.closers, s.journal.Close)
	if err := s.concludeUnfinished(ctx, dir); err != nil {
		return err
	}
	m := metrics.New(s.opts.Version, s.journal.Stats)
	s.world = &World{
		Registry: s.opts.Registry, Engine: s.opts.Engine, Store: store, Metrics: m, Version: s.opts.Version, Now: s.opts.Now,
		AssumedFacts: s.opts.AssumedFacts, Limiter: limit.New(Limits(cfg), s.opts.Now, budgets{store}),
	}
	if s.opts.AppKey != "" {
		s.world.Keys = []appkey.Entry{{Hash: appkey.HashOf(s.opts.AppKey), App: "default"}}
	}
	return nil
}

// concludeUnfinished writes "unknown, process ended" for each decision that an earlier process left without conclusion.
func (s *Server) concludeUnfinished(ctx context.Context, dir string) error {
	upto := s.journal.Durable()
	open, err := audit.OpenDecisions(dir, min(upto, math.MaxUint64))
	if err != nil {
		return fmt.Errorf("look for unfinished decisions: %w", err)
	}
	for _, d := range open {
		now := s.opts.Now()
		c := audit.Conclusion{Head: audit.Head{ID: audit.NewID(now), Time: now, App: d.App}, Ref: d.ID,
			Outcome: audit.OutcomeProcessEnded, Usage: audit.Usage{Source: audit.UsageNone}}
		if err := s.journal.Append(ctx, audit.AppendConclusion(nil, &c)); err != nil {
			return fmt.Errorf("conclude unfinished decision %s: %w", d.ID, err)
		}
	}
	s.Unfinished = len(open)
	if err := audit.MarkSettled(dir, upto); err != nil {
		s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "settled mark not written", slog.String("error", err.Error()))
	}
	return nil
}

// begin builds the pipeline and opens the listeners.
func (s *Server) begin(ctx context.Context, cfg *config.Config) error {
	if usesPractice(cfg) {
		if err := s.servePractice(); err != nil {
			return err
		}
	}
	built, err := Build(ctx, cfg, s.world)
	if err != nil {
		return err
	}
	s.built.Store(built)
	if err := s.record(ctx, "process", "process.start", "", audit.Change{Name: "config", New: built.Digests.Config}, audit.Change{Name: "packs", New: built.Digests.Packs}); err != nil {
		return err
	}
	s.gate = gateway.New(built.Pipeline, gateway.Options{Journal: s.journal, Log: s.opts.Log, Now: s.opts.Now, Unmatched: s.world.Metrics.Unmatched})
	if s.Data, err = s.listen(cfg.Listen, cfg.TLS, cfg.TrustedProxies, s.gate); err != nil {
		return err
	}
	plane := admin.New(admin.Options{Secret: s.adminHash, Loopback: config.IsLoopback(cfg.Admin.Listen), Status: s.status, Metrics: s.world.Metrics.Handler()})
	if s.Admin, err = s.listen(cfg.Admin.Listen, cfg.Admin.TLS, cfg.TrustedProxies, plane); err != nil {
		return err
	}
	keys := &control.Keys{Store: s.world.Store, Now: s.opts.Now, Apps: s.apps, Record: s.recordKey, Changed: func(ctx context.Context) error { return s.Rebuild(ctx) }}
	verbs := keys.Verbs()
	verbs[control.Reload] = s.reloadVerb
	secret := &control.AdminSecret{Store: s.world.Store, Now: s.opts.Now,
		Record: func(ctx context.Context) error { return s.record(ctx, "cli", control.Secret, "") }}
	verbs[control.Secret] = secret.Verb
	if s.control, err = control.Listen(ctx, s.lock, verbs); err != nil {
		return err
	}
	s.closers = append(s.closers, s.control.Close)
	s.group.Go(func() { s.flushLimits(ctx) })
	s.group.Go(func() { s.watchJournal(ctx) })
	return nil
}

func usesPractice(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Providers, func(p config.Provider) bool { return p.Catalog == "practice" && p.BaseURL == "" })
}

// servePractice runs the practice upstream on a loopback port of its own, spoken to like any other upstream.
func (s *Server) servePractice() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("practice upstream: %w", err)
	}
	srv := httpx.Server(practice.New(practice.Options{}), s.opts.Log)
	srv.ConnContext = nil
	s.world.PracticeURL = "http://" + l.Addr().String() + "/v1"
	s.group.Go(func() {
		if err := httpx.Serve(srv, l); err != nil {
			s.failed <- err
		}
	})
	s.closers = append(s.closers, srv.Close)
	return nil
}

func (s *Server) listen(addr string, pair *config.TLS, proxies []config.Prefix, h http.Handler) (string, error) {
	var cert *httpx.Certificate
	if pair != nil {
		var err error
		if cert, err = httpx.LoadCertificate(pair.Cert, pair.Key); err != nil {
			return "", err
		}
	}
	var only []netip.Prefix
	if !config.IsLoopback(addr) {
		for _, p := range proxies {
			only = append(only, p.Prefix)
		}
	}
	l, err := httpx.Listen(addr, cert, only)
	if err != nil {
		return "", err
	}
	srv := httpx.Server(h, s.opts.Log)
	srv.Addr = l.Addr().String()
	s.servers = append(s.servers, srv)
	s.group.Go(func() {
		if err := httpx.Serve(srv, l); err != nil {
			s.failed <- err
		}
	})
	return l.Addr().String(), nil
}

// Failed tells when a listener stopped by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// Swap puts a configuration in force: it builds a new pipeline beside the old one and swaps. When it cannot be built, the
// old one goes on. Listeners and the data folder stay as they were started.
func (s *Server) Swap(ctx context.Context, cfg *config.Config) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.swap(ctx, cfg)
}

// swap is Swap for a caller that holds the lock: which configuration is put in force is read under it too, or an older one
// could come after a newer one.
func (s *Server) swap(ctx context.Context, cfg *config.Config) error {
	old := s.built.Load()
	if usesPractice(cfg) && s.world.PracticeURL == "" {
		if err := s.servePractice(); err != nil {
			return err
		}
	}
	built, err := Build(ctx, cfg, s.world)
	if err != nil {
		s.world.Metrics.Reloaded(false)
		return err
	}
	if built.Digests != old.Digests {
		if err := s.record(ctx, "process", "config.reload", "", audit.Change{Name: "config", Old: old.Digests.Config, New: built.Digests.Config}); err != nil {
			built.Close()
			s.world.Metrics.Reloaded(false)
			return err
		}
	}
	s.world.Limiter.SetLimits(Limits(cfg))
	s.gate.Swap(built.Pipeline)
	s.built.Store(built)
	old.Close()
	s.world.Metrics.Reloaded(true)
	return nil
}

// Rebuild makes a pipeline from the configuration in force again, as after a change of keys.
func (s *Server) Rebuild(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.swap(ctx, s.built.Load().Config)
}

// Reload reads the configuration again and swaps it in.
func (s *Server) Reload(ctx context.Context) error {
	if s.opts.Load == nil {
		return errors.New("reload: this server runs without a configuration file")
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	cfg, err := s.opts.Load()
	if err != nil {
		s.world.Metrics.Reloaded(false)
		return err
	}
	return s.swap(ctx, cfg)
}

// Config is the configuration in force.
func (s *Server) Config() *config.Config { return s.built.Load().Config }

// Gateway is the data plane's handler.
func (s *Server) Gateway() *gateway.Gateway { return s.gate }

// Close drains: readiness says no, listeners stop accepting, requests in flight get grace to end, then all is closed in the
// reverse order of opening.
func (s *Server) Close(grace time.Duration) error {
	s.gate.Drain()
	var errs []error
	for _, srv := range s.servers {
		if err := httpx.Drain(srv, grace); err != nil {
			errs = append(errs, err)
		}
	}
	if !s.gate.Landed(5 * time.Second) { // cut off by now: what is left is to conclude
		errs = append(errs, errors.New("drain: requests were still being concluded when the journal was closed"))
	}
	s.gate.Settle()
	s.stop()
	if err := s.world.Limiter.Flush(context.Background()); err != nil {
		errs = append(errs, err)
	}
	if err := s.record(context.Background(), "process", "process.stop", ""); err != nil {
		errs = append(errs, err)
	}
	s.built.Load().Close()
	errs = append(errs, s.closeAll()...)
	s.group.Wait()
	return errors.Join(errs...)
}

func (s *Server) closeAll() (errs []error) {
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *Server) flushLimits(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.world.Limiter.Flush(ctx); err != nil {
				s.opts.Log.LogAttrs(ctx, slog.LevelError, "usage figures not written", slog.String("error", err.Error()))
			}
		}
	}
}

// watchJournal reopens a journal that stopped: requests are refused until it verifies and takes records again.
func (s *Server) watchJournal(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cause := s.journal.Err()
		if cause == nil {
			continue
		}
		if err := s.journal.Reopen(); err != nil {
			s.opts.Log.LogAttrs(ctx, slog.LevelError, "journal stopped; requests are refused", slog.String("error", err.Error()))
			continue
		}
		s.gate.Settle()
		s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "journal reopened", slog.String("cause", cause.Error()))
		if err := s.record(ctx, "process", "journal.reopen", ""); err != nil {
			s.opts.Log.LogAttrs(ctx, slog.LevelError, "reopening not recorded", slog.String("error", err.Error()))
		}
	}
}

// record makes an act of administration durable.
func (s *Server) record(ctx context.Context, who, what, on string, changed ...audit.Change) error {
	now := s.opts.Now()
	ev := audit.Admin{Head: audit.Head{ID: audit.NewID(now), Time: now}, Who: who, What: what, On: on, Changed: changed}
	if err := s.journal.Append(ctx, audit.AppendAdmin(nil, &ev)); err != nil {
		return fmt.Errorf("record %s: %w", what, err)
	}
	return nil
}

func (s *Server) recordKey(ctx context.Context, c control.Change) error {
	return s.record(ctx, "cli", c.Verb, c.KeyID, audit.Change{Name: "app", New: c.App})
}

func (s *Server) apps() []string {
	var out []string
	for id := range s.gate.Pipeline().Apps {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (s *Server) adminHash() (appkey.Hash, bool) {
	h, err := s.world.Store.AdminSecret(context.Background())
	return h, err == nil
}

func (s *Server) status() admin.Status {
	b := s.built.Load()
	st := admin.Status{Schema: "homeport.status.v1", Version: s.opts.Version, Config: b.Digests.Config, Packs: b.Digests.Packs,
		Journal: "ok", Apps: s.apps(), Targets: []admin.Target{}}
	if err := s.journal.Err(); err != nil {
		st.Journal = err.Error()
	}
	for _, t := range b.Targets() {
		a := admin.Target{ID: t.ID, Place: t.Place, Filing: t.Filing, Breaker: "closed"}
		if t.Gate.Open() {
			a.Breaker = "open"
		}
		if a.Place == nil {
			a.Place = []string{}
		}
		st.Targets = append(st.Targets, a)
	}
	slices.SortFunc(st.Targets, func(a, b admin.Target) int { return strings.Compare(a.ID, b.ID) })
	return st
}
