package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/coordinator"
	"sluice/sink"
)

// statusEvery is how often `sluice status --watch` asks the tables.
const statusEvery = 2 * time.Second

// watchStatus looks at a job until it is complete and verified, or a signal comes, which is no failure here.
func (p *program) watchStatus(ctx context.Context, c *common) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, found, err := p.openStatus(ctx, c)
	if err != nil {
		return err
	}
	defer r.db.Close()
	w := &statusWatch{reader: r, name: c.job, newest: found, looked: time.Now()}
	if c.json {
		return p.watchJSON(ctx, w)
	}
	if w.over() {
		return p.printStatus(describeJob(found), time.Now())
	}
	p.say("job %s, of %s: Ctrl-C ends the look, not the run", found.Job.Name, found.Job.Source)
	shown, end := context.WithCancelCause(ctx)
	defer end(nil)
	terminal.Show(shown, terminal.NewConsole(p.stdout), p.environ, false, func() terminal.View {
		if err := w.look(ctx); err != nil || w.over() {
			end(err)
		}
		return w.view()
	})
	if err := context.Cause(shown); w.err != nil && ctx.Err() == nil {
		return unreachable(err)
	}
	return p.printStatus(describeJob(w.newest), time.Now())
}

// statusWatch is a job that is looked at again and again.
type statusWatch struct {
	*reader
	name   string
	newest *sink.Status
	looked time.Time
	err    error
}

// look asks the tables, if the last look was long enough ago.
func (w *statusWatch) look(ctx context.Context) error {
	if time.Since(w.looked) < statusEvery || ctx.Err() != nil {
		return nil
	}
	found, err := w.db.Status(ctx, w.name)
	if w.looked = time.Now(); err != nil || found == nil {
		w.err = err
		return err
	}
	w.newest = found
	return nil
}

// over tells that there is nothing more to see.
func (w *statusWatch) over() bool { return !w.newest.Job.VerifiedAt.IsZero() }

func (w *statusWatch) view() terminal.View {
	s := w.newest
	v := terminal.View{Job: s.Job.Name, Total: countable(s.Job)}
	read, parents := sharesOf(s), coordinator.Parents(checkpointsOf(s))
	for i := range s.Shards {
		one := &s.Shards[i]
		v.Stored += one.Counts.Events
		v.Reject += one.Counts.DeadLetters
		v.Shards = append(v.Shards, terminal.Shard{
			Number: one.Shard, Parent: parents[one.Shard], Start: int64(one.Window.Start), From: minute(one.Window.Start.String()), State: string(one.State),
			Share: read[i], Events: one.Counts.Events,
		})
	}
	if s.Paused {
		v.Limit, v.Paused = youPaused, "paused by you (SIGUSR1 to its process goes on)"
	}
	if s.Holder == nil {
		v.Limit = "nobody: no run holds the job"
	}
	return v
}

// watchJSON writes the status as one JSON object a line.
func (p *program) watchJSON(ctx context.Context, w *statusWatch) error {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		shown, err := w.describe(ctx, w.newest)
		if err == nil {
			err = writeLine(p.stdout, shown)
		}
		if err != nil || w.over() {
			return endOfWatch(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if w.newest, err = w.db.Status(ctx, w.name); err != nil || w.newest == nil {
			return endOfWatch(ctx, err)
		}
	}
}

// endOfWatch tells a look that was ended from one that failed.
func endOfWatch(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return unreachable(fmt.Errorf("look at the job again: %w", err))
}
