package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultLag holds the watermark back behind the API's clock: its cache shows a page for 30 s.
const defaultLag = 30 * time.Second

func (p *program) syncCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Take the job's next round: what is new since the last one",
		Long: "Takes the next round of a job: reads from the watermark, less --lookback, to the newest event, and moves the\n" +
			"watermark when all of that is stored. A first load or a round that was left unfinished is finished first. Where\n" +
			"nothing is new it costs one request. Events that come late are found within the lookback, and counted by age.\n\n" +
			"Exit codes are those of `sluice run`; 5 also where the API counts more events than the ledger accounts for:\n" +
			"what came later than the lookback reaches is read by `sluice backfill`.",
		Example:     "  sluice sync\n  sluice sync --lookback=1h",
		Args:        noArgs,
		Annotations: map[string]string{asLines: "yes"},
		RunE: p.stoppably(&s, func(ctx context.Context, s *settings) error {
			return p.ingestBy(ctx, s, func(i *ingest, ctx context.Context) error { return i.keepUp(ctx, i.sync) })
		}),
	}
	s.bind(cmd.Flags())
	s.bindWatch(cmd.Flags())
	s.bindRounds(cmd.Flags())
	return cmd
}

// bindRounds binds what only matters after the first load.
func (s *settings) bindRounds(flags *pflag.FlagSet) {
	flags.DurationVar(&s.lookback, "lookback", 10*time.Minute, "how far before the watermark a round begins, to find events that came late")
	flags.DurationVar(&s.safetyLag, "safety-lag", defaultLag, "how far the watermark stays behind the API's clock at least")
}

func (s *settings) checkRounds(check func(ok bool, format string, args ...any)) {
	check(s.lookback >= 0, "--lookback %s: it must not be negative", s.lookback)
	check(s.safetyLag >= 0, "--safety-lag %s: it must not be negative", s.safetyLag)
	check(s.every == 0 || s.every >= time.Second, "--every %s: it must be at least 1s", s.every)
}

// keepUp opens everything, and takes rounds.
func (i *ingest) keepUp(ctx context.Context, rounds func(context.Context) verdict) error {
	if err := i.open(ctx); err != nil {
		return asStart(ctx, err)
	}
	if err := i.prepare(ctx); err != nil {
		return asStart(ctx, err)
	}
	return i.attend(ctx, rounds)
}

// sync takes one round, after what is not finished: the first load, or the round before.
func (i *ingest) sync(ctx context.Context) verdict {
	if i.job.VerifiedAt.IsZero() {
		if v := i.step(ctx); v.code != exitOK {
			return v
		}
	}
	v := i.step(ctx)
	if i.resumed && !v.final && (v.code == exitOK || v.code == exitDoubt) { // where too little was found, the next one looks again
		v = i.step(ctx)
	}
	return v
}

// step does what is next: the first load, or a round.
func (i *ingest) step(ctx context.Context) verdict {
	if !i.job.VerifiedAt.IsZero() {
		return i.nextRound(ctx)
	}
	v := i.firstLoad(ctx)
	if v.code != exitOK {
		return v
	}
	if err := i.reload(ctx); err != nil {
		return i.faulted(ctx, err)
	}
	return v
}

// reload reads the job anew: its watermark, its round, and whether its first load is verified.
func (i *ingest) reload(ctx context.Context) error {
	job, found, err := i.db.Job(ctx, i.job.Name)
	if err == nil && !found {
		err = errJobGone
	}
	if err != nil {
		return err
	}
	i.job = job
	i.earlier, err = i.db.Earlier(ctx, job.ID)
	return err
}
