package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// sound checks in the database, at one moment, all that must be true at every moment. It returns whether it is.
func (c *crashWorld) sound(after string) bool {
	c.t.Helper()
	var tables bool
	if c.query(`select to_regproc('crash.note') is not null`, nil, &tables); !tables {
		return true
	}
	found := map[string]int64{}
	c.ask(func(conn *pgx.Conn) error {
		clear(found)
		rows, _ := conn.Query(context.Background(), crashInvariants)
		var what string
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&what, &n}, func() error { found[what] = n; return nil })
		return err
	})
	sound := true
	for what, n := range found {
		if n > 0 {
			sound = false
			c.t.Errorf("after %s: %s: %d", after, what, n)
		}
	}
	return sound
}

// The API lists newest first: behind a checkpoint is what is newer than its resume point, and inside its window. Only the
// repeated read of an end may set the resume point back: by a page at most, and by a record when the shard is done with it. A window
// that is walked once more may be split then: what was stored before counts for the shard that it is a part of, so that such a
// window is compared with all its parts together.
var crashInvariants = `
with recursive families as (
  select id, id as root from ingestion_shards where parent_id is null
  union all select s.id, f.root from ingestion_shards s join families f on f.id = s.parent_id
), again as (
  select distinct f.root from crash.audit a join families f on f.id = a.shard_id where a.state = 'suspect'
), place as (
  select s.id as shard_id, e.id, e.raw is not null as malformed, e.before,
    s.state = 'done' or s.resume_at is not null and (e.at, e.id) >= (s.resume_at, s.resume_id) as behind,
    exists (select from families f join again using (root) where f.id = s.id) as reopened, r.id is not null as stored, d.id is not null as buried
  from crash.expected e
  join ingestion_shards s on s.window_start <= e.at and e.at < s.window_end
  left join ingested_events r on r.id = e.id
  left join dead_letters d on d.raw = e.raw
), steps as (
  select a.*, lag(seq, 1, 0) over step as seq_before, a.received - lag(received, 1, 0) over step as received_more,
    a.events - lag(events, 1, 0) over step as events_more, a.dead_letters - lag(dead_letters, 1, 0) over step as letters_more,
    lag(resume_at) over step as resume_at_before, lag(resume_id) over step as resume_id_before
  from crash.audit a window step as (partition by shard_id order by n)
), windows as (
  select s.*, lag(window_end) over (order by window_start) as neighbour,
    (select count(*) from ingested_events r left join crash.expected e using (id)
     where s.window_start <= r."timestamp" and r."timestamp" < s.window_end and e.before is not true) as rows,
    (select count(*) from dead_letters d where d.shard_id = s.id) as letters,
    (select coalesce(max(a.seq), 0) from crash.audit a where a.shard_id = s.id) as audited
  from ingestion_shards s
), batches as (
  select at, sum(events_more) as counted from steps group by at
), stored as (
  select r.ingested_at as at, count(*) as rows from ingested_events r left join crash.expected e using (id)
  where e.before is not true group by 1
)
select 'events missing behind a checkpoint', count(*) from place where behind and not malformed and not stored
union all select 'dead letters missing behind a checkpoint', count(*) from place where behind and malformed and not buried
union all select 'events stored further beyond a checkpoint than a page', count(*) from (
  select from place where not behind and stored and not before and not reopened group by shard_id having count(*) > ` + strconv.Itoa(crashPage) + `) far
union all select 'rows that are no event', count(*) from ingested_events r left join crash.expected e using (id) where e.raw is not null or e.id is null
union all select 'dead letters that are no malformed record', count(*) from dead_letters d where d.reason <> 'conflict' and not exists (
  select from crash.expected e where e.raw = d.raw)
union all select 'conflicts that are none', count(*) from dead_letters d where d.reason = 'conflict' and not exists (
  select from crash.expected e where e.alien and e.id::text = d.event_id)
union all select 'events that are rows and dead letters', count(*) from dead_letters d join ingested_events r on r.id::text = d.event_id
  where d.reason <> 'conflict'
union all select 'windows in which ledger and table differ', count(*) from (
  select from windows join families using (id) group by case when root in (select root from again) then root else id end
  having sum(events) <> sum(rows)) unlike
union all select 'windows in which ledger and dead letters differ', count(*) from windows where dead_letters <> letters
union all select 'windows that do not meet', count(*) from windows where neighbour <> window_start
union all select 'jobs without all of their windows', count(*) from ingestion_jobs j where shards <> (
  select count(*) from ingestion_shards s where s.job_id = j.id and parent_id is null)
union all select 'steps that are not the next', count(*) from steps where seq <> seq_before + 1
union all select 'steps that were applied twice', count(*) - count(distinct (shard_id, seq)) from crash.audit
union all select 'steps that share a transaction', count(*) - count(distinct xid) from crash.audit where state <> 'suspect'
union all select 'steps back', count(*) from steps where state <> 'suspect'
  and (state <> 'done' and (resume_at, resume_id) > (resume_at_before, resume_id_before) or least(received_more, events_more, letters_more) < 0)
union all select 'steps by a run that does not have the shard', count(*) from crash.audit
  where right(writer, 8) <> left(run_id::text, 8)
union all select 'shards that went back to an earlier run', count(*) - count(distinct (shard_id, run_id)) from crash.owners
union all select 'checkpoints without their last step', count(*) from windows where seq <> audited
union all select 'batches that were not stored with their step', count(*) from batches full join stored using (at)
  where coalesce(counted, 0) <> coalesce(rows, 0)`

// finish lets the program run to its end and checks that everything is there, exactly.
func (c *crashWorld) finish() {
	c.t.Helper()
	p := c.launch("")
	if code := p.code(c.t, 2*time.Minute); code != cli.ExitOK {
		c.t.Fatalf("exit code %d at the end:\n%s", code, p.out.String())
	}
	c.sound("the end")
	c.complete()
	c.frugal()
}

// complete checks the content of the table and of the dead letters.
func (c *crashWorld) complete() {
	c.t.Helper()
	var open, aliens, conflicts, letters, malformed int64
	c.query(`select count(*) filter (where state <> 'done') from ingestion_shards`, nil, &open)
	c.query(`select count(*) from crash.expected where alien`, nil, &aliens)
	c.query(`select count(*) filter (where reason = 'conflict'), count(*) filter (where reason <> 'conflict') from dead_letters`, nil, &conflicts, &letters)
	c.query(`select count(raw) from crash.expected`, nil, &malformed)
	if open != 0 || conflicts != aliens || letters != malformed || aliens == 0 || malformed == 0 {
		c.t.Errorf("%d shards are open; %d conflicts, want %d; %d other dead letters, want %d", open, conflicts, aliens, letters, malformed)
	}
	// What was there before stays, with its other content too; only then the rest can be compared with the source.
	c.exec(`update ingested_events r set name = e.name from crash.expected e where e.alien and r.id = e.id and r.name = 'alien'`)
	want := c.sim.Data().Truth(apisim.Past, apisim.Future)
	var got apisim.Sum
	c.query(apisim.TruthSQL, []any{nil, nil}, &got.Rows, &got.Hash)
	if got != want {
		c.t.Errorf("the table has %d rows with hash %s, the source %d with %s", got.Rows, got.Hash, want.Rows, want.Hash)
	}
}

// crashWaste is how many pages a crash may cost one shard: the one that is on its way or waits to get into the queue, the
// queue, and the batch that is being committed. A batch takes in pages until it has as many rows as a full one: that may be one
// that is known for the most part, one with malformed records, and one more. Another is for a request that is counted to the
// neighbour.
const crashWaste = 1 + crashQueue + 3 + 1

// frugal checks, for each run and each shard, how much was fetched and not committed.
func (c *crashWorld) frugal() {
	c.t.Helper()
	served := make([]map[int]int64, len(c.runs))
	for _, r := range c.sim.Requests() {
		if n := c.runAt(r.At); n >= 0 && r.Status == 200 && (r.Endpoint == apisim.List || r.Endpoint == apisim.Feed) {
			if served[n] == nil {
				served[n] = map[int]int64{}
			}
			served[n][c.shardOf(r.Query)] += int64(r.Events)
		}
	}
	after := c.receivedByShard()
	for n := len(c.runs) - 1; n >= 0; n-- {
		if len(c.runs[n].received) == 0 { // planned the job in this run
			break
		}
		for shard, events := range served[n] {
			waste := events - (after[shard] - c.runs[n].received[shard])
			c.most = max(c.most, waste)
			if waste > crashWaste*crashPage {
				c.t.Errorf("run %d of %d: shard %d fetched %d records more than it committed, that is more than %d pages", n, len(c.runs), shard, waste, crashWaste)
			}
		}
		after = c.runs[n].received
	}
}

// runAt returns the run that made a request, -1 for the requests of nobody.
func (c *crashWorld) runAt(at time.Time) int {
	for n := len(c.runs) - 1; n >= 0; n-- {
		if !at.Before(c.runs[n].began) {
			return n
		}
	}
	return -1
}

// shardOf returns the shard in whose window a page was asked for.
func (c *crashWorld) shardOf(query string) (shard int) {
	values, _ := url.ParseQuery(query)
	ms := int64(1) << 40
	if text := values.Get("cursor"); text != "" {
		var cursor struct{ TS int64 }
		plain, _ := base64.StdEncoding.DecodeString(text)
		if err := json.Unmarshal(plain, &cursor); err != nil {
			c.t.Fatalf("the cursor %s: %v", text, err)
		}
		ms = cursor.TS
	} else if text := values.Get("until"); text != "" {
		ms, _ = strconv.ParseInt(text, 10, 64)
		ms--
	}
	for _, w := range c.windowStarts() {
		if ms >= w.start {
			return w.shard
		}
	}
	return 0
}

// crashWindow is a shard and where its window begins, in epoch milliseconds.
type crashWindow struct {
	shard int
	start int64
}

// windowStarts returns the windows, newest first.
func (c *crashWorld) windowStarts() []crashWindow {
	c.t.Helper()
	if len(c.windows) > 0 {
		return c.windows
	}
	var w crashWindow
	c.ask(func(conn *pgx.Conn) error {
		c.windows = nil
		rows, _ := conn.Query(context.Background(), `
select shard, case when isfinite(window_start) then floor(extract(epoch from window_start) * 1000)::bigint else 0 end
from ingestion_shards order by window_start desc`)
		_, err := pgx.ForEachRow(rows, []any{&w.shard, &w.start}, func() error { c.windows = append(c.windows, w); return nil })
		return err
	})
	return c.windows
}
