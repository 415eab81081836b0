package sink

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// keptRounds is how many rounds before the newest one that is finished keep a row for each of their windows: an hour of a follow
// that has news every 30 s.
const keptRounds = 120

// prune sums up the windows of all rounds but the first and the newest ones, in one row for each window of round 1 that they lie
// in, and one for those across an edge: that is what the audit counts by, so that all its figures stay as they are. Dead letters
// go with their window. In the order of a replay, letters are locked before shards; and both before they are summed up, because a
// statement sees what was there when it began.
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

// oldShards are the rows to be summed up, with the one that stays of each group.
const oldShards = `
  select s.*, min(s.id) over (partition by w.shard) as into_id
  from public.ingestion_shards s left join public.ingestion_shards w
    on w.job_id = s.job_id and w.round = 1 and s.window_start >= w.window_start and s.window_end <= w.window_end
  where s.job_id = $1 and s.round > 1 and s.round <= $2 and s.state = 'done'`

const lockOldLetters = `
select from public.dead_letters d
where d.shard_id in (select o.id from (` + oldShards + `) o where o.id <> o.into_id) order by d.id for update`

const lockOldShards = `
select from public.ingestion_shards r where r.id in (select o.id from (` + oldShards + `) o) order by r.id for update`

const mergeOldShards = `
with old as (` + oldShards + `
), moved as (
  update public.dead_letters d set shard_id = o.into_id from old o where d.shard_id = o.id and o.id <> o.into_id
), gone as (
  delete from public.ingestion_shards s using old o where s.id = o.id and o.id <> o.into_id
), sums as (
  select into_id, count(*) as windows, min(window_start) as window_start, max(window_end) as window_end, sum(received) as received,
    sum(events) as events, sum(duplicates) as duplicates, sum(out_of_window) as out_of_window, sum(dead_letters) as dead_letters,
    sum(out_of_order) as out_of_order, sum(dead_duplicates) as dead_duplicates, sum(late_minute) as late_minute,
    sum(late_ten_minutes) as late_ten_minutes, sum(late_hour) as late_hour, sum(late_older) as late_older, max(late_most) as late_most
  from old group by into_id
)
update public.ingestion_shards s
set parent_id = null, window_start = n.window_start, window_end = n.window_end, received = n.received, events = n.events,
    duplicates = n.duplicates, out_of_window = n.out_of_window, dead_letters = n.dead_letters, out_of_order = n.out_of_order,
    dead_duplicates = n.dead_duplicates, late_minute = n.late_minute, late_ten_minutes = n.late_ten_minutes, late_hour = n.late_hour,
    late_older = n.late_older, late_most = n.late_most
from sums n where s.id = n.into_id and (n.windows > 1 or s.parent_id is not null)`
