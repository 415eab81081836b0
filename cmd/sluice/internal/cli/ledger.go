package cli

import (
	"context"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/sink"
)

// reader is an open ledger, for the commands that look and do not run.
type reader struct {
	db  *sink.Postgres
	job *ledger.Job
}

// openLedger opens the database of an earlier run and finds the job.
func (p *Program) openLedger(ctx context.Context, c *common) (*reader, error) {
	log, err := p.logger(c.logLevel)
	if err != nil {
		return nil, err
	}
	where, err := p.existingDatabase(ctx)
	if err != nil {
		return nil, err
	}
	db, err := sink.Open(ctx, sink.Config{URL: where.url, Job: c.job, Writers: 1, Log: log})
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
	return nil, fail(ExitUsage, "`sluice run` makes it; --job names another", p.noJob(ctx, db, c.job))
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

func (p *Program) noJob(ctx context.Context, db *sink.Postgres, name string) error {
	names, err := db.Jobs(ctx)
	if err != nil || len(names) == 0 {
		return fmt.Errorf("there is no job %q in this database, nor any other", name)
	}
	return fmt.Errorf("there is no job %q in this database; there are %q", name, names)
}
