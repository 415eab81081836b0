package sink

import (
	"errors"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// What an operator does to the table under a run raises no error of a COPY: the next commit must see it.
func TestATableThatChangesUnderARun(t *testing.T) {
	for name, change := range map[string]string{
		"key dropped":       `alter table ingested_events drop constraint ingested_events_pkey`,
		"swapped by rename": `alter table ingested_events rename to before; create table ingested_events (like before including all)`,
		"swapped by schema": `create schema old; create schema new; create table new.ingested_events (like ingested_events including all);
			alter table ingested_events set schema old; alter table new.ingested_events set schema public`,
		"rounded timestamp": `alter table ingested_events alter column "timestamp" type timestamptz(0)`,
		"became text":       `alter table ingested_events alter column properties type text`,
		"narrower column":   `alter table ingested_events alter column name type varchar(9)`,
		"a child":           `create table child () inherits (ingested_events)`,
		"not logged":        `alter table ingested_events set unlogged`,
		"a rule":            `create rule nothing as on insert to ingested_events do instead nothing`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.commitAgain(t, events(0, 10))
			_, err := b.pool.Exec(t.Context(), change)
			must(t, err)
			from := b.begin(t, 1)
			_, err = b.Commit(t.Context(), batch(from, events(10, 10)))
			if !errors.As(err, new(*ledger.UnfitError)) {
				t.Errorf("got %v, want an UnfitError", err)
			}
			equal(t, "seq", b.shard(t, 1).Seq, from.Seq)
			b.usable(t)
		})
	}
}

func TestATableThatOnlyGrowsIsAccepted(t *testing.T) {
	b := newBench(t)
	for n, change := range []string{
		`select`,
		`alter table ingested_events add column more text`,
		`create index on ingested_events (user_id)`,
		`reindex table ingested_events`,
		`create unique index another on ingested_events (id); alter table ingested_events drop constraint ingested_events_pkey`,
		`vacuum full ingested_events`,
	} {
		_, err := b.pool.Exec(t.Context(), change)
		must(t, err)
		counts := b.commitAgain(t, events(10*n, 10))
		equal(t, change, counts, shard.Counts{Received: 10, Events: 10})
	}
}
