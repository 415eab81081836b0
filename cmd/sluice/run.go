package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func (p *program) runCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Ingest every event, or resume where the last run stopped",
		Long: "Ingests every event of the source into ingested_events, exactly once, and checks the result. Running it again\n" +
			"resumes what is unfinished; when all is done and verified it says so at once.\n\n" +
			"The first Ctrl-C fetches nothing new and commits what was fetched (exit code 4), the second leaves at once.",
		Example: "  sluice run --shards=8\n  sluice run --shards=32 --fetchers=16 --memory=256MiB\n" +
			"  sluice run --job=january --from=2026-01-01 --to=2026-02-01",
		Args: noArgs,
		RunE: p.stoppably(&s, p.ingest),
	}
	s.bind(cmd.Flags())
	return cmd
}

// stoppably makes a command of something that takes the settings and that a signal stops.
func (p *program) stoppably(s *settings, do func(context.Context, *settings) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := s.load(p); err != nil {
			return err
		}
		ctx, release := p.stoppable(cmd.Context())
		defer release()
		return do(ctx, s)
	}
}

// errSignal is the cause of a stop by the operator.
type errSignal struct{ signal os.Signal }

func (e *errSignal) Error() string { return fmt.Sprintf("stopped by %s", e.signal) }

// stoppable returns a context that the first SIGINT or SIGTERM ends; the second ends the process at once, with the shell's
// code for that signal.
func (p *program) stoppable(ctx context.Context) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		first, ok := <-signals
		if !ok {
			return
		}
		fmt.Fprintf(p.stderr, "sluice: %s: committing what was fetched, nothing new is asked for (again to leave at once)\n", first)
		stop(&errSignal{first})
		if second, ok := <-signals; ok {
			p.exit(128 + int(second.(syscall.Signal)))
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		stop(nil)
	}
}

// stoppedBySignal tells whether the operator ended ctx.
func stoppedBySignal(cause error) bool {
	var bySignal *errSignal
	return errors.As(cause, &bySignal)
}
