package sink

import (
	"context"

	"sluice/coordinator/ledger"

	"github.com/jackc/pgx/v5"
)

// mostRounds is how many rounds are read for people: the last ones.
const mostRounds = 40

// Rounds returns the last rounds of a job, the newest first.
func (p *Postgres) Rounds(ctx context.Context, jobID int64) ([]*ledger.Round, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	rows, _ := p.pool.Query(ctx, selectRounds, jobID, mostRounds)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*ledger.Round, error) { return scanRound(row) })
	if err != nil {
		return nil, ledgerError(err, "read the rounds of job %d", jobID)
	}
	return all, nil
}

// NoteRequests adds to what a round has cost.
func (p *Postgres) NoteRequests(ctx context.Context, jobID int64, round int, requests int64) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	if _, err := p.pool.Exec(ctx, noteRequests, jobID, round, requests); err != nil {
		return ledgerError(err, "note the requests of round %d of job %d", round, jobID)
	}
	return nil
}

const noteRequests = `update public.ingestion_rounds set requests = requests + $3 where job_id = $1 and round = $2`
