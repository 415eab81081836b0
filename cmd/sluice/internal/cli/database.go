package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/sink"
	"sluice/sink/embedpg"
)

// Databases on a private server or one that compose started, so that the demo never mixes with a real job.
const (
	databaseDemo = "sluice_demo"
	databaseReal = "sluice"
)

// database is where the rows go.
type database struct {
	url     string
	private *embedpg.Server // nil where DATABASE_URL was given
	name    string
}

// findDatabase uses DATABASE_URL, or makes and starts a private server.
func (p *Program) findDatabase(ctx context.Context, s *settings) (database, error) {
	if s.database != "" {
		p.say("database: DATABASE_URL (%s)", cmp.Or(sink.DescribeURL(s.database), "as given"))
		return database{url: s.database}, nil
	}
	ignorePG()
	server, err := embedpg.Start(ctx, embedpg.Config{Say: func(line string) { p.say("%s", line) }})
	if err != nil {
		return database{}, p.stopped(ctx, fail(ExitUnreachable, privateHint(err), err))
	}
	name := databaseReal
	if s.isDemo() {
		name = databaseDemo
	}
	if err := server.EnsureDatabase(ctx, name); err != nil {
		return database{}, p.stopped(ctx, err)
	}
	if err := server.Remember(name); err != nil {
		return database{}, err
	}
	status := server.Status(ctx)
	p.say("database: private PostgreSQL on 127.0.0.1:%d, database %s, data in %s", status.Port, name, status.Dir)
	return database{url: server.URL(name), private: server, name: name}, nil
}

// stopped returns err, or that a signal has ended the start of the private server.
func (p *Program) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fail(ExitLeft, resumeHint, fmt.Errorf("%w while the private PostgreSQL was starting", context.Cause(ctx)))
	}
	return err
}

// privateHint is what to do where no private server could be had.
func privateHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it in a directory that you may write to, or set DATABASE_URL to use a PostgreSQL of your own"
	}
	return "set DATABASE_URL to use a PostgreSQL of your own"
}

// existingDatabase finds the database of an earlier run and creates nothing: for every command but run.
func (p *Program) existingDatabase(ctx context.Context) (database, error) {
	if given := p.env(EnvDatabase); given != "" {
		return database{url: given}, nil
	}
	server, err := findServer()
	if err == nil {
		if !server.Status(ctx).Running {
			p.say("starting the private PostgreSQL")
		}
		err = server.Start(ctx)
	}
	if err != nil {
		return database{}, p.stopped(ctx, fail(ExitUnreachable, "set DATABASE_URL, or run `sluice run` first", err))
	}
	name := p.databaseName(server)
	p.say("database: private PostgreSQL, database %s", name)
	return database{url: server.URL(name), private: server, name: name}, nil
}

// databaseName is the database of the private server that a command looks at: that of the API that is configured, or else that
// of the last run.
func (p *Program) databaseName(server *embedpg.Server) string {
	if p.env(EnvAPI) != "" {
		return databaseReal
	}
	return cmp.Or(server.Remembered(), databaseDemo)
}

// publicSchema is where the tables are unless --schema says otherwise.
const publicSchema = "public"

// emptyHint is the command that empties the database in use.
func (i *ingest) emptyHint() string {
	psql := `psql "$DATABASE_URL"`
	if i.database.private != nil {
		psql = "sluice db psql"
	}
	var tables []string
	for _, table := range []string{"ingested_events", "dead_letters", "ingestion_doubts", "ingestion_shards", "ingestion_rounds", "ingestion_jobs"} {
		if i.schema != publicSchema {
			table = sink.QuoteName(i.schema) + "." + table
		}
		tables = append(tables, table)
	}
	return "use another database, or empty this one: " + psql + " -c " + embedpg.ShellWord("truncate "+strings.Join(tables, ", "))
}

// reader is an open ledger, for the commands that look and do not run.
type reader struct {
	db  *sink.Postgres
	job *ledger.Job
}

// reading makes a command of something that reads the job's ledger.
func (p *Program) reading(c *common, do func(context.Context, *reader) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		r, err := p.openLedger(cmd.Context(), c)
		if err != nil {
			return err
		}
		defer r.db.Close()
		return do(cmd.Context(), r)
	}
}

// openLedger opens the database of an earlier run and finds the job.
func (p *Program) openLedger(ctx context.Context, c *common) (*reader, error) {
	if err := c.openLog(p); err != nil {
		return nil, err
	}
	where, err := p.existingDatabase(ctx)
	if err != nil {
		return nil, err
	}
	db, err := sink.Open(ctx, sink.Config{URL: where.url, PasswordCommand: p.passwordCommand(), Schema: c.schema, Job: c.job, Writers: 1, Log: c.log})
	if err != nil {
		return nil, asStart(ctx, err)
	}
	job, found, err := db.Job(ctx, c.job)
	if err == nil && found {
		return &reader{db, job}, nil
	}
	defer db.Close()
	if err != nil {
		return nil, fail(ExitUnreachable, "", err)
	}
	return nil, fail(ExitUsage, "`sluice run` makes it; --job names another", p.noJob(ctx, db, c.job, c.schema))
}

// view reads where the job stands.
func (r *reader) view(ctx context.Context) (*view.View, error) {
	found, err := r.db.Status(ctx, r.job.Name)
	if err == nil && found == nil {
		err = fmt.Errorf("job %s is gone", r.job.Name)
	}
	if err != nil {
		return nil, err
	}
	v := view.OfLedger(found, time.Now())
	quotas, err := r.db.LoadQuotas(ctx, v.Source)
	v.SetQuotas(quotas)
	return v, err
}

// unreachable is the error of a ledger that could be opened and then not be read.
func unreachable(err error) error {
	return fail(ExitUnreachable, "`sluice doctor` looks at the database", err)
}

func (p *Program) noJob(ctx context.Context, db *sink.Postgres, name, schema string) error {
	where := "this database"
	if schema != publicSchema {
		where = fmt.Sprintf("schema %q of this database", schema)
	}
	names, err := db.Jobs(ctx)
	if err != nil || len(names) == 0 {
		return fmt.Errorf("there is no job %q in %s, nor any other", name, where)
	}
	if slices.Contains(names, name) {
		return fmt.Errorf("job %q is in tables of an older Sluice: `sluice db migrate` brings them up to date", name)
	}
	return fmt.Errorf("there is no job %q in %s; there are %q", name, where, names)
}
