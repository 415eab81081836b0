package sink

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

func TestDuplicatesBetweenBatches(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	_, err := b.Commit(t.Context(), batch(from, events(0, 100)))
	must(t, err)
	from.Seq++
	counts, err := b.Commit(t.Context(), batch(from, events(60, 100)))
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 60, Duplicates: 40})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 160)
	equal(t, "counts of the checkpoint", b.shard(t, 1).Counts, shard.Counts{Received: 200, Events: 160, Duplicates: 40})
	equal(t, "dead letters", b.count(t, `select count(*) from dead_letters`), 0)
	b.usable(t)
}

func TestDuplicatesWithinABatch(t *testing.T) {
	b := newBench(t)
	in := append(events(0, 10), event(3), event(3))
	counts, err := b.Commit(t.Context(), batch(b.begin(t, 1), in))
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 12, Events: 10, Duplicates: 2})
}

// The same JSON written differently is the same event; PostgreSQL's jsonb decides.
func TestTheSameContentWrittenDifferentlyIsADuplicate(t *testing.T) {
	a, same := event(1), event(1)
	a.Properties, same.Properties = `{"a":1,"b":[1.0]}`, ` { "b" : [1.0], "a" : 1 } `
	for name, batches := range map[string][][]shard.Event{"in one batch": {{a, same}}, "in two": {{a}, {same}}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			equal(t, "counts", b.commitAll(t, batches), shard.Counts{Received: 2, Events: 1, Duplicates: 1})
		})
	}
}

func TestConflictKeepsTheFirst(t *testing.T) {
	first, other := event(1), event(1)
	other.Name = "renamed"
	for name, batches := range map[string][][]shard.Event{
		"in one batch":        {{first, event(2), other}},
		"in two":              {{first, event(2)}, {other}},
		"and again":           {{first, event(2), other}, {other, first}},
		"all three in a pair": {{first, event(2)}, {other, other, first}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			counts := b.commitAll(t, batches)
			equal(t, "events", counts.Events, 2)
			equal(t, "dead letters", counts.DeadLetters, 1)
			equal(t, "kept", b.stored(t, first.ID).Name, first.Name)
			equal(t, "dead_letters", b.count(t, `select count(*) from dead_letters where reason = 'conflict' and event_id = $1`, first.ID.String()), 1)
			var raw []byte
			must(t, b.pool.QueryRow(t.Context(), `select raw from dead_letters`).Scan(&raw))
			var back received
			must(t, json.Unmarshal(raw, &back))
			equal(t, "name in the dead letter", back.Name, "renamed")
		})
	}
}

func TestEveryColumnCounts(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	_, err := b.Commit(t.Context(), batch(from, events(0, 1)))
	must(t, err)
	for column, change := range map[string]func(e *shard.Event){
		"session": func(e *shard.Event) { e.Session[0]++ }, "user": func(e *shard.Event) { e.User[0]++ },
		"type": func(e *shard.Event) { e.Type += "x" }, "name": func(e *shard.Event) { e.Name += "x" },
		"properties": func(e *shard.Event) { e.Properties = `{}` }, "timestamp": func(e *shard.Event) { e.At++ },
		"device": func(e *shard.Event) { e.Device += "x" }, "browser": func(e *shard.Event) { e.Browser += "x" },
	} {
		from.Seq++
		other := event(0)
		change(&other)
		counts, err := b.Commit(t.Context(), batch(from, []shard.Event{other}))
		must(t, err)
		equal(t, "conflicts in "+column, counts, shard.Counts{Received: 1, DeadLetters: 1})
	}
}

func (b *bench) commitAll(t *testing.T, batches [][]shard.Event) (sum shard.Counts) {
	t.Helper()
	from := b.begin(t, 1)
	for _, in := range batches {
		counts, err := b.Commit(t.Context(), batch(from, in))
		must(t, err)
		sum = sum.Add(counts)
		from.Seq++
	}
	equal(t, "counts of the checkpoint", b.shard(t, 1).Counts, sum)
	return sum
}

func TestRowsThatTheTableRefuses(t *testing.T) {
	const trigger = `
create function refuse() returns trigger language plpgsql as $$
begin if new.name like 'bad%' then raise exception 'no bad names here'; end if; return new; end $$;
create trigger refuse `
	for name, setup := range map[string]string{
		"check constraint":   `alter table ingested_events add check (name not like 'bad%')`,
		"before trigger":     trigger + `before insert on ingested_events for each row execute function refuse()`,
		"after trigger":      trigger + `after insert on ingested_events for each row execute function refuse()`,
		"constraint trigger": strings.Replace(trigger, "create trigger", "create constraint trigger", 1) + `after insert on ingested_events for each row execute function refuse()`,
		"own SQLSTATE":       strings.Replace(trigger, "'no bad names here'", "'no' using errcode = 'SL042'", 1) + `before insert on ingested_events for each row execute function refuse()`,
		"borrowed SQLSTATE":  strings.Replace(trigger, "'no bad names here'", "'no' using errcode = 'insufficient_privilege'", 1) + `before insert on ingested_events for each row execute function refuse()`,
		"assertion":          strings.Replace(trigger, "raise exception 'no bad names here'", "assert false, 'no'", 1) + `before insert on ingested_events for each row execute function refuse()`,
		"deferred trigger":   strings.Replace(trigger, "create trigger", "create constraint trigger", 1) + `after insert on ingested_events deferrable initially deferred for each row execute function refuse()`,
		"deferred reference": `create table names (name text primary key); insert into names values ('good'); alter table ingested_events add foreign key (name) references names deferrable initially deferred`,
		"another unique key": `create unique index on ingested_events (left(name, 3)) where name like 'bad%'; insert into ingested_events (id, session_id, user_id, type, name, "timestamp", device_type, browser) values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 't', 'bad', now(), 'd', 'b')`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			in := events(0, 200)
			bad := map[int]bool{0: true, 100: true, 101: true, 199: true}
			for i := range in {
				in[i].Name = "good"
				if bad[i] {
					in[i].Name = "bad of the batch"
				}
			}
			_, err := b.pool.Exec(t.Context(), setup)
			must(t, err)
			counts := b.commitAll(t, [][]shard.Event{in})
			equal(t, "counts", counts, shard.Counts{Received: 200, Events: 196, DeadLetters: 4})
			equal(t, "dead letters", b.count(t, `select count(*) from dead_letters where reason = 'refused' and detail ~ 'SQLSTATE'`), 4)
			for i := range in {
				there := b.count(t, `select count(*) from ingested_events where id = $1`, in[i].ID) == 1
				equal(t, "event is there", there, !bad[i])
			}
			// Read once more, the batch is known as a whole.
			again := b.commitAgain(t, in)
			equal(t, "counts of a second reading", again, shard.Counts{Received: 200, Duplicates: 200})
			b.usable(t)
		})
	}
}

func (b *bench) commitAgain(t *testing.T, in []shard.Event) shard.Counts {
	t.Helper()
	counts, err := b.Commit(t.Context(), batch(b.begin(t, 1), in))
	must(t, err)
	return counts
}

func TestTextThatPostgreSQLCannotHold(t *testing.T) {
	b := newBench(t)
	in := events(0, 8)
	in[1].Name = "zero \x00 byte"
	in[2].Browser = "not UTF-8 \xff"
	in[3].Properties = `{"nul":"\u0000"}`
	in[4].Properties = `{"n":1e999999}`
	in[5].Properties = `not json`
	in[6].At = shard.Past
	in[7].Name = strings.Repeat("x", 101)
	counts := b.commitAll(t, [][]shard.Event{in})
	equal(t, "counts", counts, shard.Counts{Received: 8, Events: 1, DeadLetters: 7})
	b.usable(t)
}

func TestATableThatRefusesEverythingFailsTheCommit(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	_, err := b.pool.Exec(t.Context(), `alter table ingested_events add check (false)`)
	must(t, err)
	if _, err := b.Commit(t.Context(), batch(from, events(0, 2*maxRefused))); err == nil {
		t.Error("a batch of which nothing was stored was committed")
	}
	equal(t, "checkpoint", b.shard(t, 1), from)
	b.usable(t)
}

func TestATriggerThatSwallowsRowsFailsTheCommit(t *testing.T) {
	for name, twice := range map[string]bool{"straight": false, "salvage": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			from := b.begin(t, 1)
			in := events(0, 20)
			if twice {
				_, err := b.Commit(t.Context(), batch(from, in[:5]))
				must(t, err)
				from.Seq++
			}
			_, err := b.pool.Exec(t.Context(), `
create function swallow() returns trigger language plpgsql as $$ begin if new.name = 'event_10' then return null; end if; return new; end $$;
create trigger swallow before insert on ingested_events for each row execute function swallow()`)
			must(t, err)
			if _, err := b.Commit(t.Context(), batch(from, in)); err == nil || errors.Is(err, shard.ErrStale) {
				t.Errorf("got %v, want an error that names the lost row", err)
			}
			equal(t, "seq", b.shard(t, 1).Seq, from.Seq)
		})
	}
}

// A trigger that takes its time for each row would take longer for a whole batch than the server lets a statement take.
func TestASlowTriggerDividesTheBatch(t *testing.T) {
	for name, known := range map[string]int64{"copy": 0, "salvage": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			in := events(0, 40)
			if known > 0 {
				b.commitAgain(t, in[:known])
			}
			_, err := b.pool.Exec(t.Context(), `
create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return new; end $$;
create trigger dawdle before insert on ingested_events for each row execute function dawdle()`)
			must(t, err)
			b.everySession(t, `set statement_timeout = '500ms'`)
			counts := b.commitAgain(t, in)
			equal(t, "counts", counts, shard.Counts{Received: 40, Events: 40 - known, Duplicates: known})
		})
	}
}

// everySession executes a statement in all sessions that the pool may have.
func (b *bench) everySession(t *testing.T, sql string) {
	t.Helper()
	var conns []*pgxpool.Conn
	for range b.pool.Config().MaxConns {
		conn, err := b.pool.Acquire(t.Context())
		must(t, err)
		_, err = conn.Exec(t.Context(), sql)
		must(t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Release()
	}
}

// A column whose collation holds different texts for equal, as one that ignores case does: an event that differs is no duplicate.
func TestTextIsComparedByItsBytes(t *testing.T) {
	b := newBench(t)
	_, err := b.pool.Exec(t.Context(), `
create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
alter table ingested_events alter column name type varchar(100) collate any_case`)
	must(t, err)
	in := events(0, 3)
	b.commitAgain(t, in)
	in[1].Name = strings.ToUpper(in[1].Name)
	counts := b.commitAgain(t, in)
	equal(t, "counts", counts, shard.Counts{Received: 3, Duplicates: 2, DeadLetters: 1})
	id := b.count(t, `select id from dead_letters where reason = 'conflict'`)
	fates := b.fates(t, []ledger.Retry{{ID: id, Event: in[1]}}, false)
	equal(t, "conflicts of a replay", fates[ledger.Conflict], 1)
}
