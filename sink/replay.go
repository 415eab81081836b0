package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// replay is one transaction that tries dead letters again.
type replay struct {
	tx     pgx.Tx
	span   shard.Window
	shards map[int64]*moves // by row
	fates  []ledger.Fate
}

// moves is how a replay changes the counts of a shard.
type moves struct {
	shard.Window
	events, duplicates, outside, strays int64
}

// errDryRun rolls back the transaction of a dry replay.
var errDryRun = errors.New("this was a dry run")

// Replay stores the events of dead letters, marks those as replayed and corrects the ledger, in one transaction: all of it happens
// once, however often it is requested and whatever runs beside it. A dry one changes nothing.
func (p *Postgres) Replay(ctx context.Context, job *ledger.Job, retries []ledger.Retry, dry bool) ([]ledger.Fate, error) {
	var r *replay
	err := p.guarded(ctx, func(tx pgx.Tx) error {
		r = &replay{tx: tx, span: job.Span, shards: map[int64]*moves{}}
		if err := r.run(ctx, job.ID, retries); err != nil || !dry {
			return err
		}
		return errDryRun
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, p.ledgerError(err, "replay %d dead letters", len(retries))
	}
	return r.fates, nil
}

// run takes its locks in the same order as a commit, shards before events, and events by their ids, so that the two cannot
// deadlock.
func (r *replay) run(ctx context.Context, jobID int64, retries []ledger.Retry) error {
	home, err := r.lock(ctx, jobID, retries)
	if err != nil {
		return err
	}
	slices.SortFunc(retries, func(a, b ledger.Retry) int {
		return cmp.Or(slices.Compare(a.Event.ID[:], b.Event.ID[:]), cmp.Compare(a.ID, b.ID))
	})
	var done []int64
	var as []*uuid.UUID
	for i := range retries {
		letter := &retries[i]
		fate := ledger.Fate{ID: letter.ID, Outcome: ledger.Before}
		if at, ok := home[letter.ID]; ok {
			if fate, err = r.one(ctx, letter, r.shards[at]); err != nil {
				return fmt.Errorf("dead letter %d: %w", letter.ID, err)
			}
		}
		if fate.Outcome.Settled() {
			done, as = append(done, letter.ID), append(as, nil)
		}
		if fate.Outcome == ledger.Stored {
			as[len(as)-1] = &letter.Event.ID
		}
		r.fates = append(r.fates, fate)
	}
	return r.close(ctx, done, as)
}

// lock locks the dead letters that are not replayed yet, and their shards. It returns the shard of each dead letter.
func (r *replay) lock(ctx context.Context, jobID int64, retries []ledger.Retry) (home map[int64]int64, err error) {
	ids := make([]int64, len(retries))
	for i := range retries {
		ids[i] = retries[i].ID
	}
	home = make(map[int64]int64, len(ids))
	var letter, at int64
	rows, _ := r.tx.Query(ctx, lockLetters, jobID, ids)
	if _, err = pgx.ForEachRow(rows, []any{&letter, &at}, func() error { home[letter] = at; return nil }); err != nil {
		return nil, err
	}
	var start, end pgtype.Timestamptz
	rows, _ = r.tx.Query(ctx, lockShards, ids)
	_, err = pgx.ForEachRow(rows, []any{&at, &start, &end}, func() error {
		r.shards[at] = &moves{Window: shard.Window{Start: instant(start), End: instant(end)}}
		return nil
	})
	return home, err
}

const lockLetters = `
select id, shard_id from dead_letters
where job_id = $1 and id = any($2) and replayed_at is null
order by id for update`

const lockShards = `
select id, window_start, window_end from ingestion_shards
where id in (select shard_id from dead_letters where id = any($1))
order by id for update`

// one stores the event of a dead letter, if it can, and counts the outcome.
func (r *replay) one(ctx context.Context, letter *ledger.Retry, m *moves) (ledger.Fate, error) {
	e := &letter.Event
	if !r.span.Contains(e.At) {
		m.outside++
		return ledger.Fate{ID: letter.ID, Outcome: ledger.Outside}, nil
	}
	fate, err := r.store(ctx, e)
	fate.ID = letter.ID
	switch fate.Outcome {
	case ledger.Stored:
		m.events++
		if !m.Contains(e.At) {
			m.strays++ // it lies outside its shard's window, where the check must not look for it
		}
	case ledger.Known:
		m.duplicates++
	}
	return fate, err
}

// store inserts one event, under a savepoint: the table may refuse it.
func (r *replay) store(ctx context.Context, e *shard.Event) (fate ledger.Fate, err error) {
	args := []any{e.ID, e.Session, e.User, e.Type, e.Name, e.Properties, timestamptz(e.At), e.Device, e.Browser}
	var inserted int64
	err = pgx.BeginFunc(ctx, r.tx, func(savepoint pgx.Tx) error {
		tag, err := savepoint.Exec(ctx, insertEvent, args...)
		inserted = tag.RowsAffected()
		return err
	})
	switch {
	case err != nil && refusesRows(err):
		return ledger.Fate{Outcome: ledger.Refused, Detail: explain(err)}, nil
	case err != nil || inserted == 1:
		return ledger.Fate{Outcome: ledger.Stored}, err
	}
	return r.compare(ctx, e.ID, args)
}

// compare compares the event with the row that has its id.
func (r *replay) compare(ctx context.Context, id uuid.UUID, args []any) (ledger.Fate, error) {
	var same bool
	err := r.tx.QueryRow(ctx, compareEvent, args...).Scan(&same)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ledger.Fate{Outcome: ledger.Refused, Detail: "the server took the row without an error, but it is not there: is there a trigger on ingested_events?"}, nil
	case err != nil || same:
		return ledger.Fate{Outcome: ledger.Known}, err
	}
	return ledger.Fate{Outcome: ledger.Conflict, Detail: fmt.Sprintf("the id %s is stored with other content", id)}, nil
}

const insertEvent = `
insert into ingested_events (` + copyColumns + `)
values ($1, $2, $3, $4::text, $5::text, $6::text::jsonb, $7, $8::text, $9::text)
on conflict (id) do nothing`

const compareEvent = `
select (session_id, user_id, type collate "C", name collate "C", properties, "timestamp", device_type collate "C", browser collate "C")
  is not distinct from ($2::uuid, $3::uuid, $4::text, $5::text, $6::text::jsonb, $7::timestamptz, $8::text, $9::text)
from ingested_events where id = $1`

// close marks dead letters as replayed, with the events that were stored, and counts them as what they have become: the sum of the counts stays the same.
func (r *replay) close(ctx context.Context, done []int64, as []*uuid.UUID) error {
	for id, m := range r.shards {
		_, err := r.tx.Exec(ctx, moveLetters, id, m.events, m.duplicates, m.outside, m.strays)
		if err != nil {
			return fmt.Errorf("correct the ledger: %w", err)
		}
	}
	_, err := r.tx.Exec(ctx, markReplayed, done, as)
	return err
}

const moveLetters = `
update ingestion_shards
set dead_letters = dead_letters - $2 - $3 - $4, events = events + $2, duplicates = duplicates + $3,
    out_of_window = out_of_window + $4, out_of_order = out_of_order + $5, updated_at = now()
where id = $1`

const markReplayed = `
update dead_letters d set replayed_at = clock_timestamp(), replayed_as = r.event
from unnest($1::bigint[], $2::uuid[]) r(id, event) where d.id = r.id`
