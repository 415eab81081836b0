package sink

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// BeginRound inserts the job's next round and its windows, oldest first, and makes it the current one, in one transaction. r needs
// no number and no times. It fails if another run has begun a round meanwhile.
func (p *Postgres) BeginRound(ctx context.Context, jobID int64, r ledger.Round, windows []shard.Window) (*ledger.Round, error) {
	err := p.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, advanceRound, jobID).Scan(&r.Number); err != nil {
			return err
		}
		failpoint.Hit("round.advanced")
		return insertRound(ctx, tx, jobID, &r, windows)
	})
	if err != nil {
		return nil, p.ledgerError(err, "begin a round of job %d", jobID)
	}
	failpoint.Hit("round.begun")
	return p.LastRound(ctx, jobID)
}

const advanceRound = `
update ingestion_jobs j
set round = (select max(r.round) + 1 from ingestion_rounds r where r.job_id = j.id), updated_at = now()
where j.id = $1
returning j.round`

func insertRound(ctx context.Context, tx pgx.Tx, jobID int64, r *ledger.Round, windows []shard.Window) error {
	_, err := tx.Exec(ctx, insertRoundRow, jobID, r.Number, timestamptz(r.Span.Start), timestamptz(r.Span.End), len(windows),
		timestamptzOrNull(r.LateBefore), interval(r.Lookback), timestamptzOrNull(r.Candidate), timestamptzOrNull(r.Newest),
		orNull(r.APITotal))
	if err != nil {
		return err
	}
	failpoint.Hit("round.inserted")
	starts, ends := edges(windows)
	_, err = tx.Exec(ctx, insertShards, jobID, r.Number, starts, ends)
	return err
}

const insertRoundRow = `
insert into ingestion_rounds (job_id, round, span_start, span_end, shards, late_before, lookback, candidate, newest, api_total, rows_before)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, ` + rowsByLedger

// rowsByLedger counts the rows of ingested_events without reading it: those from before the first job, and the events of all jobs.
const rowsByLedger = `
  (select coalesce((select rows_before from ingestion_jobs order by id limit 1), 0)
    + (select coalesce(sum(events), 0)::bigint from ingestion_shards))`

const insertShards = `
insert into ingestion_shards (job_id, round, shard, window_start, window_end)
select $1, $2, n, w.s, w.e from unnest($3::timestamptz[], $4::timestamptz[]) with ordinality as w(s, e, n)`

func edges(windows []shard.Window) (starts, ends []pgtype.Timestamptz) {
	for _, w := range windows {
		starts, ends = append(starts, timestamptz(w.Start)), append(ends, timestamptz(w.End))
	}
	return starts, ends
}

// Focus makes a round the current one, whose shards Load returns.
func (p *Postgres) Focus(ctx context.Context, jobID int64, round int) error {
	return p.setJob(ctx, "round", updateRound, jobID, round)
}

const updateRound = `update ingestion_jobs set round = $2, updated_at = now() where id = $1`

// LastRound returns the newest round of a job, with the counts of its shards so far.
func (p *Postgres) LastRound(ctx context.Context, jobID int64) (*ledger.Round, error) {
	r, err := one(ctx, p, scanRound, selectRounds, jobID, 1)
	return r, p.ledgerError(err, "read the last round of job %d", jobID)
}

// selectRounds reads the newest rounds.
const selectRounds = `
select r.round, r.span_start, r.span_end, r.late_before, r.lookback, r.candidate, r.newest, coalesce(r.api_total, 0), r.missing,
  coalesce(r.rows_before, 0), r.requests, r.started_at, r.finished_at,
  n.received, n.events, n.duplicates, n.out_of_window, n.dead_letters, n.out_of_order,
  n.late_minute, n.late_ten_minutes, n.late_hour, n.late_older, n.late_most
from ingestion_rounds r, lateral (
  select coalesce(sum(received), 0)::bigint as received, coalesce(sum(events), 0)::bigint as events,
    coalesce(sum(duplicates), 0)::bigint as duplicates, coalesce(sum(out_of_window), 0)::bigint as out_of_window,
    coalesce(sum(dead_letters), 0)::bigint as dead_letters, coalesce(sum(out_of_order), 0)::bigint as out_of_order,
    coalesce(sum(late_minute), 0)::bigint as late_minute, coalesce(sum(late_ten_minutes), 0)::bigint as late_ten_minutes,
    coalesce(sum(late_hour), 0)::bigint as late_hour, coalesce(sum(late_older), 0)::bigint as late_older,
    coalesce(max(late_most), '0') as late_most
  from ingestion_shards s where s.job_id = r.job_id and s.round = r.round) n
where r.job_id = $1
order by r.round desc limit $2`

func scanRound(row pgx.CollectableRow) (*ledger.Round, error) {
	var r ledger.Round
	var start, end, before, candidate, newest pgtype.Timestamptz
	var lookback, most pgtype.Interval
	var finished *time.Time
	n, l := &r.Counts, &r.Late
	err := row.Scan(&r.Number, &start, &end, &before, &lookback, &candidate, &newest, &r.APITotal, &r.Missing, &r.RowsBefore,
		&r.Requests, &r.StartedAt, &finished, &n.Received, &n.Events, &n.Duplicates, &n.OutOfWindow, &n.DeadLetters, &n.OutOfOrder,
		&l.Minute, &l.TenMinutes, &l.Hour, &l.Older, &most)
	r.Span = shard.Window{Start: instant(start), End: instant(end)}
	r.LateBefore, r.Candidate, r.Newest = instant(before), instant(candidate), instant(newest)
	r.Lookback, l.Most, r.FinishedAt = duration(lookback), duration(most), orZero(finished)
	return &r, err
}

// duration is the reverse of interval.
func duration(i pgtype.Interval) time.Duration {
	days := time.Duration(i.Days) + 30*time.Duration(i.Months)
	return 24*time.Hour*days + time.Duration(i.Microseconds)*time.Microsecond
}

// FinishRound finishes a round whose windows are all done, and moves the job's watermark to its candidate: both or neither. The same
// transaction sums up the rows of rounds that are long over.
func (p *Postgres) FinishRound(ctx context.Context, jobID int64, r *ledger.Round, missing int64) error {
	err := p.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, finishRound, jobID, r.Number, missing)
		if err == nil && tag.RowsAffected() == 0 {
			err = ledger.ErrRoundOpen
		}
		if err != nil {
			return err
		}
		failpoint.Hit("round.finished")
		err = prune(ctx, tx, jobID, r.Number)
		failpoint.Hit("rounds.pruned")
		return err
	})
	if err != nil {
		return p.ledgerError(err, "finish round %d of job %d", r.Number, jobID)
	}
	failpoint.Hit("watermark.moved")
	return nil
}

// The watermark never goes back: a page from a cache of the API may have been older than that of the round before.
const finishRound = `
with finished as (
  update ingestion_rounds r set finished_at = clock_timestamp(), missing = $3
  where r.job_id = $1 and r.round = $2 and not exists (
    select from ingestion_shards s where s.job_id = r.job_id and s.round = r.round and s.state <> 'done')
  returning r.job_id, r.candidate
)
update ingestion_jobs j set watermark = greatest(j.watermark, f.candidate), updated_at = now()
from finished f where j.id = f.job_id`

// Accounted returns how many of the source's events the ledger accounts for, at most: the rows of the table, dead letters, and how
// often one without an id came again. Of the rows that other jobs stored since the last round began, only as many count as the round
// has read: the others tell nothing of what it was shown. It reads no event.
func (p *Postgres) Accounted(ctx context.Context, jobID int64) (n int64, err error) {
	n, err = one(ctx, p, pgx.RowTo[int64], selectAccounted, jobID)
	return n, p.ledgerError(err, "add up the ledger for job %d", jobID)
}

const selectAccounted = `
select rows - greatest(0, rows - coalesce(r.rows_before, rows - n.events) - n.events - n.duplicates) + dead + lost
from ingestion_rounds r, lateral ` + rowsByLedger + ` t (rows), lateral (
  select coalesce(sum(events), 0)::bigint as events, coalesce(sum(duplicates), 0)::bigint as duplicates
  from ingestion_shards s where s.job_id = r.job_id and s.round = r.round) n, lateral (
  select coalesce(sum(dead_letters), 0)::bigint + ` + deadAgain + ` as dead
  from ingestion_shards s where s.job_id = r.job_id) d, lateral (
  select coalesce(sum(amount), 0)::bigint as lost
  from ingestion_doubts a where a.job_id = r.job_id and a.lifted_by = '` + ledger.AcceptLost + `') l
where r.job_id = $1 order by r.round desc limit 1`

// Earlier returns the counts of all rounds of a job but the current one.
func (p *Postgres) Earlier(ctx context.Context, jobID int64) (n shard.Counts, err error) {
	n, err = one(ctx, p, pgx.RowToStructByPos[shard.Counts], selectEarlier, jobID)
	return n, p.ledgerError(err, "add up the other rounds of job %d", jobID)
}

const selectEarlier = `
select coalesce(sum(s.received), 0)::bigint, coalesce(sum(s.events), 0)::bigint, coalesce(sum(s.duplicates), 0)::bigint,
  coalesce(sum(s.out_of_window), 0)::bigint, coalesce(sum(s.dead_letters), 0)::bigint, coalesce(sum(s.out_of_order), 0)::bigint
from ingestion_jobs j join ingestion_shards s on s.job_id = j.id and s.round <> j.round
where j.id = $1`

// maxRounds is how many of the last rounds are shown.
const maxRounds = 40

// Rounds returns the last rounds of a job, the newest first.
func (p *Postgres) Rounds(ctx context.Context, jobID int64) ([]*ledger.Round, error) {
	all, err := list(ctx, p, scanRound, selectRounds, jobID, maxRounds)
	return all, p.ledgerError(err, "read the rounds of job %d", jobID)
}

// NoteRequests adds to the requests of a round.
func (p *Postgres) NoteRequests(ctx context.Context, jobID int64, round int, requests int64) error {
	_, err := p.exec(ctx, noteRequests, jobID, round, requests)
	return p.ledgerError(err, "record the requests of round %d of job %d", round, jobID)
}

const noteRequests = `update ingestion_rounds set requests = requests + $3 where job_id = $1 and round = $2`

// keptRounds is how many rounds before the newest finished one keep a row for each of their windows: an hour of a follow that
// finds new events every 30 s.
const keptRounds = 120

// prune sums up the windows of all rounds but the first and the newest ones, in one row for each window of round 1 that they lie
// in, and one for those across an edge: the audit counts by these, so all its figures stay the same. Dead letters move with their
// window. As in a replay, dead letters are locked before shards; and both before they are summed up, because a statement sees the
// rows as they were when it began.
func prune(ctx context.Context, tx pgx.Tx, jobID int64, newest int) error {
	last := newest - keptRounds
	if last <= 1 {
		return nil
	}
	for _, sql := range []string{lockOldLetters, lockOldShards, mergeOldShards} {
		if _, err := tx.Exec(ctx, sql, jobID, last); err != nil {
			return err
		}
	}
	return nil
}

// oldShards are the rows to sum up, each with the row of its group that stays.
const oldShards = `
  select s.*, min(s.id) over (partition by w.shard) as into_id
  from ingestion_shards s left join ingestion_shards w
    on w.job_id = s.job_id and w.round = 1 and s.window_start >= w.window_start and s.window_end <= w.window_end
  where s.job_id = $1 and s.round > 1 and s.round <= $2 and s.state = 'done'`

const lockOldLetters = `
select from dead_letters d
where d.shard_id in (select o.id from (` + oldShards + `) o where o.id <> o.into_id) order by d.id for update`

const lockOldShards = `
select from ingestion_shards r where r.id in (select o.id from (` + oldShards + `) o) order by r.id for update`

const mergeOldShards = `
with old as (` + oldShards + `
), moved as (
  update dead_letters d set shard_id = o.into_id from old o where d.shard_id = o.id and o.id <> o.into_id
), gone as (
  delete from ingestion_shards s using old o where s.id = o.id and o.id <> o.into_id
), sums as (
  select into_id, count(*) as windows, min(window_start) as window_start, max(window_end) as window_end, sum(received) as received,
    sum(events) as events, sum(duplicates) as duplicates, sum(out_of_window) as out_of_window, sum(dead_letters) as dead_letters,
    sum(out_of_order) as out_of_order, sum(dead_duplicates) as dead_duplicates, sum(late_minute) as late_minute,
    sum(late_ten_minutes) as late_ten_minutes, sum(late_hour) as late_hour, sum(late_older) as late_older, max(late_most) as late_most
  from old group by into_id
)
update ingestion_shards s
set parent_id = null, window_start = n.window_start, window_end = n.window_end, received = n.received, events = n.events,
    duplicates = n.duplicates, out_of_window = n.out_of_window, dead_letters = n.dead_letters, out_of_order = n.out_of_order,
    dead_duplicates = n.dead_duplicates, late_minute = n.late_minute, late_ten_minutes = n.late_ten_minutes, late_hour = n.late_hour,
    late_older = n.late_older, late_most = n.late_most
from sums n where s.id = n.into_id and (n.windows > 1 or s.parent_id is not null)`
