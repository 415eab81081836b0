package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// rejected commits n rejects to a shard, and returns the retries that make events of them, from the first-th on.
func (b *bench) rejected(t *testing.T, n, first, count int) []ledger.Retry {
	t.Helper()
	var rejects []shard.Reject
	for i := range count {
		rejects = append(rejects, reject(fmt.Sprintf("letter %d", first+i), event(first+i).ID.String()))
	}
	_, err := b.Commit(t.Context(), batch(b.begin(t, n), nil, rejects...))
	must(t, err)
	var retries []ledger.Retry
	for i := range count {
		id := b.count(t, `select id from dead_letters where event_id = $1`, event(first+i).ID.String())
		retries = append(retries, ledger.Retry{ID: id, Event: event(first + i)})
	}
	return retries
}

// fates replays dead letters and counts the outcomes.
func (b *bench) fates(t *testing.T, retries []ledger.Retry, dry bool) map[ledger.Outcome]int {
	t.Helper()
	fates, err := b.Replay(t.Context(), b.job, retries, dry)
	must(t, err)
	if len(fates) != len(retries) {
		t.Errorf("%d fates of %d letters", len(fates), len(retries))
	}
	return tallyOf(fates)
}

func tallyOf(fates []ledger.Fate) map[ledger.Outcome]int {
	n := map[ledger.Outcome]int{}
	for _, f := range fates {
		n[f.Outcome]++
	}
	return n
}

// settled compares the ledger with the tables after a replay.
func (b *bench) settled(t *testing.T, rows, letters int64) {
	t.Helper()
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), rows)
	equal(t, "events of the ledger", b.count(t, `select sum(events) from ingestion_shards`), rows)
	equal(t, "letters that are left", b.count(t, `select count(*) from dead_letters where replayed_at is null`), letters)
	equal(t, "letters of the ledger", b.count(t, `select sum(dead_letters) from ingestion_shards`), letters)
}

func TestReplayHappensOnce(t *testing.T) {
	b := newBench(t)
	retries := b.rejected(t, 1, 0, 10)
	equal(t, "a rehearsal", b.fates(t, retries[:7], true)[ledger.Stored], 7)
	b.settled(t, 0, 10)
	equal(t, "stored", b.fates(t, retries[:7], false)[ledger.Stored], 7)
	b.settled(t, 7, 3)
	again := b.fates(t, retries, false)
	equal(t, "of the first seven", again[ledger.Before], 7)
	equal(t, "of the rest", again[ledger.Stored], 3)
	b.settled(t, 10, 0)
	equal(t, "received", b.shard(t, 1).Counts, shard.Counts{Received: 10, Events: 10})
	equal(t, "bytes stay", b.count(t, `select count(*) from dead_letters where convert_from(raw, 'UTF8') ~ '^letter \d$'`), 10)
}

// TestReplayFates: whatever the outcomes, a job that passed the check before passes it afterwards.
func TestReplayFates(t *testing.T) {
	at := event(0).At
	end := at + 10_000_000
	b := newBench(t, shard.Window{Start: 0, End: at - 5500}, shard.Window{Start: at - 5500, End: end})
	in := batch(b.begin(t, 2), []shard.Event{event(0), event(1)})
	in.Proof = shard.ProofOlder
	older := b.rejected(t, 1, 2, 6)
	_, err := b.Commit(t.Context(), in)
	must(t, err)
	_, err = b.pool.Exec(t.Context(), `alter table ingested_events add check (name <> 'event_7');
update ingestion_shards set state = 'done', end_proof = 'older' where shard = 1`)
	must(t, err)
	older[0].Event = event(0)                                 // known
	older[1].Event, older[1].Event.ID = event(2), event(1).ID // conflict
	older[2].Event.At = end                                   // outside
	older[3].Event.At = at - 1                                // of the other window
	want := map[ledger.Outcome]int{ledger.Known: 1, ledger.Conflict: 1, ledger.Outside: 1, ledger.Stored: 2, ledger.Refused: 1}
	got := b.fates(t, older, false)
	for outcome, n := range want {
		equal(t, string(outcome), got[outcome], n)
	}
	b.settled(t, 4, 2)
	equal(t, "counts", b.shard(t, 1).Counts,
		shard.Counts{Received: 6, Events: 2, Duplicates: 1, OutOfWindow: 1, DeadLetters: 2, OutOfOrder: 1})
	figures, err := b.Audit(t.Context(), b.job.ID)
	must(t, err)
	if v := audit.Judge(figures, 0, 0); !v.OK {
		t.Errorf("%v", v.Findings)
	}
}

// TestReplaysBesideEachOther: several at once, over the same dead letters in different orders; and each event has a dead letter in
// each of three shards, so that they also wait for each other's rows.
func TestReplaysBesideEachOther(t *testing.T) {
	b := newBench(t, threeWindows...)
	var retries []ledger.Retry
	for n := 1; n <= 3; n++ {
		for i, r := range b.rejected(t, n, 100*n, 40) {
			r.Event = event([...]int{i, 39 - i, (7 * i) % 40}[n-1])
			retries = append(retries, r)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	sum := map[ledger.Outcome]int{}
	for k := range 4 {
		all.Go(func() {
			for from := range 3 {
				at := (from + k) % 3 * 40
				fates, err := b.Replay(t.Context(), b.job, append([]ledger.Retry{}, retries[at:at+40]...), false)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for outcome, n := range tallyOf(fates) {
					sum[outcome] += n
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	equal(t, "stored", sum[ledger.Stored], 40)
	equal(t, "known", sum[ledger.Known], 80)
	equal(t, "too late", sum[ledger.Before], 3*120)
	b.settled(t, 40, 0)
	b.usable(t)
}

// TestReplayBesideARun: commits of the same shards store the same events and more while dead letters are replayed.
func TestReplayBesideARun(t *testing.T) {
	b := newBench(t, threeWindows...)
	var retries []ledger.Retry
	for n := 1; n <= 3; n++ {
		retries = append(retries, b.rejected(t, n, 100*n, 40)...)
	}
	var all sync.WaitGroup
	for n := 1; n <= 3; n++ {
		from := b.begin(t, n)
		all.Go(func() {
			for i := range 20 {
				c, err := b.Commit(t.Context(), batch(from, events(100*n+5*i, 20)))
				if err != nil || c.Received != 20 {
					t.Errorf("commit %d of shard %d: %v %v", i, n, c, err)
				}
				from.Seq++
			}
		})
	}
	all.Go(func() {
		for at := 0; at < len(retries); at += 4 {
			if _, err := b.Replay(t.Context(), b.job, append([]ledger.Retry{}, retries[at:at+4]...), false); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	b.settled(t, 415-100, 0) // the shards overlap
	equal(t, "conflicts", b.count(t, `select count(*) from dead_letters where reason = 'conflict'`), 0)
}

// TestReplayThatIsCutOffHappensNotAtAll: its session is killed in the middle of the transaction.
func TestReplayThatIsCutOffHappensNotAtAll(t *testing.T) {
	b := newBench(t)
	retries := b.rejected(t, 1, 0, 20)
	holder, err := b.pool.Begin(t.Context())
	must(t, err)
	e := event(13)
	_, err = holder.Exec(t.Context(), insertEvent, e.ID, e.Session, e.User, e.Type, e.Name, e.Properties, timestamptz(e.At), e.Device, e.Browser)
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := b.Replay(context.WithoutCancel(t.Context()), b.job, append([]ledger.Retry{}, retries...), false); err == nil {
			t.Error("a replay whose session was ended did not fail")
		}
	})
	const kill = `select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query ~ 'ingested_events'`
	for deadline := time.Now().Add(20 * time.Second); b.count(t, kill) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the replay did not come to wait for the row")
		}
	}
	all.Wait()
	must(t, holder.Rollback(t.Context()))
	b.settled(t, 0, 20)
	equal(t, "stored afterwards", b.fates(t, retries, false)[ledger.Stored], 20)
	b.settled(t, 20, 0)
}

// A replay and the storing of witnesses look at the table as a commit does: into one that spoils rows, or that is another one, nothing is
// stored. One that only grew is accepted.
func TestReplayLooksAtTheTable(t *testing.T) {
	for name, test := range map[string]struct {
		change string
		fit    bool
	}{
		"rounded timestamps": {`alter table ingested_events alter "timestamp" type timestamptz(0)`, false},
		"a child":            {`create table child () inherits (ingested_events)`, false},
		"another table":      {`alter table ingested_events rename to aside; create table ingested_events (like aside including all)`, false},
		"a new column":       {`alter table ingested_events add note text`, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			retries := b.rejected(t, 1, 0, 2)
			witnesses := batch(b.begin(t, 1), nil)
			witnesses.Newer = []shard.Event{event(7)}
			_, err := b.Commit(t.Context(), witnesses)
			must(t, err)
			_, err = b.pool.Exec(t.Context(), test.change)
			must(t, err)
			var stored int64
			_, err = b.Replay(t.Context(), b.job, retries, false)
			_, adopting := b.Adopt(t.Context(), b.job.ID, 1)
			for _, err := range []error{err, adopting} {
				if errors.As(err, new(*ledger.UnfitError)) == test.fit || test.fit && err != nil {
					t.Error(err)
				}
			}
			if test.fit {
				stored = 3
			}
			equal(t, "rows", b.count(t, `select count(*) from ingested_events`), stored)
		})
	}
}
