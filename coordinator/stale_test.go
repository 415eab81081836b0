package coordinator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/shard"
)

// Another process has moved the row while a batch was on its way. The shard goes on from where the row is now.
func TestAStaleShardIsRunAgainFromItsRow(t *testing.T) {
	inJob(t, 1, func(j *job) {
		var seqs []int64
		j.store.OnCommit = func(_ context.Context, b shard.Batch) error {
			if seqs = append(seqs, b.From.Seq); len(seqs) == 2 {
				j.store.edit(1, func(cp *shard.Checkpoint) { cp.Seq = 40 })
			}
			return nil
		}
		j.complete()
		if tries := len(j.store.tries(1)); tries != 2 || seqs[2] != 40 {
			j.Errorf("%d attempts, committed from %v", tries, seqs)
		}
	})
}

// A failover to a standby that was behind: the row of a shard that was done, and of which nothing is under way, is unfinished
// again. The run had ended with a check that failed, though the same command would have mended it.
func TestAShardThatTheLedgerTakesBackIsRunAgain(t *testing.T) {
	inJob(t, 3, func(j *job) {
		last := 0
		j.store.OnCommit = func(_ context.Context, b shard.Batch) error {
			if b.From.ID == 1 && b.Proof != "" {
				if last++; last == 1 {
					j.store.edit(3, func(cp *shard.Checkpoint) {
						*cp = shard.Checkpoint{ID: 3, Shard: 3, Window: cp.Window, State: shard.Pending}
					})
				}
			}
			return nil
		}
		j.config.Fetchers = 1
		j.complete()
		if tries := len(j.store.tries(3)); tries != 2 {
			j.Errorf("%d attempts, want 2", tries)
		}
	})
}

// The ledger could not be read after the last shard: the run said that nothing was left, and a failover had taken shards back.
// The simulation found it (seed 7518).
func TestRunThatCannotReadTheLedgerAtItsEndSaysSo(t *testing.T) {
	inJob(t, 2, func(j *job) {
		loads, away := 0, errors.New("the database is away")
		j.store.OnLoad = func() error {
			if loads++; loads > 2 { // one to make the coordinator, one when it begins
				return away
			}
			return nil
		}
		if o := j.run(j.Context()); !errors.Is(o.Cause, away) {
			j.Errorf("%d done, %d left, cause %v; want %v", o.Done, o.Left, o.Cause, away)
		}
	})
}

// TestALookAtTheLedgersEndIsRepeated: sessions that were ended while the last page was committed made a run that was complete
// end with "work is left".
func TestALookAtTheLedgersEndIsRepeated(t *testing.T) {
	inJob(t, 2, func(j *job) {
		loads := 0
		j.store.OnLoad = func() error {
			if loads++; loads > 2 && loads < 6 { // one to make the coordinator, one when it begins
				return transient()
			}
			return nil
		}
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 0, 0)
		if o.Cause != nil || loads != 6 {
			j.Errorf("cause %v after %d looks", o.Cause, loads)
		}
	})
}

// The last commit of a shard had landed, though its answer did not come back: the row is done when the shard is begun again.
func TestAShardThatTheLedgerHasAsDoneIsDone(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.store.OnCommit = func(_ context.Context, b shard.Batch) error {
			if b.From.ID != 1 || b.Proof == "" {
				return nil
			}
			if _, err := j.store.land(b); err != nil {
				return err
			}
			return transient()
		}
		c := j.coordinator()
		o, err := c.Run(j.Context())
		if err != nil {
			j.Fatal(err)
		}
		j.wantOutcome(o, 2, 0, 0)
		j.wantRows(2 * perShard)
		if s := c.Progress(); s.Done != 2 {
			j.Errorf("the screen shows %d of 2 done", s.Done)
		}
	})
}

// The ledger is away: when a shard is begun, and when the coordinator asks whether it is done already.
func TestALedgerThatIsAwayIsWaitedFor(t *testing.T) {
	inJob(t, 1, func(j *job) {
		n := 0
		away := func() error {
			if n++; n < 7 {
				return transient()
			}
			return nil
		}
		j.store.OnBegin = func(shard.Checkpoint) error {
			if n >= 4 && n < 7 {
				return shard.ErrStale
			}
			return away()
		}
		c := j.coordinator()
		loads := 0
		j.store.OnLoad = func() error {
			if loads++; loads > 1 {
				return away()
			}
			return nil
		}
		o, err := c.Run(j.Context())
		if err != nil {
			j.Fatal(err)
		}
		j.wantOutcome(o, 1, 0, 0)
		if gaps := j.gaps(1); len(gaps) < 6 {
			j.Errorf("pauses %v", gaps)
		}
	})
}

// A row that is stale at every attempt, and not done, is asked for ever more seldom, until the run gives up.
func TestARowThatStaysStaleIsNotHammered(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.store.OnBegin = func(shard.Checkpoint) error { return shard.ErrStale }
		o := j.run(j.Context())
		j.wantOutcome(o, 0, 1, 0)
		if tries := len(j.store.tries(1)); tries > 120 {
			j.Errorf("%d attempts in %s", tries, 15*time.Minute)
		}
	})
}

func TestAnUnknownErrorOfTheLedgerFailsItsShard(t *testing.T) {
	inJob(t, 3, func(j *job) {
		wrong := errors.New("column does not exist")
		j.store.OnBegin = func(cp shard.Checkpoint) error {
			if cp.Shard == 2 {
				return wrong
			}
			return nil
		}
		j.wantFailure(j.run(j.Context()), wrong)
	})
}
