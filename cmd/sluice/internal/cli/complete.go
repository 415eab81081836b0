package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"sluice/fetch/apisim"
	"sluice/sink"
)

// completeFor is how long a shell waits for what only the database knows.
const completeFor = 2 * time.Second

// complete tells the shell what the flags of a command, and of those below it, may be.
func (p *Program) complete(cmd *cobra.Command) {
	profiles := []cobra.Completion{apisim.Demo, apisim.Challenge, apisim.Unlimited}
	for name, values := range map[string][]cobra.Completion{
		"log-level":    {"debug", "info", "warn", "error"},
		"made-cursors": {"auto", "never"},
		"demo-profile": profiles,
		"profile":      profiles,
		"list-limit":   {"10/60s", "none"},
		"stream-limit": {"50/60s", "none"},
	} {
		offer(cmd, name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	offer(cmd, "job", p.completeFrom(func(ctx context.Context, _ *cobra.Command, db *sink.Postgres) ([]string, error) { return db.Jobs(ctx) }))
	offer(cmd, "reason", p.completeFrom(reasons))
	for _, below := range cmd.Commands() {
		p.complete(below)
	}
}

// offer registers the values of a flag, if the command has it.
func offer(cmd *cobra.Command, name string, values cobra.CompletionFunc) {
	if cmd.LocalFlags().Lookup(name) != nil {
		_ = cmd.RegisterFlagCompletionFunc(name, values) // it refuses only what is not there, or is there twice
	}
}

// completeFrom asks a database that answers now, and makes or starts none. One that is silent has nothing to offer.
func (p *Program) completeFrom(ask func(context.Context, *cobra.Command, *sink.Postgres) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeFor)
		defer cancel()
		url := p.runningURL(ctx)
		if url == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		db, err := sink.Open(ctx, sink.Config{URL: url, Writers: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer db.Close()
		values, err := ask(ctx, cmd, db)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// reasons are those of the dead letters of the job that the command line names.
func reasons(ctx context.Context, cmd *cobra.Command, db *sink.Postgres) (names []string, err error) {
	job, found, err := db.Job(ctx, cmd.Flag("job").Value.String())
	if err != nil || !found {
		return nil, err
	}
	counts, err := db.DeadLetterReasons(ctx, job.ID)
	for _, c := range counts {
		names = append(names, c.Reason)
	}
	return names, err
}
