package cli

import (
	"context"

	"sluice/coordinator/job"

	"github.com/spf13/cobra"
)

func (p *Program) followCommand() *cobra.Command {
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
			return p.ingest(ctx, s, func(ctx context.Context, j *job.Job) job.Verdict { return j.Follow(ctx) })
		}),
	}
	s.bind(cmd.Flags())
	s.bindWatch(cmd.Flags())
	s.bindRounds(cmd.Flags())
	cmd.Flags().DurationVar(&s.every, "every", job.DefaultEvery, "from the start of one round to the start of the next")
	return cmd
}
