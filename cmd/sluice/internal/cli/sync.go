package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/coordinator/job"
)

func (p *Program) syncCommand() *cobra.Command {
	cmd, s := p.ingesting(cobra.Command{
		Use:   "sync",
		Short: "Take the job's next round: what is new since the last one",
		Long: "Takes the next round of a job: reads from the watermark, less --lookback, to the newest event, and moves the\n" +
			"watermark when all of that is stored. A first load or a round that was left unfinished is finished first. Where\n" +
			"nothing is new it costs one request. Events that come late are found within the lookback, and counted by age.\n\n" +
			"Exit codes are those of `sluice run`; 5 also while the API counts more events than the ledger accounts for: what came\n" +
			"later than the lookback reaches is read by `sluice backfill --again`.",
		Example: "  sluice sync\n  sluice sync --lookback=1h",
	}, (*job.Job).Sync)
	s.bindRounds(cmd.Flags())
	return cmd
}

// bindRounds binds what only matters after the first load.
func (s *settings) bindRounds(flags *pflag.FlagSet) {
	flags.DurationVar(&s.lookback, "lookback", job.DefaultLookback, "how far before the watermark a round begins, to find events that came late")
	flags.DurationVar(&s.safetyLag, "safety-lag", job.DefaultSafetyLag, "how far the watermark stays behind the API's clock at least")
}

func (p *Program) followCommand() *cobra.Command {
	cmd, s := p.ingesting(cobra.Command{
		Use:   "follow",
		Short: "Keep the table current: round after round, until it is stopped",
		Long: "Makes a pass like `sluice sync` every --every, until SIGTERM or Ctrl-C. If nothing is new, a round costs one request.\n" +
			"Once it has begun, it waits for an API or a database that is away, however long; a refused key ends it.\n\n" +
			"Stopped between two rounds it exits with 0, in the middle of one with 4: what was fetched is committed, and the\n" +
			"same command resumes. The other exit codes are those of `sluice run`. SIGUSR1 pauses and resumes it.",
		Example: "  sluice follow --listen=127.0.0.1:8080\n  sluice follow --every=5m --lookback=1h",
	}, (*job.Job).Follow)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if s.to.set {
			return usage("--to: a job with an end has nothing to follow; `sluice sync` takes its rounds")
		}
		return nil
	}
	s.bindRounds(cmd.Flags())
	cmd.Flags().DurationVar(&s.every, "every", job.DefaultEvery, "from the start of one round to the start of the next")
	return cmd
}
