package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sluice/shard"
	"sluice/sink/pgtest"
)

// behind returns a bench whose commits go through a proxy, and the proxy.
func behind(t *testing.T) (*bench, *Postgres, *pgtest.Proxy) {
	t.Helper()
	b := newBench(t)
	proxy := pgtest.NewProxy(t, b.url)
	return b, open(t, proxy.URL()), proxy
}

func TestALineCutAtCommit(t *testing.T) {
	for name, at := range map[string]pgtest.Break{
		"before the COMMIT":         pgtest.BeforeCommit,
		"after it":                  pgtest.AfterCommit,
		"in the middle of the COPY": pgtest.InCopy,
	} {
		for path, conflicts := range map[string]int64{"straight": 0, "salvage": 1} {
			t.Run(name+", "+path, func(t *testing.T) {
				b, p, proxy := behind(t)
				from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
				must(t, err)
				in := events(0, 2000)
				if conflicts > 0 {
					in[7] = in[8]
					in[7].Name = "a twin"
				}
				proxy.Cut(at)
				counts, err := p.Commit(t.Context(), batch(from, in, reject(`{`, ""), reject(`{]`, "")))
				must(t, err)
				equal(t, "cuts", proxy.Cuts(), 1)
				equal(t, "new dead letters", counts.DeadLetters, 2+conflicts)
				after := b.shard(t, 1)
				equal(t, "seq", after.Seq, from.Seq+1)
				equal(t, "counts", counts, after.Counts)
				equal(t, "rows", b.count(t, `select count(*) from ingested_events`), counts.Events)
				since, _ := p.Waiting()
				equal(t, "waiting is over", since.IsZero(), true)
				for i := range 3 { // the pool still works
					from.Seq++
					_, err := p.Commit(t.Context(), batch(from, events(10_000+i*100, 100)))
					must(t, err)
				}
			})
		}
	}
}

// The transaction is still under way when the same batch is retried. A plain read of the row would show that it was not stored,
// and a second copy of its rows would be counted as duplicates.
func TestACommitThatLandsLate(t *testing.T) {
	b, p, proxy := behind(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	proxy.Cut(pgtest.LateCommit)
	var counts shard.Counts
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		counts, err = p.Commit(t.Context(), batch(from, events(0, 100)))
		over.Store(true)
	})
	b.await(t, &over, `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)
	proxy.Release()
	wg.Wait()
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 100})
	equal(t, "counts of the checkpoint", b.shard(t, 1).Counts, counts)
	equal(t, "seq", b.shard(t, 1).Seq, from.Seq+1)
}

// await polls until the result is not 0, or over is set.
func (b *bench) await(t *testing.T, over *atomic.Bool, sql string) {
	t.Helper()
	for !over.Load() && b.count(t, sql) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("waited in vain for", sql)
		}
	}
}

// The COMMIT was lost, and before it could be retried another run took the shard and went on with it.
func TestALostCommitThatAnotherRunOvertook(t *testing.T) {
	b, p, proxy := behind(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	proxy.CutAndStayDown(pgtest.BeforeCommit)
	var wg sync.WaitGroup
	wg.Go(func() { _, err = p.Commit(t.Context(), batch(from, events(0, 100))) })
	awaitOutage(t, p)
	hold(t, b.Postgres)
	_, theirs := b.Commit(t.Context(), batch(b.begin(t, 1), events(100, 50)))
	must(t, theirs)
	proxy.Up()
	wg.Wait()
	if !errors.Is(err, shard.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 50)
}

func awaitOutage(t *testing.T, p *Postgres) {
	t.Helper()
	for since, _ := p.Waiting(); since.IsZero(); since, _ = p.Waiting() {
		if t.Context().Err() != nil {
			t.Fatal("the outage does not show")
		}
	}
}

// A row held by a dead connection: a process that was stopped inside its transaction is subject to no timeout of the server. Both
// cases wait for lock_timeout, 5 s, so they run in parallel.
func TestADeadSessionThatHoldsTheRowIsEnded(t *testing.T) {
	for name, taken := range map[string]bool{"when the shard is begun": false, "when a batch is committed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c := b.shard(t, 1)
			if taken {
				c = b.begin(t, 1)
			}
			holdRow(t, open(t, b.url))
			if !taken {
				var err error
				c, err = b.Begin(t.Context(), c.ID)
				must(t, err)
			}
			_, err := b.Commit(t.Context(), batch(c, events(0, 10)))
			must(t, err)
			equal(t, "seq", b.shard(t, 1).Seq, c.Seq+1)
		})
	}
}

// TestADeadSessionIsEndedWhenTheJobIsTaken: it holds a row that the new run must claim.
func TestADeadSessionIsEndedWhenTheJobIsTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	holdRow(t, open(t, b.url))
	hold(t, b.Postgres)
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), events(0, 10)))
	must(t, err)
}

// holdRow updates the shards in a transaction that never ends, and stops inside a COPY.
func holdRow(t *testing.T, dead *Postgres) {
	t.Helper()
	conn, err := dead.pool.Acquire(t.Context())
	must(t, err)
	t.Cleanup(conn.Release)
	for _, sql := range []string{`begin`, `update ingestion_shards set seq = seq + 1`} {
		_, err = conn.Exec(t.Context(), sql)
		must(t, err)
	}
	pg := conn.Conn().PgConn()
	t.Cleanup(func() { pg.Conn().Close() })
	pg.Frontend().SendQuery(&pgproto3.Query{String: copyEvents})
	must(t, pg.Frontend().Flush())
}

func TestABackendKilledInTheMiddleOfACopy(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	_, err := b.pool.Exec(t.Context(), `
create sequence kills; -- counts on through a rollback
create function kill() returns trigger language plpgsql as $$
begin
  if new.name = 'event_500' and nextval('kills') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
  return new;
end $$;
create trigger kill before insert on ingested_events for each row execute function kill()`)
	must(t, err)
	counts, err := b.Commit(t.Context(), batch(from, events(0, 1000)))
	must(t, err)
	equal(t, "tries", b.count(t, `select last_value from kills`), 2)
	equal(t, "counts", counts, shard.Counts{Received: 1000, Events: 1000})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 1000)
	b.usable(t)
}

func TestTheServerIsStoppedAndStarted(t *testing.T) {
	server := pgtest.NewServer(t, pgtest.Options{Sync: true})
	b := newBenchAt(t, server.URL("postgres"))
	from := b.begin(t, 1)
	const batches = 30
	committed := make(chan int, batches)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(committed)
		for i := range batches {
			at := from
			at.Seq += int64(i)
			if _, err := b.Commit(t.Context(), batch(at, events(i*500, 500))); err != nil {
				t.Errorf("batch %d: %v", i, err)
				return
			}
			committed <- i
		}
	})
	for i := range committed {
		if i == 3 || i == 12 {
			must(t, server.Crash(t.Context()))
			must(t, server.Start(t.Context()))
		}
	}
	wg.Wait()
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), batches*500)
	equal(t, "counts", b.shard(t, 1).Counts, shard.Counts{Received: batches * 500, Events: batches * 500})
	b.usable(t)
}

func TestAnOutageIsSeenAndLoggedOnce(t *testing.T) {
	b, p, proxy := behind(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	proxy.Down()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := p.Commit(t.Context(), batch(from, events(0, 10)))
		if err != nil {
			t.Error(err)
		}
	})
	awaitOutage(t, p)
	proxy.Up()
	wg.Wait()
	since, fault := p.Waiting()
	equal(t, "still waiting", since.IsZero(), true)
	equal(t, "fault", fault, nil)
}

func TestAStopEndsTheWaitForTheDatabase(t *testing.T) {
	b, p, proxy := behind(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	proxy.Down()
	why := errors.New("stopped by signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, err = p.Commit(ctx, batch(from, events(0, 10))) })
	awaitOutage(t, p)
	cancel(why)
	wg.Wait()
	if !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	equal(t, "checkpoint", b.shard(t, 1).Seq, from.Seq)
}

func TestOverlappingBatchesDoNotDeadlock(t *testing.T) {
	b := newBench(t, threeWindows...)
	before := b.count(t, `select deadlocks from pg_stat_database where datname = current_database()`)
	in := events(0, 3000)
	var sum [3]shard.Counts
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			from := b.begin(t, n+1)
			for i := range 3 {
				part := append([]shard.Event(nil), in[i*1000:(i+1)*1000]...)
				counts, err := b.Commit(t.Context(), batch(from, part))
				if err != nil {
					t.Error(err)
					return
				}
				sum[n] = sum[n].Add(counts)
				from.Seq++
			}
		})
	}
	wg.Wait()
	total := sum[0].Add(sum[1]).Add(sum[2])
	equal(t, "counts", total, shard.Counts{Received: 9000, Events: 3000, Duplicates: 6000})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 3000)
	equal(t, "deadlocks", b.count(t, `select deadlocks from pg_stat_database where datname = current_database()`), before)
}

// A refused login passes, too, for a while: passwords are renewed.
func TestTransient(t *testing.T) {
	code := func(c string) error { return fmt.Errorf("copy: %w", &pgconn.PgError{Code: c}) }
	for _, err := range []error{
		code("57P01"), code("57P03"), code("53100"), code("53300"), code("40001"), code("40P01"), code("55P03"), code("57014"),
		code("25006"), code("08006"), code("28P01"), code("28000"), io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, fmt.Errorf("write: %w", syscall.EPIPE),
	} {
		if !transient(err) {
			t.Errorf("%v passes by itself", err)
		}
	}
	for _, err := range []error{
		code("23505"), code("22P02"), code("42P01"), code("42501"), code("3D000"), code("08P01"), code("57P04"),
		context.Canceled, errors.New("something new"),
	} {
		if transient(err) {
			t.Errorf("%v does not pass by itself", err)
		}
	}
}

func TestBackoff(t *testing.T) {
	for try := range 40 {
		wait := backoff(try)
		if wait < shortestWait/2 || wait > longestWait {
			t.Errorf("try %d waits %v", try, wait)
		}
	}
}

// Each of these faults happens once, in the middle of a COPY: the same batch is retried and stored once.
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
		want := map[string]int64{queryCanceled: 3}[code] // in two pieces
		equal(t, code+": tries", b.count(t, `select last_value from tries`), max(2, want))
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

// An operator locks the table for longer than our lock_timeout. That session is not one of our dead ones: the commit waits for it.
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

// Settings of the role or the database, which would make every commit fail, do not affect our sessions.
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
