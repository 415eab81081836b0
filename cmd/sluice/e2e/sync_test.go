package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// growing is a world whose API stands still at first, and then has gone on since an hour ago.
type growing struct {
	*world
	config apisim.Config
}

const history = 4_000

func newGrowing(t *testing.T) *growing {
	t.Helper()
	g := &growing{}
	begun := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	g.world = newWorld(t, history, func(c *apisim.Config) {
		c.Newest, c.Oldest, c.PageCap = begun, begun.Add(-30*24*time.Hour), 200
		g.config = *c
	})
	return g
}

// newGrown is one whose first load is done, and whose API has gone on.
func newGrown(t *testing.T, live apisim.Live) *growing {
	t.Helper()
	g := newGrowing(t)
	g.mustRun(cli.ExitOK, "run", "--shards=3")
	g.grow(live)
	return g
}

// grow lets the API have gone on.
func (g *growing) grow(live apisim.Live) {
	g.t.Helper()
	g.config.Live = live
	sim, err := apisim.New(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	g.sim = sim
	g.serves.Store(sim)
}

// exactUpTo checks count and hash of what lies before an instant, when nothing came there any more.
func (g *growing) exactUpTo(at time.Time) {
	g.t.Helper()
	at = at.Truncate(time.Millisecond)
	var got apisim.Sum
	g.query(apisim.TruthSQL, []any{nil, at}, &got.Rows, &got.Hash)
	if want := g.sim.Data().Truth(apisim.Past, at.UnixMicro()); got != want || want.Rows <= history {
		g.t.Errorf("before %s the table has %d rows with hash %s, the source %d with %s", at, got.Rows, got.Hash, want.Rows, want.Hash)
	}
}

// A gap is caught up by all fetchers, in windows of its own; `sluice run` stays complete, and `sluice verify` finds all well.
func TestSyncCatchesUp(t *testing.T) {
	t.Parallel()
	g := newGrown(t, apisim.Live{Rate: 2})
	began := time.Now()
	r := g.mustRun(cli.ExitOK, "sync", "--shards=4", "--json")
	g.exactUpTo(began)
	var said cli.Result
	if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || said.Round == nil || said.Round.Number != 2 || said.Round.New < 6_000 {
		t.Errorf("%v: %s", err, r.stdout)
	}
	if n := g.number(`select count(*) from ingestion_shards where round = 2 and parent_id is null`); n != 4 {
		t.Errorf("the gap was cut into %d windows, want 4", n)
	}
	before := g.pages()
	if r := g.mustRun(cli.ExitOK, "run"); g.pages() != before || !contains(r.stdout, "was complete and verified on") {
		t.Errorf("a run after the round asked for %d pages:\n%s", g.pages()-before, r.stdout)
	}
	g.mustRun(cli.ExitOK, "verify")
	behind := g.number(`select extract(epoch from $$` + began.UTC().Format(time.RFC3339Nano) + `$$::timestamptz - watermark)::bigint from ingestion_jobs`)
	lag := g.number(`select extract(epoch from started_at - candidate)::bigint from ingestion_rounds where round = 2`)
	if behind > 31 || lag < 29 { // the API's clock tells seconds
		t.Errorf("the watermark lies %d s behind the start, and %d s behind the round; want the safety lag of 30 s", behind, lag)
	}
	g.mustRun(cli.ExitOK, "sync", "--lookback=10s")
	if n := g.number(`select count(*) from ingestion_shards where round = 3 and parent_id is null`); n > 1 { // none if nothing came
		t.Errorf("what is new in a second was cut into %d windows", n)
	}
}

// Where nothing is new a round is one request, and leaves nothing behind.
func TestAnIdleRoundIsOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2_000, func(c *apisim.Config) { c.PageCap, c.CacheLife = 500, 30*time.Second })
	w.mustRun(cli.ExitOK, "run", "--shards=3")
	// Two rounds within half a second ask by the same words: what the API's cache answers does not count here.
	asked := func() int64 { return w.pages() - w.sim.Counts(apisim.List).Hits - w.sim.Counts(apisim.Feed).Hits }
	for range 3 {
		before := asked()
		w.mustRun(cli.ExitOK, "sync")
		if asked := asked() - before; asked != 1 {
			t.Errorf("an idle round took %d requests", asked)
		}
	}
	var rounds int
	w.query(`select count(*) from ingestion_rounds`, nil, &rounds)
	if rounds != 1 {
		t.Errorf("%d rounds were written down", rounds)
	}
	w.exact()
}

// A sync finishes a first load that was left, and then takes its round.
func TestSyncOfANewJobLoadsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4_000, nil)
	w.mustRun(cli.ExitOK, "sync", "--shards=3")
	w.exact()
	if n := w.number(`select count(*) from ingestion_jobs where watermark = (select max("timestamp") from ingested_events)`); n != 1 {
		t.Error("the watermark is not the newest event, where that is older than the safety lag")
	}
	w.mustRun(cli.ExitOK, "run")
}

// A round that ends in its middle moves no watermark. The next sync goes on with it, and takes its own after it, also where the
// one that was left finds too little.
func TestARoundThatIsCutShort(t *testing.T) {
	t.Parallel()
	g := newGrown(t, apisim.Live{Rate: 2})
	mark := g.number(`select extract(epoch from watermark)::bigint from ingestion_jobs`)
	for _, e := range []apisim.Endpoint{apisim.List, apisim.Feed} {
		g.sim.Script(e, append(slices.Repeat([]apisim.Fault{apisim.Behave()}, 4), slices.Repeat([]apisim.Fault{apisim.Limited(time.Hour)}, 50)...)...)
	}
	g.mustRun(cli.ExitLeft, "sync", "--shards=4")
	if now := g.number(`select extract(epoch from watermark)::bigint from ingestion_jobs`); now != mark {
		t.Errorf("the watermark moved by %d s in a round that is not done", now-mark)
	}
	if n := g.number(`select count(*) from ingestion_rounds where round = 2 and finished_at is null`); n != 1 {
		t.Fatal("the round was not begun")
	}
	g.mustRun(cli.ExitOK, "run") // of the first load alone
	g.grow(apisim.Live{Rate: 2})
	g.exec(`delete from api_quotas; update ingestion_rounds set api_total = api_total + 5 where round = 2`) // it will be in doubt
	began := time.Now()
	g.mustRun(cli.ExitOK, "sync", "--shards=2")
	if n := g.number(`select count(*) from ingestion_rounds where finished_at is not null`); n != 3 {
		t.Errorf("%d rounds are finished, want the first load, the one that was left, and the next", n)
	}
	g.exactUpTo(began)
	g.mustRun(cli.ExitOK, "verify")
}

// Rows that a later round stored are deleted: verify --repair opens their window, a run walks it, and rounds go on.
func TestRepairAfterRounds(t *testing.T) {
	t.Parallel()
	g := newGrown(t, apisim.Live{Rate: 2})
	g.mustRun(cli.ExitOK, "sync", "--shards=4")
	began := time.Now()
	g.exec(`delete from ingested_events where "timestamp" > now() - interval '40 minutes'`)
	g.mustRun(cli.ExitDoubt, "verify", "--repair")
	g.mustRun(cli.ExitOK, "run")
	g.mustRun(cli.ExitOK, "sync")
	g.exactUpTo(began)
	g.mustRun(cli.ExitOK, "verify")
}

// following runs a follow until the database says that it is far enough, and stops it with a signal.
func (g *growing) following(enough func() bool, args ...string) ran {
	g.t.Helper()
	ctx, stop := context.WithCancelCause(g.t.Context())
	ended := make(chan ran, 1)
	go func() {
		ended <- g.runContext(ctx, append([]string{"follow", "--every=1s", "--safety-lag=0s"}, args...)...)
	}()
	for !enough() {
		select {
		case r := <-ended:
			g.t.Fatalf("the follow ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		case <-time.After(50 * time.Millisecond): // between two looks at the database
		}
	}
	stop(&cli.SignalError{Signal: syscall.SIGTERM})
	return <-ended
}

// A follow takes a gap, what goes on, and what comes late; a backfill of the last 40 minutes goes on beside it. Nothing is lost
// and nothing is there twice, whoever stored it.
func TestFollowWithABackfillBesideIt(t *testing.T) {
	t.Parallel()
	live := apisim.Live{Rate: 10, LateShare: 0.5, LateBy: time.Second, LateMost: 2 * time.Second}
	g := newGrown(t, live)
	filled := make(chan ran, 1)
	go func() { filled <- g.run("backfill", "--from=-1h", "--to=-5m", "--shards=4") }()
	r := g.following(func() bool {
		return g.number(`select case when to_regclass('ingestion_rounds') is null then 0 else
			(select coalesce(sum(late_minute), 0) from ingestion_shards where job_id = 1)::bigint end`) > 20
	})
	if b := <-filled; b.code != cli.ExitOK {
		t.Errorf("the backfill ended with %d:\n%s%s", b.code, b.stdout, b.stderr)
	}
	if r.code != cli.ExitOK && r.code != cli.ExitLeft {
		t.Errorf("the follow ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	asked := time.Now()
	g.mustRun(cli.ExitOK, "sync")
	g.exactUpTo(asked.Add(-live.LateMost))
	if n := g.number(`select count(*) from ingestion_jobs where name like 'backfill-%' and watermark <= now()`); n != 1 {
		t.Errorf("%d backfills have a watermark of their own", n)
	}
	g.mustRun(cli.ExitOK, "verify")
}

// Events that came longer ago than half of the lookback are warned of.
func TestLateEventsNearTheEdgeAreWarnedOf(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	g.mustRun(cli.ExitOK, "run", "--shards=3")
	g.exec(`update ingestion_jobs set watermark = watermark + interval '20 minutes'`) // so that the first new events come late
	g.grow(apisim.Live{Rate: 1})
	r := g.mustRun(cli.ExitOK, "sync", "--lookback=30m")
	if !contains(r.stderr, "close to the edge of the lookback") {
		t.Errorf("no warning:\n%s", r.stderr)
	}
	if r := g.mustRun(cli.ExitOK, "sync", "--lookback=30m"); contains(r.stderr, "close to the edge") {
		t.Errorf("a warning without late events:\n%s", r.stderr)
	}
}

// A job from before there were rounds has no watermark: its next round begins where its newest window does.
func TestSyncOfAJobWithoutAWatermark(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	g.mustRun(cli.ExitOK, "run", "--shards=3")
	g.exec(`update ingestion_jobs set watermark = null; update ingestion_rounds set candidate = null, newest = null`)
	g.grow(apisim.Live{Rate: 1})
	began := time.Now()
	g.mustRun(cli.ExitOK, "sync")
	g.exactUpTo(began)
	if n := g.number(`select count(*) from ingestion_rounds r join ingestion_shards s on s.round = 1 and s.shard = 3 and s.window_start = r.span_start
		where r.round = 2`); n != 1 {
		t.Error("the round does not begin where the newest window of the first load does")
	}
}
