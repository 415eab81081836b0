package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// crashWorld is a world for accidents: its API has malformed records, ties and pages with duplicates, its table has rows from
// before the job, some with other content, and its database writes down every step of every checkpoint.
type crashWorld struct {
	*world
	rand    *rand.Rand
	args    []string
	runs    []crashRun
	windows []crashWindow
	direct  string // the database without a proxy before it
	proxy   *pgtest.Proxy
	done    bool  // the last run was complete
	most    int64 // records that a run fetched for a shard and did not commit
}

// crashRun is one start of the program, and what the ledger said then.
type crashRun struct {
	began    time.Time
	received map[int]int64 // by shard; none: there was no job yet
}

// The size of a world for accidents. A page is more than one part of a COPY.
const (
	crashEvents   = 24_000
	crashPage     = 480
	crashShards   = 3
	crashFetchers = 6 // more than shards, so that windows are split
	crashQueue    = 1
)

func newCrashWorld(t *testing.T, seed uint64, change func(*apisim.Config)) *crashWorld {
	t.Helper()
	return newCrashWorldIn(t, seed, "", change)
}

// newCrashWorldIn is newCrashWorld in a database that is there already.
func newCrashWorldIn(t *testing.T, seed uint64, database string, change func(*apisim.Config)) *crashWorld {
	t.Helper()
	w := newWorld(t, crashEvents, func(c *apisim.Config) {
		c.Seed, c.PageCap, c.MalformedShare, c.Faults.Duplicate = 1+seed, crashPage, 0.01, 0.1
		c.Faults.ExpiredCursor = 0.1 // then reading goes on by timestamp, and meets records again
		c.Ties = []apisim.Tie{{Events: 400, At: middle}, {Events: 300, At: middle.Add(-6 * 24 * time.Hour)}}
		c.Latency = apisim.Latency{Page: 2 * time.Millisecond, Jitter: 2 * time.Millisecond, Scale: 1}
		if change != nil {
			change(c)
		}
	})
	w.env["SLUICE_SOURCE"] = "https://crash.example" // a demo would not mix with rows that are there
	w.env[cli.EnvDatabase] = cmp.Or(database, w.env[cli.EnvDatabase])
	c := &crashWorld{world: w, direct: w.env[cli.EnvDatabase], rand: rand.New(rand.NewPCG(seed, 1)), args: []string{
		"run", fmt.Sprintf("--shards=%d", crashShards), fmt.Sprintf("--fetchers=%d", crashFetchers),
		fmt.Sprintf("--queue-pages=%d", crashQueue),
		fmt.Sprintf("--batch-rows=%d", crashPage), "--max-dead-letters=1000000", "--log-level=debug",
	}}
	c.exec(crashTables)
	c.expect()
	return c
}

const crashTables = `
create schema crash;
create table crash.expected (
  serial bigint primary key, id uuid unique, session_id uuid, user_id uuid, type text, name text, at timestamptz, device_type text,
  browser text, raw bytea, before boolean, alien boolean
);
create table crash.owners (n bigint generated always as identity, shard_id bigint, run_id uuid);
create table crash.audit (
  n bigint generated always as identity, xid text default pg_current_xact_id()::text, at timestamptz default now(),
  writer text default current_setting('application_name'), shard_id bigint, seq bigint, resume_at timestamptz, resume_id uuid, state text,
  received bigint, events bigint, dead_letters bigint, run_id uuid
)`

// expect fills the table of what must be there in the end, and of what is there before.
func (c *crashWorld) expect() {
	c.t.Helper()
	data := c.sim.Data()
	var rows [][]any
	for serial := range data.Events() {
		e, raw := data.Event(serial), data.MalformedRecord(serial)
		before := raw == nil && serial/crashPage%5 == 0 && serial%7 == 0
		rows = append(rows, []any{serial, e.ID, e.Session, e.User, e.Type, e.Name, time.UnixMilli(e.AtMS).UTC(), e.Device, e.Browser,
			raw, before, before && serial%21 == 0})
	}
	c.ask(func(conn *pgx.Conn) error {
		_, err := conn.CopyFrom(context.Background(), pgx.Identifier{"crash", "expected"}, []string{"serial", "id", "session_id",
			"user_id", "type", "name", "at", "device_type", "browser", "raw", "before", "alien"}, pgx.CopyFromRows(rows))
		return err
	})
	c.exec(`analyze crash.expected`)
}

// watch makes the database write down the steps of the checkpoints from here on, as soon as it has the tables for it. It must
// have them before there is a job, and the test its own.
func (c *crashWorld) watch() {
	c.t.Helper()
	var tables, watched bool
	c.query(`select to_regclass('public.ingestion_shards') is not null and to_regclass('crash.audit') is not null,
		to_regproc('crash.note') is not null`, nil, &tables, &watched)
	if tables && !watched {
		c.exec(crashTrigger)
	}
}

const crashTrigger = `
insert into ingested_events (id, session_id, user_id, type, name, properties, "timestamp", device_type, browser)
select id, session_id, user_id, type, case when alien then 'alien' else name end, '{"page": "/home"}', at, device_type, browser
from crash.expected where before;
create function crash.note() returns trigger language plpgsql as $$
begin
  if new.run_id is distinct from old.run_id then
    insert into crash.owners (shard_id, run_id) values (new.id, new.run_id);
  end if;
  if new.seq <> old.seq then
    insert into crash.audit (shard_id, seq, resume_at, resume_id, state, received, events, dead_letters, run_id)
    values (new.id, new.seq, new.resume_at, new.resume_id, new.state, new.received, new.events, new.dead_letters, new.run_id);
  else
    update crash.audit a set received = new.received, events = new.events, dead_letters = new.dead_letters
    where a.shard_id = new.id and a.seq = new.seq and a.xid = pg_current_xact_id()::text;
  end if;
  return null;
end $$;
create trigger note after update on ingestion_shards for each row execute function crash.note()`

// launch starts the program with fail points, such as "copy.part:kill@3".
func (c *crashWorld) launch(fuses string) *process {
	c.t.Helper()
	c.watch()
	c.runs = append(c.runs, crashRun{time.Now(), c.receivedByShard()})
	return c.startBuilt(crashBinary, []string{"SLUICE_FAILPOINTS=" + fuses}, c.args...)
}

// killed runs the program and returns whether it was killed at the point. If not, it must have ended with one of the codes.
func (c *crashWorld) killed(point, fuses string, codes ...int) bool {
	c.t.Helper()
	p := c.launch(fuses)
	code := p.code(c.t, time.Minute)
	c.done = code == cli.ExitOK
	if p.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return contains(p.out.String(), "fail point "+point+"\n")
	}
	if !slices.Contains(codes, code) {
		c.t.Errorf("with %s the exit code is %d, expected %v:\n%s", fuses, code, codes, p.out.String())
	}
	return false
}

// cut breaks the line to the database once, at the next occasion; None leads past the proxy again.
func (c *crashWorld) cut(at pgtest.Break) {
	c.t.Helper()
	if c.env[cli.EnvDatabase] = c.direct; at == pgtest.None {
		return
	}
	if c.proxy == nil {
		c.proxy = pgtest.NewProxy(c.t, c.direct)
	}
	c.proxy.Cut(at)
	c.env[cli.EnvDatabase] = c.proxy.URL()
}

// begin leads a new job to where it has its tables, and nothing else.
func (c *crashWorld) begin() *crashWorld {
	c.t.Helper()
	if !c.killed("migration.done", "migration.done:kill") {
		c.t.Fatal("the first run was not killed after the migration")
	}
	return c
}

// end checks a job that is to be complete.
func (c *crashWorld) end() {
	c.t.Helper()
	c.cut(pgtest.None)
	c.finish()
	crashes.waste(c.most)
}

func (c *crashWorld) receivedByShard() map[int]int64 {
	c.t.Helper()
	var tables bool
	if c.query(`select to_regclass('public.ingestion_shards') is not null`, nil, &tables); !tables {
		return nil
	}
	received := map[int]int64{}
	var shard int
	var n int64
	c.ask(func(conn *pgx.Conn) error {
		rows, _ := conn.Query(context.Background(), `select shard, received from ingestion_shards`)
		_, err := pgx.ForEachRow(rows, []any{&shard, &n}, func() error { received[shard] = n; return nil })
		return err
	})
	return received
}
