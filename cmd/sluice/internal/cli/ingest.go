package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/shard"
	"sluice/sink"
)

// ingest is one run of a job: `sluice run`, sync, follow or backfill. Package job does the work; this shows it.
type ingest struct {
	*Program
	*settings
	log      *slog.Logger
	started  time.Time
	database database
	source   *source
	db       *sink.Postgres
	run      *job.Job // nil until it is open
	// For the listener and the file of metrics; nil if there is neither.
	board    *view.Board
	listener *listener
	last     view.View // at the end of the last walk
	looked   time.Time // when a follow that waits last looked whether rows could be stored
	unusable error     // what it found
}

// ingest opens the job, lets do work on it, and reports how it went.
func (p *Program) ingest(ctx context.Context, s *settings, do func(context.Context, *job.Job) job.Verdict) error {
	s.pause = new(shard.Pause)
	i := &ingest{Program: p, settings: s, source: new(source), log: s.log, started: time.Now()}
	if err := i.openBoard(); err != nil {
		return err
	}
	if i.published() {
		i.log = slog.New(i.board.Watch(s.log.Handler()))
	}
	defer i.pausable()()
	if i.listener != nil {
		defer func() { i.listener.linger(ctx, i.settings.linger) }()
	}
	defer i.close()
	err := i.open(ctx)
	if err == nil {
		v := do(ctx, i.run)
		if v.Figures != nil {
			return i.conclude(v)
		}
		err = verdictError(v)
	}
	r := i.notStarted(err)
	if s.json { // a script gets its one JSON document however the run ended
		err = errors.Join(err, writeLine(p.Stdout, r))
	}
	return err
}

// open finds the source and the database, and takes the job.
func (i *ingest) open(ctx context.Context) (err error) {
	if i.isDemo() && i.settings.database != "" && !slices.ContainsFunc([]string{"demo-profile", "demo-events", "demo-seed"}, i.given) {
		return fail(ExitUsage, "set API_BASE_URL and TARGET_API_KEY; `--demo-profile=demo` puts the simulator's events there, without DATABASE_URL they get a database of their own",
			errors.New("API_BASE_URL is not set and DATABASE_URL is: the simulator's invented events go into a given database only if asked for by name"))
	}
	if i.source, err = i.findSource(i.settings); err != nil {
		return err
	}
	if i.database, err = i.findDatabase(ctx, i.settings); err != nil {
		return asStart(ctx, err)
	}
	run := uuid.New()
	i.db, err = sink.Open(ctx, sink.Config{
		URL: i.database.url, PasswordCommand: i.passwordCommand(), Schema: i.schema, Job: i.settings.job, Run: run, Writers: i.writers, Pause: i.pause, Log: i.log,
	})
	if err != nil {
		return asStart(ctx, err)
	}
	i.run, err = job.Open(ctx, job.Config{
		Name: i.settings.job, SourceName: i.source.name, Span: i.span(), Store: i.db,
		Connect: i.connect, Moved: i.moved, Admit: i.checkTable,
		Shards: i.shards, Fetchers: i.fetchers, Memory: i.memory.value,
		Limits:      shard.Limits{QueuePages: i.queuePages, BatchRows: i.batchRows},
		GiveUpAfter: i.giveUpAfter, MaxDeadLetters: i.maxDeadLetters, IgnoreTotal: i.ignoreTotal,
		Lookback: orNone(i.lookback), SafetyLag: orNone(i.safetyLag), Every: i.every,
		Pause: i.pause, Run: run.String(), Log: i.log, Guard: i.guarded,
		Hooks: job.Hooks{Walk: i.showWalk, Stepped: i.publishTables, Rest: i.publishRest, DescribePhase: i.waits},
	})
	if err != nil {
		return i.explainForeign(asStart(ctx, err))
	}
	if known := i.run.Snapshot().Job; known != nil && known.Shards != i.shards && i.given("shards") && !known.Verified() {
		i.say("job %q was planned with %d shards and keeps them; --shards=%d is ignored", known.Name, known.Shards, i.shards)
	}
	return nil
}

// orNone keeps a zero that was given from meaning the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func (i *ingest) connect(context.Context) (job.Source, error) {
	err := i.source.open(i.Program, i.settings, i.log)
	return i.source.client, err
}

// close lets go of everything, in the reverse order.
func (i *ingest) close() {
	i.source.close()
	if i.run != nil {
		i.run.Close()
	}
	if i.db != nil {
		i.db.Close()
	}
}
