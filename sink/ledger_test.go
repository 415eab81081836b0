package sink

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

var threeWindows = []shard.Window{
	{Start: shard.Past, End: 1000}, {Start: 1000, End: 2000}, {Start: 2000, End: shard.Future},
}

func TestAJobIsReadAsItWasWritten(t *testing.T) {
	b := newBench(t, threeWindows...)
	must(t, b.SetCapabilities(t.Context(), b.job.ID, json.RawMessage(`{"until": true}`)))
	must(t, b.SetSource(t.Context(), b.job.ID, "moved"))
	must(t, b.SetVerdict(t.Context(), b.job.ID, "all there", true))
	job, found, err := b.Job(t.Context(), "test")
	must(t, err)
	equal(t, "found", found, true)
	equal(t, "span", job.Span, shard.Window{Start: shard.Past, End: shard.Future})
	equal(t, "shards", job.Shards, 3)
	equal(t, "capabilities", string(job.Capabilities), `{"until": true}`)
	equal(t, "source", job.Source, "moved")
	equal(t, "verdict", job.Verdict, "all there")
	equal(t, "verified", time.Since(job.VerifiedAt) < time.Hour, true)
	must(t, b.SetVerdict(t.Context(), b.job.ID, "short", false))
	job, _, err = b.Job(t.Context(), "test")
	must(t, err)
	equal(t, "verified", job.VerifiedAt.IsZero(), true)

	all, err := b.Shards(b.job.ID, 0).Load(t.Context())
	must(t, err)
	for i, c := range all {
		equal(t, "shard", c.Shard, i+1)
		equal(t, "window", c.Window, threeWindows[i])
		equal(t, "state", c.State, shard.Pending)
	}
	if _, err := b.CreateJob(t.Context(), *job, threeWindows); err == nil {
		t.Error("a second job of the same name was made")
	}
	if err := b.SetSource(t.Context(), 4711, "x"); err == nil {
		t.Error("set the source of a job that is not there")
	}
}

func TestNoJob(t *testing.T) {
	b := newBench(t)
	_, found, err := b.Job(t.Context(), "other")
	must(t, err)
	equal(t, "found", found, false)
}

func TestFailLeavesARowOfAnotherRunAlone(t *testing.T) {
	b := newBench(t)
	c := b.begin(t, 1)
	must(t, b.Fail(t.Context(), c.ID, shard.Pending, "the API is away"))
	equal(t, "state", b.shard(t, 1).State, shard.Pending)
	equal(t, "last error", b.shard(t, 1).LastError, "the API is away")
	other := open(t, b.url)
	hold(t, other)
	_, err := other.Begin(t.Context(), c.ID)
	must(t, err)
	must(t, b.Fail(t.Context(), c.ID, shard.Failed, "poison"))
	equal(t, "state", b.shard(t, 1).State, shard.Running)
	equal(t, "attempts", b.shard(t, 1).Attempts, 2)
}

func TestReopenWalksTheWindowOnceMore(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 10))
	in.Proof = shard.ProofConfirmed
	counts, err := b.Commit(t.Context(), in)
	must(t, err)
	must(t, b.Reopen(t.Context(), []ledger.Reopening{{ID: from.ID}}))
	c := b.begin(t, 1)
	equal(t, "proof", c.Proof, "")
	equal(t, "place", c.Position(), shard.Position{End: shard.Future})
	equal(t, "counts stay", c.Counts, counts)
	from.Seq++
	if _, err := b.Commit(t.Context(), batch(from, events(10, 10))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("a commit that goes on from before: %v", err)
	}
}

// TestAWindowThatAnEarlierRunFinishedIsReopened: it was that run's, and nobody claims what is done.
func TestAWindowThatAnEarlierRunFinishedIsReopened(t *testing.T) {
	b := newBench(t)
	in := batch(b.begin(t, 1), events(0, 10))
	in.Proof = shard.ProofConfirmed
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	later := open(t, b.url)
	hold(t, later)
	must(t, later.Reopen(t.Context(), []ledger.Reopening{{ID: in.From.ID}}))
	_, err = later.Begin(t.Context(), in.From.ID)
	must(t, err)
}

// TestRowsThatVanishedAreStoredASecondTime: the ledger must not count them twice.
func TestRowsThatVanishedAreStoredASecondTime(t *testing.T) {
	b := newBench(t)
	from := b.begin(t, 1)
	in := batch(from, events(0, 10))
	in.Proof = shard.ProofConfirmed
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `delete from ingested_events where id in (select id from ingested_events limit 3)`)
	must(t, err)
	must(t, b.Reopen(t.Context(), []ledger.Reopening{{ID: from.ID, Gone: 3}}))
	again := batch(b.begin(t, 1), events(0, 10))
	_, err = b.Commit(t.Context(), again)
	must(t, err)
	counts := b.shard(t, 1).Counts
	equal(t, "events", counts.Events, 10)
	equal(t, "duplicates", counts.Duplicates, 7)
	equal(t, "received", counts.Received, 17)
}

func TestOneRunHoldsAJob(t *testing.T) {
	b := newBench(t)
	lock, err := b.Lock(t.Context())
	must(t, err)
	other := open(t, b.url)
	busy := &jobLock{p: other}
	var locked *ledger.LockedError
	if err := busy.take(t.Context()); !errors.Is(err, ledger.ErrLocked) || !errors.As(err, &locked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	equal(t, "holder", locked.Application, b.name())
	lock.Close(t.Context())
	second, err := other.Lock(t.Context())
	must(t, err)
	second.Close(t.Context())
}

// TestARunThatLostTheJobBeginsNoShard: it may not know yet that another run has the job, which may not have come to all shards.
func TestARunThatLostTheJobBeginsNoShard(t *testing.T) {
	b := newBench(t, shard.Window{Start: shard.Past, End: 0}, shard.Window{Start: 0, End: shard.Future})
	lost := open(t, b.url)
	lock, err := lost.Lock(t.Context())
	must(t, err)
	from, err := lost.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	lock.Close(t.Context())
	hold(t, b.Postgres)
	for n := range 2 {
		if _, err := lost.Begin(t.Context(), b.shard(t, n+1).ID); !errors.Is(err, shard.ErrStale) {
			t.Errorf("shard %d: got %v, want ErrStale", n+1, err)
		}
	}
	if _, err := lost.Commit(t.Context(), batch(from, events(0, 10))); !errors.Is(err, shard.ErrStale) {
		t.Errorf("commit: got %v, want ErrStale", err)
	}
	must(t, lost.Fail(t.Context(), from.ID, shard.Failed, "too late"))
	equal(t, "state", b.shard(t, 1).State, shard.Running)
	b.begin(t, 1)
	b.begin(t, 2)
}

// A lost connection is not a lost lock: it is taken again, unless another run was quicker.
func TestALostLockIsTakenAgain(t *testing.T) {
	b := newBench(t)
	held, err := b.Lock(t.Context())
	must(t, err)
	lock := held.(*jobLock)
	kill := func() { b.count(t, `select count(pg_terminate_backend($1))`, lock.conn.PgConn().PID()) }
	kill()
	if lock.ping(t.Context()) == nil {
		t.Fatal("the connection lives")
	}
	must(t, lock.retake(t.Context()))
	must(t, lock.ping(t.Context()))

	kill()
	other := open(t, b.url)
	theirs, err := other.Lock(t.Context())
	must(t, err)
	defer theirs.Close(t.Context())
	if err := lock.retake(t.Context()); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// The server may keep a session long after its client is gone: it is ours, so it is ended.
func TestOurOwnDeadSessionDoesNotKeepTheLock(t *testing.T) {
	b := newBench(t)
	dead, err := b.Lock(t.Context())
	must(t, err)
	defer dead.Close(t.Context())
	fresh := &jobLock{p: b.Postgres}
	var own *shard.TransientError
	if err := fresh.take(t.Context()); !errors.As(err, &own) {
		t.Fatalf("got %v, want a TransientError", err)
	}
	must(t, fresh.again(t.Context())) // the server needs a moment for it
	fresh.Close(t.Context())
}

func TestTableUse(t *testing.T) {
	b := newBench(t)
	use := func() TableUse {
		t.Helper()
		u, err := b.TableUse(t.Context())
		must(t, err)
		return u
	}
	equal(t, "rows of an empty table", use().Rows, false)
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), events(0, 10)))
	must(t, err)
	u := use()
	equal(t, "rows", u.Rows, true)
	equal(t, "foreign", u.Foreign, false)
	equal(t, "jobs", len(u.Jobs), 1)
	equal(t, "job", u.Jobs[0], JobUse{Name: "test", Source: "simulator:seed=1", Events: 10})
	_, err = b.pool.Exec(t.Context(), `update ingestion_jobs set rows_before = 1`)
	must(t, err)
	equal(t, "foreign", use().Foreign, true)
	_, err = b.pool.Exec(t.Context(), `drop table ingestion_shards cascade`)
	must(t, err)
	equal(t, "foreign where there is no ledger", use().Foreign, true)
	_, err = b.pool.Exec(t.Context(), `drop table ingested_events`)
	must(t, err)
	equal(t, "there", use().There, false)
}
