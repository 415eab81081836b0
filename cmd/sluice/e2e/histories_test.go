package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

var (
	historyTime  = flag.Duration("histories", 8*time.Second, "for how long TestHistories draws histories, if -history-count is 0")
	historyCount = flag.Uint64("history-count", 0, "how many histories TestHistories draws: make histories N=5000")
	historyLong  = flag.Bool("history-long", false, "a history that fails tells all that its commands printed")
	historyFrom  = flag.Uint64("history-from", 1, "the first seed of TestHistories")
)

// TestHistories draws what virtual time cannot hold: SQL, locks and several processes. In each history, a small source that grows or forgets
// is loaded by the real program while an operator and the world do things in a random order: runs, syncs, follows, backfills,
// repairs, replays, kills, lost rows, lost ledger rows, rows of others, ended sessions, an API that fails. Whenever a command ends
// with 0, every event that the source showed must be in the table once, or in dead_letters. In the end the world is sane, and
// what is advised leads to exit code 0 within two steps.
func TestHistories(t *testing.T) {
	t.Parallel()
	prebuild(t)
	next := *historyFrom - 1
	var done atomic.Uint64
	for worker := range 3 {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			end := time.Now().Add(*historyTime) // a worker may have waited for minutes until it could run
			for !t.Failed() {
				seed := atomic.AddUint64(&next, 1)
				if *historyCount > 0 && seed >= *historyFrom+*historyCount || *historyCount == 0 && time.Now().After(end) {
					return
				}
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newStory(t, seed).play() })
				done.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		t.Logf("%d histories", done.Load())
		if done.Load() == 0 {
			t.Error("not one history was played")
		}
	})
}

// story is one source, one table, and what was done to them.
type story struct {
	*world
	seed    uint64
	rand    *rand.Rand
	trail   []string  // what was done, for the report of a failure
	created time.Time // start of the first command that can have written the job
	meddled bool      // rows were changed by hand while the command was at work: it may have looked before
}

func newStory(t *testing.T, seed uint64) *story {
	r := rand.New(rand.NewPCG(seed, 7))
	begun := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	h := &story{seed: seed, rand: r}
	h.world = newWorld(t, 300+r.Int64N(2_000), func(c *apisim.Config) {
		c.Seed, c.PageCap = seed, 20+r.IntN(200)
		c.Newest, c.Oldest = begun, begun.Add(-time.Duration(1+r.IntN(60))*24*time.Hour)
		c.Latency = apisim.Latency{Page: time.Duration(r.IntN(15)) * time.Millisecond, Scale: 1}
		if r.IntN(3) > 0 {
			c.Live = apisim.Live{Rate: 1 + 10*r.Float64()}
			if r.IntN(2) == 0 {
				c.Live.LateShare, c.Live.LateBy, c.Live.LateMost = 0.2, 300*time.Millisecond, 2*time.Second
			}
		}
		if r.IntN(5) == 0 {
			c.Live.Forget = []float64{0.2, 1, 5}[r.IntN(3)]
		}
		if r.IntN(3) == 0 {
			c.MalformedShare = 0.02
		}
		if r.IntN(4) == 0 {
			c.SkewShare = 0.5
		}
		if r.IntN(4) == 0 {
			c.Flat = true
		}
		if r.IntN(4) == 0 {
			c.Ties = []apisim.Tie{{Events: 1 + r.Int64N(150), At: begun.Add(-time.Duration(r.IntN(24)) * time.Hour)}}
		}
		if r.IntN(3) == 0 {
			c.Window = []apisim.Window{apisim.WindowBoth, apisim.WindowNone}[r.IntN(2)]
		}
		if r.IntN(4) == 0 {
			c.Faults = apisim.Faults{EarlyEnd: 0.03, CutBody: 0.03, ServerError: 0.03, ExpiredCursor: 0.03, Duplicate: 0.1}
		}
	})
	// Windows of a second, so that a refusal costs seconds.
	h.env["SLUICE_LIST_LIMIT"], h.env["SLUICE_STREAM_LIMIT"] = "10000/1s", "10000/1s"
	return h
}

// note adds a step to the trail.
func (h *story) note(format string, args ...any) {
	h.trail = append(h.trail, fmt.Sprintf(format, args...))
}

func (h *story) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\nagain: go test ./cmd/sluice/e2e -run TestHistories -history-from=%d -history-count=1\nsource: %s\n  %s",
		fmt.Sprintf(format, args...), h.seed, h.sim.Config().Source(), strings.Join(h.trail, "\n  "))
}

// play draws and does some things, and then lets the operator follow the advice until all is well.
func (h *story) play() {
	defer h.keep()()
	h.command(h.draw(), nil)
	for range 2 + h.rand.IntN(7) {
		h.step()
	}
	h.settle()
}

func (h *story) step() {
	switch n := h.rand.IntN(20); {
	case n < 8:
		h.command(h.draw(), nil)
	case n < 11:
		h.interrupted(syscall.SIGKILL)
	case n < 12:
		h.interrupted(syscall.SIGTERM)
	case n < 14:
		h.together()
	case n < 15:
		h.badMinute()
	default:
		h.byHand()
	}
}

// draw returns one of the commands that an operator gives.
func (h *story) draw() []string {
	size := []string{fmt.Sprintf("--shards=%d", 1+h.rand.IntN(6)), fmt.Sprintf("--fetchers=%d", 1+h.rand.IntN(6)), "--max-dead-letters=100000"}
	all := [][]string{
		append([]string{"run"}, size...), append([]string{"run"}, size...), append([]string{"run"}, size...),
		append([]string{"sync", "--safety-lag=0s"}, size...), append([]string{"sync", "--safety-lag=0s"}, size...),
		append([]string{"backfill", "--again"}, size...), {"verify"}, {"verify", "--repair"}, {"dead-letters", "replay"},
	}
	return all[h.rand.IntN(len(all))]
}

// command gives a command and checks what its end claims. meanwhile, if it is not nil, is done while it is at work.
func (h *story) command(args []string, meanwhile func(*process)) ran {
	h.t.Helper()
	began := time.Now()
	if h.created.IsZero() && slices.Contains([]string{"run", "sync", "backfill", "follow"}, args[0]) {
		h.created = began
	}
	if args[0] == "backfill" && !h.verified() {
		began = h.created // what was left is finished, and nothing is read once more
	}
	p := h.start(args...)
	if meanwhile != nil {
		meanwhile(p)
	}
	select {
	case <-p.exited:
	case <-time.After(90 * time.Second):
		h.fail("%v did not end:\n%s", args, p.out.String())
	}
	code := p.ProcessState.ExitCode()
	h.note("%s: %d", strings.Join(args, " "), code)
	h.judge(args, began, code, p.out.String())
	if *historyLong {
		h.note("%s", p.out.String())
	}
	return ran{code: code, stdout: p.out.String()}
}

// judge holds a command to the promise of exit code 0, and to exit codes that its end can have.
func (h *story) judge(args []string, began time.Time, code int, out string) {
	h.t.Helper()
	switch {
	case code == cli.ExitUnexpected:
		h.fail("%v ended with %d:\n%s", args, code, out)
	case code != cli.ExitOK, h.created.IsZero(), h.meddled:
		return
	}
	switch args[0] {
	case "run", "verify":
		h.holds(args, h.created, out)
	case "sync":
		h.holds(args, began, out)
	case "backfill":
		h.holds(args, began, out)
	}
}

// holds checks that everything that the source showed at an instant is there: once in the table, or in dead_letters.
func (h *story) holds(args []string, at time.Time, out string) {
	h.t.Helper()
	rows, letters := h.tables()
	data, missing := h.sim.Data(), []string{}
	first, end := data.At(time.Now()).Serials() // what is deleted by now may never have been read
	for serial := first; serial < end; serial++ {
		e := data.Event(serial)
		if !time.UnixMilli(e.ArrivesMS).Before(at) || !time.UnixMilli(e.OrderMS).Before(at) {
			continue
		}
		if raw := data.MalformedRecord(serial); raw != nil {
			if !letters[sha256.Sum256(raw)] {
				missing = append(missing, fmt.Sprintf("malformed record %d", serial))
			}
		} else if n := rows[e.ID]; n != 1 {
			missing = append(missing, fmt.Sprintf("event %s of %s is there %d times", e.ID, time.UnixMilli(e.AtMS).UTC().Format(time.RFC3339Nano), n))
		}
	}
	if len(missing) > 0 {
		h.fail("%v ended with 0, and of what the source showed %d records are not as they should be, such as %s\n%s", args, len(missing), missing[0], out)
	}
}

// tables returns how often each id is in the table, and the hashes of all dead letters.
func (h *story) tables() (rows map[uuid.UUID]int, letters map[[32]byte]bool) {
	h.t.Helper()
	ctx := context.Background()
	rows, letters = map[uuid.UUID]int{}, map[[32]byte]bool{}
	ids, _ := h.kept.Query(ctx, `select id from ingested_events`)
	all, err := pgx.CollectRows(ids, pgx.RowTo[uuid.UUID])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, id := range all {
		rows[id]++
	}
	sums, _ := h.kept.Query(ctx, `select sha256 from dead_letters`)
	hashes, err := pgx.CollectRows(sums, pgx.RowTo[[]byte])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, sum := range hashes {
		letters[[32]byte(sum)] = true
	}
	return rows, letters
}

// interrupted gives a command and sends it a signal in the middle of its pages.
func (h *story) interrupted(signal syscall.Signal) {
	args := h.draw()
	if h.rand.IntN(4) == 0 {
		args = []string{"follow", "--every=1s", "--safety-lag=0s", "--shards=2"}
	}
	pages := h.pages() + 1 + h.rand.Int64N(20)
	h.command(args, func(p *process) {
		for end := time.Now().Add(2 * time.Second); h.pages() < pages && time.Now().Before(end); {
			select {
			case <-p.exited:
				return
			case <-time.After(time.Millisecond):
			}
		}
		h.note("%s to", signal)
		_ = p.Process.Signal(signal)
	})
}

// together gives two commands at once. Whichever ends first may find that the other one holds the job.
func (h *story) together() {
	one, two := h.draw(), h.draw()
	h.note("at once:")
	h.command(one, func(*process) {
		time.Sleep(time.Duration(h.rand.IntN(200)) * time.Millisecond)
		h.command(two, nil)
	})
}

// badMinute gives a command while the API fails.
func (h *story) badMinute() {
	n, every := h.rand.IntN(30), 1+h.rand.IntN(3)
	status := []int{400, 401, 403, 404, 408, 409, 410, 413, 422, 425, 451, 500, 502, 503, 504}[h.rand.IntN(15)]
	faults := []struct {
		name  string
		fault apisim.Fault
	}{
		{fmt.Sprint("status ", status), apisim.Status(status)}, {"null", apisim.NullBody()}, {"a cut body", apisim.CutBody(0.5)},
		{"an early end", apisim.EarlyEnd()}, {"HTML", apisim.HTML()}, {"no answer", apisim.Drop()}, {"429", apisim.Limited(time.Second)},
		{"a dead token", apisim.RevokedToken()}, {"a dead cursor", apisim.ExpiredCursor()},
	}
	fault := faults[h.rand.IntN(len(faults))]
	switch fault.name {
	case "429":
		n = min(n, 4) // each of them doubles the pause
	case "a dead cursor":
		n = min(n, 4) // to a question without a cursor it is an API out of order, which each shard waits out longer and longer
	}
	endpoints := []apisim.Endpoint{apisim.List, apisim.Feed}
	if fault.name == "an early end" {
		n, endpoints = every+1, endpoints[:1] // a lie that is repeated is believed, if there is no total
	}
	h.note("the API fails with %s in %d of %d requests:", fault.name, n/every, n)
	for _, e := range endpoints {
		var asked atomic.Int64
		h.sim.Control(e, func(*http.Request) apisim.Fault {
			if k := int(asked.Add(1)); k < n && k%every == 0 {
				return fault.fault
			}
			return apisim.Behave()
		})
		defer h.sim.Control(e, nil)
	}
	h.command(h.draw(), nil)
}

// byHand changes the tables with SQL, as an operator might.
func (h *story) byHand() {
	h.t.Helper()
	acts := []struct{ name, sql string }{
		{"lose some rows", fmt.Sprintf(`delete from ingested_events where abs(hashtext(id::text)) %% 100 < %d`, 1+h.rand.IntN(40))},
		{"lose the rows of a time", fmt.Sprintf(`delete from ingested_events where "timestamp" > (
			select min("timestamp") + %f * (max("timestamp") - min("timestamp")) from ingested_events) and abs(hashtext(id::text)) %% 3 > 0`, h.rand.Float64())},
		{"lose the oldest rows", fmt.Sprintf(`delete from ingested_events where id in (select id from ingested_events order by "timestamp" limit %d)`, 1+h.rand.IntN(100))},
		{"truncate", `truncate ingested_events`},
		{"build the key anew", `do $$ declare k text; begin
			select conname into k from pg_constraint where conrelid = 'ingested_events'::regclass and contype = 'p';
			execute format('alter table ingested_events drop constraint %I', k); alter table ingested_events add primary key (id); end $$`},
		{"rewrite the table", `vacuum full ingested_events`},
		{"insert a row", fmt.Sprintf(`insert into ingested_events (id, session_id, user_id, type, name, "timestamp", device_type, browser)
			select '%s', gen_random_uuid(), gen_random_uuid(), 'x', 'x', min("timestamp") + %f * (max("timestamp") - min("timestamp")), 'x', 'x'
			from ingested_events having count(*) > 0`, uuid.NewSHA1(uuid.Nil, fmt.Append(nil, h.rand.Int())), h.rand.Float64())},
		{"lose a shard", fmt.Sprintf(deleteShards, h.rand.IntN(2), h.rand.IntN(3))},
		{"lose the shards of a round", fmt.Sprintf(deleteShards, h.rand.IntN(2), 0)},
		{"end all sessions", `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'sluice/%' and datname = current_database()`},
		{"reset the statistics", `select pg_stat_reset()`},
	}
	act := acts[h.rand.IntN(len(acts))]
	h.note("by hand: %s", act.name)
	if !h.there() {
		return
	}
	if h.rand.IntN(3) == 0 && act.name != "rewrite the table" {
		h.command(h.draw(), func(*process) {
			time.Sleep(time.Duration(h.rand.IntN(150)) * time.Millisecond)
			h.meddled = true
			h.try(act.sql)
		})
		h.meddled = false
		return
	}
	h.try(act.sql)
}

// deleteShards deletes one shard in so many of the last or of the first round. None is deleted to which a dead letter or a piece belongs:
// the keys of the tables keep those.
const deleteShards = `
with recursive kept as (
  select s.id, s.parent_id from ingestion_shards s where exists (select from dead_letters d where d.shard_id = s.id)
    or (s.round = (select case %[1]d when 0 then 1 else max(round) end from ingestion_rounds)) is not true
    or %[2]d > 0 and abs(hashtext(s.window_start::text)) %% 3 <> %[2]d
  union select p.id, p.parent_id from ingestion_shards p join kept k on k.parent_id = p.id
)
delete from ingestion_shards where id not in (select id from kept)`

// try runs a statement, which may meet a deadlock or what another accident has left. It has a session of its own, because the
// server counts what a session did for sure only when it ends.
func (h *story) try(sql string) {
	conn := h.connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		h.note("that failed: %v", err)
	}
}

// verified reports whether the first load is.
func (h *story) verified() bool {
	return h.there() && h.number(`select count(*) from ingestion_jobs where verified_at is not null`) > 0
}

// there reports whether the tables are.
func (h *story) there() bool {
	return h.number(`select count(*) from pg_class where relname in ('ingested_events', 'dead_letters') and relkind = 'r'`) == 2
}

// settle follows the advice until all is well. Nothing goes wrong any more.
func (h *story) settle() {
	h.t.Helper()
	h.created = cmp.Or(h.created, time.Now())
	h.note("the world is sane:")
	h.heal([]string{"run"})
	h.heal([]string{"sync", "--safety-lag=0s"})
	h.heal([]string{"verify"})
	h.heal([]string{"run"})
}

// heal gives a command, and then follows the advice of each end: exit code 0 comes within two pieces of advice.
func (h *story) heal(args []string) {
	h.t.Helper()
	todo := [][]string{args}
	for range 3 {
		var r ran
		for _, now := range todo {
			r = h.command(now, nil)
		}
		if r.code == cli.ExitOK {
			return
		}
		if todo = h.advice(todo[len(todo)-1], r); len(todo) == 0 {
			h.fail("what is advised cannot be done:\n%s", r.stdout)
		}
	}
	h.fail("the advice for %v does not lead to exit code 0 within two steps", args)
}

// advice returns the commands that the end of a command advises.
func (h *story) advice(given []string, r ran) (commands [][]string) {
	lines := splitLines(r.stdout)
	last := lines[len(lines)-1]
	for _, line := range lines {
		if contains(line, "exit code ") {
			last = line
		}
	}
	if commands = advised(last); len(commands) == 0 && contains(last, "same command") {
		commands = [][]string{given}
	}
	h.note("advised: %s", last)
	return commands
}
