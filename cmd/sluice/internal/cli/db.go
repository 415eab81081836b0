package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"sluice/sink"
	"sluice/sink/embedpg"
)

func (p *Program) dbCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "db", Short: "Start, stop or enter the private PostgreSQL", Args: noArgs,
		Long: "Without DATABASE_URL rows go into a PostgreSQL of Sluice's own: its data lie in .sluice/pg (for root in /var/lib/sluice), it\n" +
			"listens on 127.0.0.1 alone, and it stays up after a run, so that people can look.",
		Example: "  sluice db psql\n  sluice db psql -c 'select count(*) from ingested_events'\n  sluice db stop",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var schema string
	migrate := &cobra.Command{Use: "migrate", Short: "Make the tables, or bring them up to date", Args: noArgs,
		Long: "Makes the tables in DATABASE_URL, or brings them up to date. `sluice run` does this itself where its role may;\n" +
			"docs/least-privilege.md has one role for each.",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.dbMigrate(cmd.Context(), schema) }}
	bindSchema(migrate.Flags(), &schema)
	cmd.AddCommand(
		&cobra.Command{Use: "start", Short: "Start it, and make it if there is none", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return p.dbStart(cmd.Context()) }},
		&cobra.Command{Use: "stop", Short: "Stop it; its data stay", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return p.dbStop(cmd.Context()) }},
		migrate,
		&cobra.Command{Use: "psql [argument]...", Short: "Look into it with psql", DisableFlagParsing: true,
			Long: "Opens psql on the database of the last run. Arguments are handed on:\n\n" +
				"  sluice db psql -c 'select count(*) from ingested_events'",
			RunE: func(cmd *cobra.Command, args []string) error { return p.dbPSQL(cmd.Context(), args) }},
	)
	return cmd
}

func (p *Program) dbStart(ctx context.Context) error {
	ignorePG()
	server, err := embedpg.Start(ctx, embedpg.Config{Say: func(line string) { p.say("%s", line) }})
	if err != nil {
		return fail(ExitUnreachable, "", err)
	}
	for _, name := range []string{databaseDemo, databaseReal} {
		if err := server.EnsureDatabase(ctx, name); err != nil {
			return fail(ExitUnreachable, "", err)
		}
	}
	status := server.Status(ctx)
	out := p.paper()
	out.Line("PostgreSQL %s on 127.0.0.1:%d, data in %s", status.Version, status.Port, status.Dir)
	out.Line("%s", server.PSQLLine(databaseDemo))
	return out.Err()
}

func (p *Program) dbMigrate(ctx context.Context, schema string) error {
	if err := sink.CheckSchema(schema); err != nil {
		return usage("--schema: %w", err)
	}
	where, err := p.existingDatabase(ctx)
	if err != nil {
		return err
	}
	log, err := p.logger("info")
	if err != nil {
		return err
	}
	db, err := sink.Open(ctx, sink.Config{URL: where.url, PasswordCommand: p.passwordCommand(), Schema: schema, Writers: 1, Log: log})
	if err != nil {
		return asStart(ctx, err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return asStart(ctx, err)
	}
	out := p.paper()
	out.Line("the tables are up to date")
	return out.Err()
}

func (p *Program) dbStop(ctx context.Context) error {
	server, err := findServer()
	if err != nil {
		return err
	}
	if err := server.Stop(ctx); err != nil {
		return fail(ExitUnexpected, "", err)
	}
	out := p.paper()
	out.Line("stopped; the data stay in %s", server.Status(ctx).Dir)
	return out.Err()
}

func (p *Program) dbPSQL(ctx context.Context, args []string) error {
	server, err := findServer()
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return fail(ExitUnreachable, "", err)
	}
	psql := server.PSQL(p.databaseName(server))
	psql.Args = append(psql.Args, args...)
	if schema := p.env(EnvName("schema")); schema != "" {
		path := strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(sink.QuoteName(schema))
		psql.Env = append(psql.Env, "PGOPTIONS=-c search_path="+path)
	}
	psql.Stdin, psql.Stdout, psql.Stderr = os.Stdin, p.Stdout, p.Stderr
	var ended *exec.ExitError
	if err := psql.Run(); errors.As(err, &ended) {
		return &exitError{code: ended.ExitCode(), err: errors.New("psql ended with an error")}
	} else if err != nil {
		return fail(ExitUnreachable, "is psql installed?", err)
	}
	return nil
}

// ignorePG removes libpq's variables from the environment, from where they would reach each session: they are meant for another server
// than our own.
func ignorePG() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

// findServer finds the private server, and says what to do where there is none.
func findServer() (*embedpg.Server, error) {
	ignorePG()
	server, err := embedpg.Find(embedpg.Config{})
	if errors.Is(err, embedpg.ErrNone) {
		return nil, fail(ExitUnreachable, "`sluice run` or `sluice db start` makes one", err)
	}
	return server, err
}
