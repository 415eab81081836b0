package sink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/shard"
)

// Each of these comes once, in the middle of a COPY: the same batch goes in again, once.
func TestFaultsOfTheServerThatPass(t *testing.T) {
	b := newBench(t)
	_, err := b.pool.Exec(t.Context(), `
create table raised (code text);
create sequence tries; -- counts on through a rollback
create function raise() returns trigger language plpgsql as $$
declare c text;
begin
  select code into c from raised;
  if nextval('tries') = 1 then raise 'this passes' using errcode = c; end if;
  return null;
end $$;
create trigger raise after insert on ingested_events for each statement execute function raise();
insert into raised values ('')`)
	must(t, err)
	from := b.begin(t, 1)
	for i, code := range []string{"40001", "40P01", "53200", "53300", "57014", "58030", "25006", "25P04", "57P01"} {
		_, err := b.pool.Exec(t.Context(), `update raised set code = $1`, code)
		must(t, err)
		_, err = b.pool.Exec(t.Context(), `alter sequence tries restart`)
		must(t, err)
		counts, err := b.Commit(t.Context(), batch(from, events(i*100, 100)))
		must(t, err)
		equal(t, code+": counts", counts, shard.Counts{Received: 100, Events: 100})
		equal(t, code+": tries", b.count(t, `select last_value from tries`), 2)
		equal(t, code+": rows", b.count(t, `select count(*) from ingested_events`), int64(i+1)*100)
		from.Seq++
	}
	b.usable(t)
}

// An operator's transaction and a commit wait for each other, and the server ends ours.
func TestADeadlockWithAnOperatorIsGotOver(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := events(0, 100)
	admin := b.session(t)
	run := func(sql string) {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	run(`set deadlock_timeout = '1min'; begin`)
	run(fmt.Sprintf(`insert into ingested_events values ('%s', gen_random_uuid(), gen_random_uuid(), '', '', '{}', now(), '', '')`, in[50].ID))
	var counts shard.Counts
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { counts, err = b.Commit(t.Context(), batch(from, in)) })
	b.await(t, new(atomic.Bool), `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)
	run(`update ingestion_shards set updated_at = now()`) // ours has it, until it is ended
	run(`rollback`)
	wg.Wait()
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 100})
	if seen := b.outage.kinds; !seen["40P01"] && !seen[lockNotAvailable] { // the latter where the machine is too slow for a deadlock
		t.Errorf("the commit was not disturbed: %v", seen)
	}
}

func (b *bench) session(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// An operator locks the table for longer than our lock_timeout. He is not one of our dead sessions: he is waited for.
func TestAnOperatorsLockIsWaitedOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	from := b.begin(t, 1)
	admin := b.session(t)
	_, err := admin.Exec(t.Context(), `begin; lock table ingested_events in access exclusive mode`)
	must(t, err)
	var counts shard.Counts
	var wg sync.WaitGroup
	wg.Go(func() { counts, err = b.Commit(t.Context(), batch(from, events(0, 100))) })
	awaitOutage(t, b.Postgres)
	if _, fault := b.Waiting(); !hasCode(fault, lockNotAvailable) {
		t.Errorf("waits for %v, want a lock timeout", fault)
	}
	_, alive := admin.Exec(t.Context(), `commit`)
	must(t, alive)
	wg.Wait()
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 100})
}

// What an operator has set for the role or the database does not reach our sessions, where it would make every commit fail.
func TestOurSessionsSettingsWinOverTheDatabases(t *testing.T) {
	b := newBench(t)
	_, err := b.pool.Exec(t.Context(), `
create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.2); return null; end $$;
create trigger slowly after insert on ingested_events for each statement execute function slowly();
create schema elsewhere`)
	must(t, err)
	for _, setting := range []string{`statement_timeout = '50ms'`, `lock_timeout = '50ms'`, `idle_in_transaction_session_timeout = '50ms'`,
		`search_path = elsewhere`, `client_encoding = 'LATIN1'`, `timezone = 'Pacific/Apia'`, `default_transaction_isolation = 'serializable'`,
		`datestyle = 'German'`, `intervalstyle = 'iso_8601'`, `bytea_output = 'escape'`, `standard_conforming_strings = off`} {
		_, err := b.pool.Exec(t.Context(), `do $$ begin execute format('alter database %I set `+quoted(setting)+`', current_database()); end $$`)
		must(t, err)
	}
	p := open(t, b.url)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	in := events(0, 100)
	in[3].Name = "день"
	in[7], in[8].ID = in[9], in[9].ID // a twin and a conflict, for the staging table
	counts, err := p.Commit(t.Context(), batch(from, in))
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 98, Duplicates: 1, DeadLetters: 1})
	since, fault := p.Waiting()
	equal(t, fmt.Sprint("waits, for ", fault), since.IsZero(), true)
	equal(t, "text", b.count(t, `select count(*) from ingested_events where name = 'день'`), 1)
	equal(t, "instants", b.count(t, `select count(*) from ingested_events where "timestamp" = $1`, timestamptz(in[0].At)), 1)
	must(t, p.pool.Ping(t.Context()))
}

func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }
