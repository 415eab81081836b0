package cli

import (
	"context"

	"sluice/coordinator/job"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (p *Program) syncCommand() *cobra.Command {
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
			return p.ingest(ctx, s, func(ctx context.Context, j *job.Job) job.Verdict { return j.Sync(ctx) })
		}),
	}
	s.bind(cmd.Flags())
	s.bindWatch(cmd.Flags())
	s.bindRounds(cmd.Flags())
	return cmd
}

// bindRounds binds what only matters after the first load.
func (s *settings) bindRounds(flags *pflag.FlagSet) {
	flags.DurationVar(&s.lookback, "lookback", job.DefaultLookback, "how far before the watermark a round begins, to find events that came late")
	flags.DurationVar(&s.safetyLag, "safety-lag", job.DefaultSafetyLag, "how far the watermark stays behind the API's clock at least")
}
