package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator"
	"sluice/coordinator/ledger"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink"
)

// ingest is one run of a job: what `sluice run` does, step by step, and sync, follow and backfill after their own fashion.
type ingest struct {
	*program
	*settings
	log      *slog.Logger
	database database
	source   source
	db       *sink.Postgres
	lock     ledger.Lock
	client   *datasync.Client
	pacer    *quota.Pacer
	job      *ledger.Job
	started  time.Time
	round    *ledger.Round // after the first one that is worked on, or was last
	resumed  bool          // the round had been left unfinished
	before   int64         // events that earlier runs of the job stored
	earlier  shard.Counts  // of the job's other rounds
	noted    int64         // page requests that are some round's already
	outcome  coordinator.Outcome
	spent    []shard.Spent // by each fetcher, in all walks of this run
	// concluded: the summary is printed.
	concluded bool
	// What those see who look from outside; nil where nobody can.
	board    *view.Board
	listener *listener
	last     view.View     // at the end of the walk
	newest   shard.Instant // as the survey found it; 0: this run made none
	oldest   shard.Instant
}

// ingest opens everything, walks what is unfinished, checks the result, and says how it went.
func (p *program) ingest(ctx context.Context, s *settings) error {
	return p.ingestBy(ctx, s, (*ingest).run)
}

// ingestBy does the same in another way than `sluice run`.
func (p *program) ingestBy(ctx context.Context, s *settings, way func(*ingest, context.Context) error) error {
	log, err := p.logger(s.logLevel)
	if err != nil {
		return err
	}
	s.pause = new(shard.Pause)
	i := &ingest{program: p, settings: s, log: log, started: time.Now()}
	if err := i.openBoard(); err != nil {
		return err
	}
	if i.published() {
		i.log = slog.New(i.board.Watch(log.Handler()))
	}
	defer i.pausable()()
	if i.listener != nil {
		defer func() { i.listener.linger(ctx, i.settings.linger) }()
	}
	defer i.close()
	err = way(i, ctx)
	if err == nil || i.concluded {
		return err
	}
	r := i.notStarted(err)
	if s.json { // a script gets its one JSON document however the run ended
		err = errors.Join(err, writeLine(p.stdout, r))
	}
	return err
}

// run is the way from the settings to the verdict.
func (i *ingest) run(ctx context.Context) error {
	if err := i.open(ctx); err != nil {
		return asStart(ctx, err)
	}
	return i.begin(ctx)
}

// begin does what is left of a job that is open.
func (i *ingest) begin(ctx context.Context) error {
	if i.job != nil && !i.job.VerifiedAt.IsZero() {
		return i.alreadyComplete(ctx)
	}
	if err := i.prepare(ctx); err != nil {
		return asStart(ctx, err)
	}
	return i.work(ctx)
}

// asStart gives an error of the start its exit code: what was stopped by a signal is left for the next run, what was not
// judged otherwise could not start.
func asStart(ctx context.Context, err error) error {
	var coded *exitError
	var stop *shard.StopError
	var unfit *ledger.UnfitError
	switch {
	case errors.As(err, &coded):
		return err
	case errors.Is(err, sink.ErrURL):
		return fail(exitUsage, startHint(err), err)
	case errors.As(err, &unfit):
		return fail(exitUsage, "mend it as said above, and run the same command again", err)
	case ctx.Err() != nil && stoppedBySignal(context.Cause(ctx)):
		return fail(exitLeft, "run the same command again", err)
	case errors.As(err, &stop):
		return fail(exitOf(stop), stop.Hint, err)
	}
	return fail(exitUnreachable, startHint(err), err)
}

// open finds the source and the database, and takes the job.
func (i *ingest) open(ctx context.Context) (err error) {
	if i.source, err = i.findSource(i.settings); err != nil {
		return err
	}
	if i.database, err = i.findDatabase(ctx, i.settings); err != nil {
		return err
	}
	run := uuid.New()
	config := sink.Config{URL: i.database.url, Job: i.settings.job, Run: run, Writers: i.writers, Pause: i.pause, Log: i.log}
	if i.db, err = sink.Open(ctx, config); err != nil {
		return err
	}
	if err = i.takeLock(ctx); err != nil {
		return err
	}
	if err = i.db.Migrate(ctx); err != nil {
		return err
	}
	if err = i.examine(ctx); err != nil {
		return err
	}
	failpoint.Hit("migration.done")
	job, found, err := i.db.Job(ctx, i.settings.job)
	if err != nil || !found {
		return err
	}
	i.job = job
	return i.checkJob(ctx)
}

// takeLock makes sure that no other run works on the job.
func (i *ingest) takeLock(ctx context.Context) (err error) {
	i.lock, err = i.db.Lock(ctx)
	if errors.Is(err, ledger.ErrLocked) {
		return fail(exitLocked, "", err)
	}
	return err
}

// examine refuses a database in which rows could be lost or spoiled without an error, and warns of what is not as it should be.
func (i *ingest) examine(ctx context.Context) error {
	findings, err := i.db.Examine(ctx)
	if err != nil {
		return err
	}
	if f, unfit := firstFault(findings); unfit {
		return fail(exitUsage, f.Hint, fmt.Errorf("the database is not fit for a run: %s: %s", f.Name, f.Detail))
	}
	for _, f := range findings {
		i.log.Warn("the database: "+f.Name, "found", f.Detail, "hint", f.Hint)
	}
	return nil
}

// checkJob compares a job that exists with what was asked for.
func (i *ingest) checkJob(ctx context.Context) error {
	job := i.job
	if job.Source != i.source.name {
		if strings.HasPrefix(job.Source, demoPrefix) || strings.HasPrefix(i.source.name, demoPrefix) {
			return fail(exitUsage, i.emptyHint(), fmt.Errorf("job %q holds the events of %s, not those of %s", job.Name, job.Source, i.source.name))
		}
		if !i.sourceMoved {
			return fail(exitUsage,
				"use another --job for another source, or --source-moved if it is the same data at a new address",
				fmt.Errorf("job %q belongs to the source %s, not to %s", job.Name, job.Source, i.source.name))
		}
		i.say("job %q: source %s moved to %s", job.Name, job.Source, i.source.name)
		if err := i.db.SetSource(ctx, job.ID, i.source.name); err != nil {
			return err
		}
		job.Source = i.source.name
	}
	if span := i.settings.span(); job.Span != span {
		return fail(exitUsage, "use another --job for another span",
			fmt.Errorf("job %q has the span %s, not %s", job.Name, job.Span, span))
	}
	if job.Shards != i.shards && i.given("shards") && job.VerifiedAt.IsZero() { // rounds are cut into as many as are asked for
		i.say("job %q was planned with %d shards and keeps them; --shards=%d is ignored", job.Name, job.Shards, i.shards)
	}
	return nil
}

// prepare opens the way to the API, and plans the job if it is new.
func (i *ingest) prepare(ctx context.Context) (err error) {
	if i.job == nil {
		if err := i.checkTable(ctx); err != nil {
			return err
		}
	}
	if err := i.source.start(i.program); err != nil {
		return err
	}
	if err := i.connect(ctx); err != nil {
		return err
	}
	if i.job == nil {
		defer i.leaveQuotas(ctx) // also where it ends here: the next run must wait for what this one was told
		return i.planJob(ctx)
	}
	var caps datasync.Capabilities
	if err := json.Unmarshal(i.job.Capabilities, &caps); err != nil {
		return fmt.Errorf("read the job's capabilities: %w", err)
	}
	i.client.SetCapabilities(caps)
	return nil
}

// connect makes the client, with the quotas as earlier runs left them.
func (i *ingest) connect(ctx context.Context) (err error) {
	i.pacer, i.client, err = i.newClient(i.settings, i.source, i.log)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	return joinQuotas(ctx, i.db, i.source.name, i.pacer)
}

// alreadyComplete ends a run of a job that is done and verified, without a request.
func (i *ingest) alreadyComplete(ctx context.Context) error {
	if err := i.countBefore(ctx); err != nil {
		return asStart(ctx, err)
	}
	return i.conclude(ctx, verdict{
		text: fmt.Sprintf("job %q was complete and verified on %s", i.job.Name, i.job.VerifiedAt.UTC().Format(time.RFC3339)),
	})
}

// close lets go of everything, in the reverse order.
func (i *ingest) close() {
	if i.client != nil {
		i.client.Close()
	}
	i.source.stop()
	if i.lock != nil {
		i.lock.Close(context.Background())
		failpoint.Hit("lock.released")
	}
	if i.db != nil {
		i.db.Close()
	}
}
