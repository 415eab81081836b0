package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Audit counts the rows of every window, in one pass over the table and one snapshot with the ledger.
func (p *Postgres) Audit(ctx context.Context, jobID int64) (ledger.Audit, error) {
	return p.audit(ctx, jobID, countByWindow)
}

func (p *Postgres) audit(ctx context.Context, jobID int64, count string) (a ledger.Audit, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, p.pool, snapshot, func(tx pgx.Tx) error {
		a, err = examine(ctx, tx, jobID, count)
		return err
	})
	return a, p.ledgerError(err, "audit job %d", jobID)
}

func examine(ctx context.Context, tx pgx.Tx, jobID int64, count string) (a ledger.Audit, err error) {
	if _, err := tx.Exec(ctx, liftTimeout); err != nil {
		return a, err
	}
	if err := readAudit(ctx, tx, &a, jobID); err != nil {
		return a, err
	}
	return a, countRows(ctx, tx, &a, count)
}

func readAudit(ctx context.Context, tx pgx.Tx, a *ledger.Audit, jobID int64) error {
	var start, end pgtype.Timestamptz
	err := tx.QueryRow(ctx, selectAudit, jobID).Scan(&start, &end, &a.RowsBefore, &a.ByOthers, &a.Foreign, &a.Lost, &a.DeadNamed, &a.DeadBlind, &a.DeadDuplicates,
		&a.DeadConflicts)
	if err != nil {
		return err
	}
	a.Span = shard.Window{Start: instant(start), End: instant(end)}
	if a.Unmet, err = readUnmet(ctx, tx, jobID, 1); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, selectFirstRound, jobID)
	a.Windows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w ledger.AuditWindow, err error) {
		s, err := scanShardAnd(row, &w.Expected, &w.Verified)
		w.Checkpoint = s.Checkpoint
		return w, err
	})
	if err != nil {
		return err
	}
	rows, _ = tx.Query(ctx, selectLaterRounds, jobID)
	a.Later, err = pgx.CollectRows(rows, scanCheckpoint)
	if err != nil {
		return err
	}
	later, err := readWindows(ctx, tx, jobID)
	if err != nil {
		return err
	}
	a.FillGaps(later)
	var id, letters int64
	rows, _ = tx.Query(ctx, selectRevived, jobID)
	_, err = pgx.ForEachRow(rows, []any{&id, &letters}, func() error {
		if a.Revived == nil {
			a.Revived = map[int64]int64{}
		}
		a.Revived[id] = letters
		return nil
	})
	return err
}

// readWindows returns the windows of the rounds after the first that prune has left as they were.
func readWindows(ctx context.Context, tx pgx.Tx, jobID int64) (all []ledger.RoundWindows, err error) {
	var round int
	var finished bool
	var span, window [2]pgtype.Timestamptz
	rows, _ := tx.Query(ctx, selectLaterWindows, jobID, keptRounds)
	_, err = pgx.ForEachRow(rows, []any{&round, &finished, &span[0], &span[1], &window[0], &window[1]}, func() error {
		if n := len(all); n == 0 || all[n-1].Round != round {
			all = append(all, ledger.RoundWindows{Round: round, Finished: finished, Span: shard.Window{Start: instant(span[0]), End: instant(span[1])}})
		}
		if r := &all[len(all)-1]; window[0].Valid {
			r.Windows = append(r.Windows, shard.Window{Start: instant(window[0]), End: instant(window[1])})
		}
		return nil
	})
	return all, err
}

const (
	selectFirstRound = `
select ` + shardColumns + `, s.expected, coalesce(s.verified_rows, 0) from ingestion_shards s where s.job_id = $1 and s.round = 1 order by s.window_start`
	selectLaterRounds = `
select ` + shardColumns + ` from ingestion_shards s where s.job_id = $1 and s.round > 1 order by s.id`
	selectLaterWindows = `
select r.round, r.finished_at is not null, r.span_start, r.span_end, s.window_start, s.window_end
from ingestion_rounds r left join ingestion_shards s on s.job_id = r.job_id and s.round = r.round
where r.job_id = $1 and r.round > 1
  and r.round > (select coalesce(max(round), 0) from ingestion_rounds where job_id = $1 and finished_at is not null) - $2
order by r.round`
	selectRevived = `select shard_id, count(*) from dead_letters d where ` + revived + ` group by 1`
	// revived are the dead letters of a job that were stored by a replay, and whose rows are gone.
	revived = `d.job_id = $1 and d.replayed_as is not null and not exists (select from ingested_events e where e.id = d.replayed_as)`
)

// deadAgain is how often dead letters without an id came again to the shards s, at most. A window that is read once more meets those
// again that it has, which makes them no more.
const deadAgain = `greatest(0, coalesce(sum(s.dead_duplicates - s.reopened * (
    select count(*) from dead_letters d where d.shard_id = s.id and d.event_id is null)), 0)::bigint)`

// The same record may be there twice, written in two ways by the two endpoints; its id shows that. Only a valid id is looked up:
// the case keeps the cast away from the others.
const selectAudit = `
select j.span_start, j.span_end, j.rows_before,
  (select coalesce(sum(events), 0)::bigint from ingestion_shards where job_id <> j.id),
  (select coalesce(sum(amount), 0)::bigint from ingestion_doubts where job_id = j.id and lifted_by = '` + ledger.AcceptForeign + `'),
  (select coalesce(sum(amount), 0)::bigint from ingestion_doubts where job_id = j.id and lifted_by = '` + ledger.AcceptLost + `'),
  (select count(distinct lower(d.event_id)) from dead_letters d
   where d.job_id = j.id and d.event_id is not null and d.replayed_at is null and not exists (
     select from ingested_events e
     where e.id = case when d.event_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then d.event_id::uuid end)),
  (select count(*) from dead_letters where job_id = j.id and event_id is null and replayed_at is null),
  (select ` + deadAgain + ` from ingestion_shards s where s.job_id = j.id),
  (select count(*) from dead_letters d
   join ingested_events e on e.id = case d.reason when 'conflict' then d.event_id::uuid end
   where d.job_id = j.id and d.replayed_at is null)
from ingestion_jobs j where j.id = $1`

// countRows adds the rows of each window, and of each day if the statement names days.
func countRows(ctx context.Context, tx pgx.Tx, a *ledger.Audit, count string) error {
	rows, _ := tx.Query(ctx, count, bucketEdges(a))
	var day *time.Time
	var bucket int
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&day, &bucket, &n}, func() error {
		if day != nil && (len(a.Days) == 0 || !a.Days[len(a.Days)-1].Day.Equal(*day)) {
			a.Days = append(a.Days, ledger.AuditDay{Day: day.UTC()})
		}
		inside := bucket >= 1 && bucket <= len(a.Windows) // of a window; those outside of all are in buckets before the first or after the last
		if a.Rows += n; inside {
			a.Windows[bucket-1].Rows += n
		}
		if day == nil {
			return nil
		}
		last := &a.Days[len(a.Days)-1]
		if last.Rows += n; inside {
			last.Shards = append(last.Shards, ledger.DayOfShard{Shard: a.Windows[bucket-1].Shard, Rows: n})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the rows of ingested_events: %w", err)
	}
	return nil
}

// Rows at infinity, which another program has put there, belong to no day.
const (
	countByWindow = `
select null::timestamptz, width_bucket("timestamp", $1::timestamptz[]), count(*) from ingested_events group by 2`
	countByDay = `
select case when isfinite("timestamp") then date_trunc('day', "timestamp", 'UTC') end, width_bucket("timestamp", $1::timestamptz[]), count(*)
from ingested_events group by 1, 2 order by 1, 2`
)

// bucketEdges are the starts of all windows and the end of the last: bucket n lies between edges n and n+1.
func bucketEdges(a *ledger.Audit) []pgtype.Timestamptz {
	edges := make([]pgtype.Timestamptz, 0, len(a.Windows)+1)
	for _, w := range a.Windows {
		edges = append(edges, timestamptz(w.Window.Start))
	}
	if n := len(a.Windows); n > 0 {
		edges = append(edges, timestamptz(max(a.Span.End, a.Windows[n-1].Window.End)))
	}
	return edges
}

// AuditByDay is [Postgres.Audit] with the rows counted by day, too. It takes longer: a date is computed for every row.
func (p *Postgres) AuditByDay(ctx context.Context, jobID int64) (ledger.Audit, error) {
	return p.audit(ctx, jobID, countByDay)
}

// witnessesOf returns what a batch adds to the witnesses of its shard, as JSON; nil if that is nothing.
func witnessesOf(b *shard.Batch) *string {
	sides := map[string][]shard.Event{}
	if len(b.Newer) > 0 {
		sides["newer"] = b.Newer
	}
	if len(b.Older) > 0 {
		sides["older"] = b.Older
	}
	if len(sides) == 0 {
		return nil
	}
	text, _ := json.Marshal(sides) // it has no way to fail
	return orNull(string(text))
}

// Unmet returns the witnesses of a round that are neither in ingested_events nor among the dead letters, by their ids.
func (p *Postgres) Unmet(ctx context.Context, jobID int64, round int) ([]ledger.Unmet, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	unmet, err := readUnmet(ctx, p.pool, jobID, round)
	return unmet, p.ledgerError(err, "look for the witnesses of job %d", jobID)
}

// querier is the pool, or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readUnmet returns the unmet witnesses, each once, by id. Two shards may keep the same one.
func readUnmet(ctx context.Context, db querier, jobID int64, round int) (all []ledger.Unmet, err error) {
	rows, _ := db.Query(ctx, selectUnmet, jobID, round)
	var text string
	var u ledger.Unmet
	_, err = pgx.ForEachRow(rows, []any{&u.Keeper, &u.Owner, &text}, func() error {
		u.Event = shard.Event{}
		if err := json.Unmarshal([]byte(text), &u.Event); err != nil {
			return fmt.Errorf("witness of shard row %d: %w", u.Keeper, err)
		}
		if n := len(all); n == 0 || all[n-1].Event.ID != u.Event.ID {
			all = append(all, u)
		}
		return nil
	})
	return all, err
}

// The instant is compared in microseconds since 1970, as the witness has it. Only the job's own span is promised.
const selectUnmet = `
with witness as (
  select s.id as keeper, w.value, (w.value->>'ID')::uuid as id,
         timestamptz 'epoch' + (w.value->>'At')::bigint * interval '1 microsecond' as at
  from ingestion_shards s, jsonb_each(s.witnesses) side, jsonb_array_elements(side.value) w
  where s.job_id = $1 and s.round = $2
)
select w.keeper, coalesce(o.id, 0), w.value::text
from witness w
join ingestion_jobs j on j.id = $1 and w.at >= j.span_start and w.at < j.span_end
left join ingestion_shards o on o.job_id = $1 and o.round = $2 and w.at >= o.window_start and w.at < o.window_end
where not exists (select from ingested_events e where e.id = w.id)
  and not exists (select from dead_letters d where d.job_id = $1 and lower(d.event_id) = w.id::text)
order by w.id, w.keeper`

// Adopt stores the witnesses of a round that are still unmet, and counts each with the shard of the round in whose window it lies, or
// with the one that kept it: as received, stored and out of order. All of that happens once, whatever runs beside it.
func (p *Postgres) Adopt(ctx context.Context, jobID int64, round int) (stored int, err error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	err = p.guarded(ctx, func(tx pgx.Tx) error {
		stored = 0
		if _, err := tx.Exec(ctx, lockRound, jobID, round); err != nil { // shards before events, as in a commit
			return err
		}
		unmet, err := readUnmet(ctx, tx, jobID, round)
		if err != nil {
			return err
		}
		r := &replay{tx: tx}
		counted := map[int64]int{}
		for i := range unmet {
			fate, err := r.store(ctx, &unmet[i].Event)
			if err != nil {
				return err
			}
			if fate.Outcome == ledger.Stored {
				counted[unmet[i].Counts()]++
				stored++
			}
		}
		for _, id := range slices.Sorted(maps.Keys(counted)) {
			if _, err := tx.Exec(ctx, countAdopted, id, counted[id]); err != nil {
				return err
			}
		}
		return nil
	})
	return stored, p.ledgerError(err, "store the witnesses of job %d", jobID)
}

const lockRound = `select from ingestion_shards where job_id = $1 and round = $2 order by id for update`

const countAdopted = `
update ingestion_shards
set received = received + $2, events = events + $2, out_of_order = out_of_order + $2, updated_at = now()
where id = $1`
