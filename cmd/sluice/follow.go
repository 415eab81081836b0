package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"sluice/shard"
)

func (p *program) followCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "follow",
		Short: "Keep the table current: round after round, until it is stopped",
		Long: "Takes a round like `sluice sync` every --every, until SIGTERM or Ctrl-C. Where nothing is new a round costs one\n" +
			"request. An API or a database that is away is waited for, without end; a key that is refused ends it.\n\n" +
			"Stopped between two rounds it exits with 0, in the middle of one with 4: what was fetched is committed, and the\n" +
			"same command goes on. The other exit codes are those of `sluice run`. SIGUSR1 pauses it, and goes on with it.",
		Example:     "  sluice follow --listen=127.0.0.1:8080\n  sluice follow --every=5m --lookback=1h",
		Args:        noArgs,
		Annotations: map[string]string{asLines: "yes"},
		RunE: p.stoppably(&s, func(ctx context.Context, s *settings) error {
			if s.to.set {
				return usage("--to: a job with an end has nothing to follow; `sluice sync` takes its rounds")
			}
			return p.ingestBy(ctx, s, func(i *ingest, ctx context.Context) error { return i.keepUp(ctx, i.follow) })
		}),
	}
	s.bind(cmd.Flags())
	s.bindWatch(cmd.Flags())
	s.bindRounds(cmd.Flags())
	cmd.Flags().DurationVar(&s.every, "every", 30*time.Second, "from the start of one round to the start of the next")
	return cmd
}

func (i *ingest) follow(ctx context.Context) verdict {
	f := follower{every: i.every, rest: i.publishRest, log: i.log}
	f.step = func(ctx context.Context) verdict {
		v := i.step(ctx)
		i.publishTables(ctx)
		return v
	}
	return f.run(ctx)
}

// follower takes steps until it is stopped, or until one of them ends it.
type follower struct {
	every time.Duration
	step  func(context.Context) verdict
	rest  func(verdict) // is told how each step went, and again every second until the next one
	log   *slog.Logger
}

func (f *follower) run(ctx context.Context) verdict {
	for faults := 0; ; {
		began := time.Now()
		v := f.step(ctx)
		if v.final || ctx.Err() != nil {
			return v.stopped(ctx, v.between && faults == 0)
		}
		f.log.Debug("a step is done", "verdict", v.text)
		pause := f.every - time.Since(began)
		if faults++; v.code == exitOK || v.code == exitDoubt {
			faults = 0
		}
		if faults > 0 {
			pause = patience(faults)
			f.log.Warn("waiting for what is away", "why", v.text, "trying_again_in", pause)
		}
		if f.wait(ctx, v, pause) != nil {
			return v.stopped(ctx, faults == 0)
		}
	}
}

// wait waits for the next step, and shows meanwhile that it does.
func (f *follower) wait(ctx context.Context, v verdict, pause time.Duration) error {
	for end := time.Now().Add(pause); ; {
		f.rest(v)
		left := time.Until(end)
		if left <= publishEvery {
			return shard.Sleep(ctx, left)
		}
		if err := shard.Sleep(ctx, publishEvery); err != nil {
			return err
		}
	}
}

// mostPatience is the longest pause before something that is away is tried again.
const mostPatience = 30 * time.Second

// patience doubles with every fault in a row.
func patience(faults int) time.Duration {
	return min(mostPatience, time.Second<<min(faults-1, 10))
}

// stopped is the verdict of a follow that ends after v. With nothing left to do, being stopped is no fault.
func (v verdict) stopped(ctx context.Context, clean bool) verdict {
	cause := context.Cause(ctx)
	switch {
	case v.final:
	case errors.Is(cause, errLockLost):
		v = verdict{code: exitLocked, text: cause.Error(), final: true}
	case clean && v.code == exitDoubt: // the last round found too little: that is what there is to say
	case clean && stoppedBySignal(cause):
		v.code, v.text = exitOK, cause.Error()+" between two rounds"
	default:
		v.code, v.hint = exitLeft, resumeHint
	}
	return v
}
