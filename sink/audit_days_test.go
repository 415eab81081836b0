package sink

import (
	"reflect"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

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

// TestAuditByDay: each day with its rows, window by window, and complete only where every window that reaches into it is.
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

// TestADayWithRowsGoneIsNotComplete, and rows at infinity, which are of no day, are counted all the same.
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
