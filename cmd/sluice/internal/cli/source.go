package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/sink"
)

// demoPrefix begins the names of all simulated sources.
const demoPrefix = "simulator:"

// demoSettings choose what the built-in simulator serves.
type demoSettings struct {
	profile string
	events  int64
	seed    uint64
}

// source is where the events come from.
type source struct {
	name   string // in the ledger; a simulator is named by its data, never by its address
	api    string
	key    fetch.Secret
	demo   *demo            // nil for an API that was configured
	client *datasync.Client // nil until the source is open
	pacer  *quota.Pacer
}

// demo is a simulator inside this process.
type demo struct {
	config   apisim.Config
	settings demoSettings
	server   *http.Server
}

// findSource names the source. The simulator is not started yet: a job that is complete does not need it.
func (p *Program) findSource(s *settings) (*source, error) {
	if !s.isDemo() {
		name, err := sourceName(s.api)
		if err != nil {
			return &source{}, fail(ExitUsage, "", err)
		}
		return &source{name: named(s.source, name), api: s.api, key: s.key}, nil
	}
	config, err := apisim.Profile(s.demo.profile)
	if err != nil {
		return &source{}, usage("--demo-profile: %w", err)
	}
	config.Events, config.Seed = s.demo.events, s.demo.seed
	return &source{name: cmp.Or(s.source, config.Source()), demo: &demo{config: config, settings: s.demo}}, nil
}

// named returns the name that was given, spelled like an origin where it is a URL; without one, the API's own.
func named(given, api string) string {
	if name, err := sourceName(given); err == nil {
		return name
	}
	return cmp.Or(given, api)
}

// sourceName is the API's origin, spelled in one way.
func sourceName(api string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(api))
	if err != nil || u.Host == "" {
		return "", errors.New("API_BASE_URL is not a URL such as https://host (its text is not shown, it may hold a secret)")
	}
	host := strings.ToLower(u.Host)
	scheme := strings.ToLower(u.Scheme)
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host, nil
}

// openSource finds the source and opens it.
func (p *Program) openSource(s *settings) (*source, error) {
	src, err := p.findSource(s)
	if err == nil {
		err = src.open(p, s, s.log)
	}
	return src, err
}

// open starts the demo, if that is the source, and makes the client and the pacer under it.
func (s *source) open(p *Program, given *settings, log *slog.Logger) (err error) {
	if s.demo != nil && s.demo.server == nil {
		if err := s.startDemo(p); err != nil {
			return err
		}
	}
	list, stream := s.knownLimits(given)
	s.pacer, err = quota.NewPacer(quota.Config{Quotas: datasync.Quotas(list, stream), MaxWait: given.maxWait, Pause: given.pause, Log: log})
	if err != nil {
		return misused("", err)
	}
	s.client, err = datasync.New(datasync.Config{
		BaseURL: s.api, Key: s.key, Version: p.version(), MadeCursors: given.madeCursors == "auto", RequireTLS: given.requireTLS,
		Fetch: fetch.Config{
			Fetchers: cmp.Or(given.fetchers, coordinator.DefaultFetchers(given.shards)), PageSize: given.pageSize, MaxBody: given.memory.value,
			Pacer: s.pacer, Log: log,
		},
	})
	if err != nil {
		return misused("", err)
	}
	return nil
}

// close lets go of what open made.
func (s *source) close() {
	if s.client != nil {
		s.client.Close()
	}
	if s.demo != nil && s.demo.server != nil {
		_ = s.demo.server.Close()
	}
}

// startDemo brings the simulator up on a free port of this machine.
func (s *source) startDemo(p *Program) error {
	sim, err := apisim.New(s.demo.config)
	if err != nil {
		return usage("simulator: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	s.demo.server = &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	s.api, s.key = "http://"+listener.Addr().String(), "ds_demo"
	go p.guarded(func() { _ = s.demo.server.Serve(listener) })()
	p.say("API_BASE_URL is not set: the source is the built-in simulator with %s events (profile %s) on %s",
		view.Number(s.demo.settings.events), s.demo.settings.profile, s.api)
	return nil
}

// knownLimits are those of the demo, whose scaled windows need no learning; other sources have those that were given.
func (s *source) knownLimits(given *settings) (list, stream quota.Limit) {
	list, stream = given.listLimit.value, given.streamLimit.value
	if s.demo == nil || s.demo.settings.profile == "challenge" {
		return list, stream
	}
	return cmp.Or(list, simulated(s.demo.config.List)), cmp.Or(stream, simulated(s.demo.config.Feed))
}

// checkTable keeps the demo's rows and those of a real API apart, before a job is made.
func (i *ingest) checkTable(ctx context.Context) error {
	use, err := i.db.TableUse(ctx)
	if err != nil || !use.There || !use.Rows {
		return err
	}
	demo := i.source.demo != nil || strings.HasPrefix(i.source.name, demoPrefix)
	for _, job := range use.Jobs {
		switch {
		case demo && job.Source != i.source.name:
			return misused(i.emptyHint()+"; or set API_BASE_URL and TARGET_API_KEY for the real API",
				fmt.Errorf("ingested_events holds rows of job %q (%s), the demo would mix with them", job.Name, job.Source))
		case !demo && strings.HasPrefix(job.Source, demoPrefix):
			return misused(i.emptyHint(), fmt.Errorf("ingested_events holds rows of the demo (job %q, %s)", job.Name, job.Source))
		}
	}
	if demo && use.Foreign {
		return misused("use another database for the demo, or set API_BASE_URL and TARGET_API_KEY for the real API",
			errors.New("ingested_events holds rows that are no job's, the demo would mix with them"))
	}
	return nil
}

func misused(hint string, err error) error {
	return &job.Error{Status: job.Misused, Hint: hint, Err: err}
}

// moved reports whether a job of another source may be continued with this one. A demo has other data, and never moves.
func (i *ingest) moved(from string) bool {
	if !i.sourceMoved || strings.HasPrefix(from, demoPrefix) || strings.HasPrefix(i.source.name, demoPrefix) {
		return false
	}
	i.say("job %q: source %s moved to %s", i.settings.job, from, i.source.name)
	return true
}

// explainForeign gives the error of a job of another source better words if a demo is involved.
func (i *ingest) explainForeign(err error) error {
	source, ok := errors.AsType[*job.SourceError](err)
	if ok && (strings.HasPrefix(source.Source, demoPrefix) || strings.HasPrefix(source.Given, demoPrefix)) {
		return fail(ExitUsage, i.emptyHint(), fmt.Errorf("job %q holds the events of %s, not those of %s", source.Job, source.Source, source.Given))
	}
	return err
}

// shareIfAny lets a command that only looks at the API spend the quotas that runs know of, and tell them what it spent, if there is
// a database that answers; none is made or started. The returned function writes the quotas back.
func (p *Program) shareIfAny(ctx context.Context, src *source, schema string, log *slog.Logger) (save func()) {
	db := p.runningDatabase(ctx, schema, log)
	if db == nil {
		return func() {}
	}
	joined := src.client.Join(ctx, db, src.name, uuid.NewString()) == nil // an older database has no such table
	return func() {
		defer db.Close()
		if joined {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = src.client.Leave(ctx) // a look at the API does not fail for that
		}
	}
}

// runningDatabase opens the database that is given, or the private one if it runs; nil if there is none that answers.
func (p *Program) runningDatabase(ctx context.Context, schema string, log *slog.Logger) *sink.Postgres {
	url := p.env(EnvDatabase)
	if url == "" {
		server, err := findServer()
		if err != nil || !server.Status(ctx).Running {
			return nil
		}
		url = server.URL(p.databaseName(server))
	}
	db, err := sink.Open(ctx, sink.Config{URL: url, PasswordCommand: p.passwordCommand(), Schema: schema, Writers: 1, Log: log})
	if err != nil {
		return nil
	}
	return db
}
