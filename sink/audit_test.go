package sink

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// walked is a bench whose three windows were walked to their ends: 30, 20 and 10 events of microseconds 500, 1500 and 2500.
func walked(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, threeWindows...)
	for n, at := range []shard.Instant{500, 1500, 2500} {
		in := events(1000*n, 30-10*n)
		for i := range in {
			in[i].At = at
		}
		whole := batch(b.begin(t, n+1), in)
		whole.Proof = shard.ProofOlder
		if n == 0 {
			whole.Proof = shard.ProofConfirmed
		}
		_, err := b.Commit(t.Context(), whole)
		must(t, err)
	}
	return b
}

func (b *bench) judge(t *testing.T, atStart, atEnd int64) audit.Verdict {
	t.Helper()
	a, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	return audit.Judge(a, atStart, atEnd)
}

func TestAuditCountsByWindow(t *testing.T) {
	b := walked(t)
	a, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	var rows []int64
	for _, w := range a.Windows {
		rows = append(rows, w.Rows)
	}
	if want := []int64{30, 20, 10}; !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	v := audit.Judge(a, 60, 60)
	if !v.OK || len(v.NotApplied) > 0 {
		t.Errorf("a complete job: %+v", v)
	}
}

func TestAuditOfASpanSeesRowsOutsideToo(t *testing.T) {
	b := newBench(t, shard.Window{Start: 1000, End: 2000})
	in := events(0, 3)
	in[0].At, in[1].At, in[2].At = 1999, 1000, 3000 // the last one a stray
	whole := batch(b.begin(t, 1), in)
	whole.Seen.OutOfOrder, whole.Proof = 1, shard.ProofOlder
	_, err := b.Commit(t.Context(), whole)
	must(t, err)
	v := b.judge(t, 100, 100)
	if !v.OK || len(v.NotApplied) != 1 {
		t.Errorf("a part of the API has no total: %+v", v)
	}
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		setup    string
		from, to int64
		finding  string  // words of the first finding; empty: all is well
		reopen   []int64 // shards
		skipped  int
	}{
		"complete":                     {``, 60, 60, "", nil, 0},
		"the source grew":              {``, 55, 70, "", nil, 0},
		"no totals":                    {``, 0, 0, "", nil, 2},
		"rows lost in a window":        {`delete from ingested_events where "timestamp" = '1970-01-01 00:00:00.001500Z'`, 60, 60, "shard 2", []int64{2}, 0},
		"the source had more":          {``, 61, 61, "1 are missing", []int64{1}, 0},
		"more, and all ends were seen": {`update ingestion_shards set end_proof = 'older'`, 61, 61, "1 are missing", []int64{1, 2, 3}, 0},
		"a dead letter stands for it":  {letterSQL("'{}'", "'x'"), 61, 61, "", nil, 0},
		"one without an id too":        {letterSQL("'{}'", "null"), 61, 61, "", nil, 0},
		"one known byte for byte":      {`update ingestion_shards set duplicates = 1, received = received + 1, dead_duplicates = 1 where shard = 1`, 61, 61, "", nil, 0},
		"but not one that is a row":    {letterSQL("'{}'", "(select id::text from ingested_events limit 1)"), 61, 61, "1 are missing", []int64{1}, 0},
		"two letters of one record":    {letterSQL("'{}'", "'x'") + ";" + letterSQL("'{ }'", "'x'"), 62, 62, "1 are missing", []int64{1}, 0},
		"the source has less":          {``, 0, 59, "60 rows", nil, 1},
		"another program writes":       {`insert into ingested_events select gen_random_uuid(), session_id, user_id, type, name, properties, "timestamp", device_type, browser from ingested_events limit 1`, 0, 0, "1 more than were stored", nil, 2},
		"a shard is not done":          {`update ingestion_shards set state = 'failed' where shard = 2`, 99, 99, "shard 2", nil, 1},
		"rows were there before":       {`update ingestion_jobs set rows_before = 1; insert into ingested_events select gen_random_uuid(), session_id, user_id, type, name, properties, "timestamp", device_type, browser from ingested_events limit 1`, 60, 60, "", nil, 3},
		// A silent early end: the job has lost three of its rows, and three of another program's took their place.
		"foreign rows stand for nothing":  {`update ingestion_jobs set rows_before = 3; update ingestion_shards set events = events - 3, received = received - 3 where shard = 2`, 60, 60, "", nil, 3},
		"rows from before have gone":      {`update ingestion_jobs set rows_before = 1`, 0, 0, "1 rows were there before", []int64{1, 2, 3}, 2},
		"strays may lie in other windows": {`update ingestion_shards set out_of_order = 20 where shard = 2; update ingested_events set "timestamp" = '1970-01-01 00:00:00.000500Z' where "timestamp" = '1970-01-01 00:00:00.001500Z'`, 60, 60, "", nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := walked(t)
			_, err := b.pool.Exec(t.Context(), test.setup)
			must(t, err)
			v := b.judge(t, test.from, test.to)
			equal(t, "OK", v.OK, test.finding == "")
			if !v.OK && !strings.Contains(v.Findings[0], test.finding) {
				t.Errorf("finding %q does not say %q", v.Findings[0], test.finding)
			}
			if v.Summary() == "" {
				t.Error("no summary")
			}
			if !reflect.DeepEqual(v.Reopen, test.reopen) {
				t.Errorf("reopen %v, want %v", v.Reopen, test.reopen)
			}
			equal(t, "checks not applied", len(v.NotApplied), test.skipped)
		})
	}
}

func letterSQL(raw, id string) string {
	return `insert into dead_letters (job_id, shard_id, seq, sha256, raw, raw_bytes, event_id, reason, detail, endpoint)
values (1, 1, 1, sha256(` + raw + `), ` + raw + `, 2, ` + id + `, 'json', '', 'list');
update ingestion_shards set received = received + 1, dead_letters = dead_letters + 1 where shard = 1`
}

// If shards are gone from the ledger, none of the others falls short: a table and a ledger that were both emptied were once found
// complete, if the source gave no total.
func TestAJobWithoutAllItsShardsIsNotComplete(t *testing.T) {
	for name, gone := range map[string]string{"the first": `shard = 1`, "one between": `shard = 2`, "the last": `shard = 3`, "all": `true`} {
		t.Run(name, func(t *testing.T) {
			b := walked(t)
			_, err := b.pool.Exec(t.Context(), `delete from ingestion_shards where `+gone)
			must(t, err)
			_, err = b.pool.Exec(t.Context(), `truncate ingested_events`)
			must(t, err)
			_, err = b.pool.Exec(t.Context(), `update ingestion_shards set events = 0, received = 0`)
			must(t, err)
			if v := b.judge(t, 0, 0); v.OK || !strings.Contains(v.Summary(), "rows of ingestion_shards are gone") {
				t.Errorf("%+v", v)
			}
		})
	}
}

// dayOf returns an instant of the n-th of January 2026.
func dayOf(n, hour int) shard.Instant {
	return shard.InstantOf(time.Date(2026, 1, n, hour, 0, 0, 0, time.UTC))
}

// twoDays is a bench of two windows that meet at noon of the second day; the newer one is walked, with 10 events in it.
func twoDays(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, shard.Window{Start: dayOf(1, 0), End: dayOf(2, 12)}, shard.Window{Start: dayOf(2, 12), End: dayOf(4, 0)})
	for n, count := range []int{5, 10} {
		in := events(1000*n, count)
		for i := range in {
			in[i].At = dayOf(2, 11+n) // both windows have a part of this day
		}
		in[0].At = dayOf(1+2*n, 23)
		part := batch(b.begin(t, n+1), in)
		if n == 1 {
			part.Proof = shard.ProofOlder
		}
		_, err := b.Commit(t.Context(), part)
		must(t, err)
	}
	return b
}

// TestAuditByDay: each day has its rows, window by window, and is complete only if every window that reaches into it is.
func TestAuditByDay(t *testing.T) {
	b := twoDays(t)
	a, err := b.AuditByDay(t.Context(), b.job.ID)
	must(t, err)
	want := []ledger.AuditDay{
		{Day: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rows: 1, Shards: []ledger.DayOfShard{{Shard: 1, Rows: 1}}},
		{Day: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Rows: 13, Shards: []ledger.DayOfShard{{Shard: 1, Rows: 4}, {Shard: 2, Rows: 9}}},
		{Day: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), Rows: 1, Shards: []ledger.DayOfShard{{Shard: 2, Rows: 1}}},
	}
	if !reflect.DeepEqual(a.Days, want) {
		t.Errorf("the days are %+v, want %+v", a.Days, want)
	}
	for n, complete := range []bool{false, false, true} {
		equal(t, a.Days[n].Day.String(), audit.Complete(&a, a.Days[n]), complete)
	}
	plain, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	a.Days = nil
	if !reflect.DeepEqual(a, plain) {
		t.Errorf("by day the audit is %+v, otherwise %+v", a, plain)
	}
}

// TestADayWithRowsGoneIsNotComplete; and rows at infinity, which belong to no day, are counted nevertheless.
func TestADayWithRowsGoneIsNotComplete(t *testing.T) {
	b := twoDays(t)
	_, err := b.pool.Exec(t.Context(), `
		with gone as (delete from ingested_events where "timestamp" >= '2026-01-03Z' returning *)
		insert into ingested_events select id, session_id, user_id, type, name, properties, 'infinity', device_type, browser from gone`)
	must(t, err)
	a, err := b.AuditByDay(t.Context(), b.job.ID)
	must(t, err)
	equal(t, "days", len(a.Days), 2)
	equal(t, "rows", a.Rows, 15)
	equal(t, "the second day is complete", audit.Complete(&a, a.Days[1]), false)
	equal(t, "a third is", audit.Complete(&a, ledger.AuditDay{Day: dayOf(3, 0).Time()}), false)
}
