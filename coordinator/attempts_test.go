package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice/coordinator"
	"sluice/shard"
)

var errPoison = errors.New("the page cannot be read")

// wantFailure checks that shard 2 of three failed for the given reason, in the outcome and in its row, and the others ended.
func (j *job) wantFailure(o coordinator.Outcome, why error) {
	j.Helper()
	j.wantOutcome(o, 2, 0, 1)
	j.wantRows(2 * perShard)
	row := j.store.row(2)
	if len(o.Failures) == 1 {
		f := o.Failures[0]
		if f.Shard != 2 || f.Window != row.Window || !errors.Is(f.Err, why) {
			j.Errorf("failure %+v, want shard 2 %s: %v", f, row.Window, why)
		}
	}
	if row.State != shard.Failed || !strings.Contains(row.LastError, why.Error()) {
		j.Errorf("the row says %s, %q", row.State, row.LastError)
	}
	if notes := j.store.noted(2); len(notes) != 1 {
		j.Errorf("Fail was called with %v", notes)
	}
	if o.Cause != nil {
		j.Errorf("the run stopped early: %v", o.Cause)
	}
}

func TestAnUnknownErrorFailsItsShardAtOnce(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.fails(2, fmt.Errorf("read: %w", errPoison))
		j.wantFailure(j.run(j.Context()), errPoison)
		if tries := j.store.tries(2); len(tries) != 1 {
			j.Errorf("tried %d times", len(tries))
		}
	})
}

var (
	errWire = errors.New("the connection to the database was lost")
	errGone = errors.New("the row is gone")
)

// The database went back in time to before a split, and is unreachable when the ledger is searched for the piece. The simulation
// found it.
func TestAPieceThatIsForgottenIsNoFailure(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.store.edit(2, func(cp *shard.Checkpoint) { cp.Parent = 1 })
		away := 0
		j.store.OnBegin = func(cp shard.Checkpoint) error {
			if cp.Shard == 2 {
				j.store.forget(cp.ID)
				away = 3
				return errGone
			}
			return nil
		}
		j.store.OnLoad = func() error {
			if away--; away >= 0 {
				return &shard.TransientError{Err: errWire}
			}
			return nil
		}
		j.wantOutcome(j.run(j.Context()), 2, 0, 0)
	})
}

func TestAStuckShardFailsAtItsLimit(t *testing.T) {
	for _, limit := range []int{1, 2, 5} {
		inJob(t, 3, func(j *job) {
			j.fails(2, &shard.StuckError{Err: errPoison, Limit: limit})
			j.wantFailure(j.run(j.Context()), errPoison)
			if tries := j.store.tries(2); len(tries) != limit {
				j.Errorf("limit %d, tried %d times", limit, len(tries))
			}
		})
	}
}

// Transient faults in between neither count as stuck nor reset the count.
func TestTransientFaultsDoNotCountAsStuck(t *testing.T) {
	inJob(t, 3, func(j *job) {
		n := 0
		j.source.Answer = func(r request) error {
			if j.shardOf(r) != 2 {
				return nil
			}
			if n++; n%3 == 0 {
				return &shard.StuckError{Err: errPoison, Limit: 3}
			}
			return transient()
		}
		j.wantFailure(j.run(j.Context()), errPoison)
		if tries := j.store.tries(2); len(tries) != 9 {
			j.Errorf("tried %d times, stuck every third time, limit 3", len(tries))
		}
	})
}

// A shard that got past one page and is stuck at another is counted anew.
func TestAShardThatGetsFurtherIsNotStuck(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Page = 10
		failed := map[shard.Key]int{}
		j.source.Answer = func(r request) error {
			tries := 1
			if r.place.Resume.IsZero() {
				tries = 2
			}
			if r.number > 0 || failed[r.place.Resume] < tries {
				failed[r.place.Resume]++
				return &shard.StuckError{Err: errPoison, Limit: 3}
			}
			return nil
		}
		j.complete()
		if len(failed) < 10 {
			j.Errorf("stuck at only %d positions", len(failed))
		}
	})
}

// Attempts that commit but get no further count as stuck.
func TestCommittingTheSameAgainIsNoProgress(t *testing.T) {
	for name, scene := range map[string]func(*history){
		// The end is read and committed again and again, but an old answer proves nothing.
		"the end comes from the cache": func(h *history) { h.Cached = true },
		// No cursor lasts for a page, and the record to resume after is gone: the window is begun anew, and that is committed.
		"resume points are gone": func(h *history) {
			h.Forgets = true
			h.Answer = func(r request) error {
				if r.number > 0 || r.place.Cursor != "" {
					return shard.ErrCursorDead
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inJob(t, 1, func(j *job) {
				j.store.edit(1, func(cp *shard.Checkpoint) { cp.Window.Start = shard.Past })
				scene(j.source)
				ctx, cancel := context.WithTimeout(j.Context(), 10*time.Minute)
				defer cancel()
				o := j.run(ctx)
				j.wantOutcome(o, 0, 0, 1)
				var stuck *shard.StuckError
				if len(o.Failures) == 1 && !errors.As(o.Failures[0].Err, &stuck) {
					j.Errorf("failed with %v", o.Failures[0].Err)
				}
				if tries := len(j.store.tries(1)); tries > 4 {
					j.Errorf("it took %d attempts to see that", tries)
				}
			})
		})
	}
}

func TestAFailureThatCannotBeRecordedIsStillReported(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.fails(2, errPoison)
		j.store.OnFail = func() error { return errors.New("the database is away") }
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 0, 1)
	})
}

// gaps returns the pauses between the attempts of a shard, if requests and commits take no time.
func (j *job) gaps(number int) []time.Duration {
	tries := j.store.tries(number)
	var gaps []time.Duration
	for i := 1; i < len(tries); i++ {
		gaps = append(gaps, tries[i].Sub(tries[i-1]))
	}
	return gaps
}

// failsTimes makes the first n requests of each shard fail.
func (j *job) failsTimes(n int, err error) {
	left := map[int]int{}
	j.source.Answer = func(r request) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		if left[j.shardOf(r)]++; left[j.shardOf(r)] <= n {
			return err
		}
		return nil
	}
}

func TestPausesDoubleUpToHalfAMinuteWithFullJitter(t *testing.T) {
	const shards, faults = 8, 40
	inJob(t, shards, func(j *job) {
		j.source.Latency, j.config.GiveUpAfter = 0, 24*time.Hour
		j.failsTimes(faults, transient())
		j.complete()
		short, long, same := 0, 0, 0
		for number := 1; number <= shards; number++ {
			gaps := j.gaps(number)
			if len(gaps) != faults {
				j.Fatalf("shard %d: %d pauses, want %d", number, len(gaps), faults)
			}
			for i, gap := range gaps {
				bound := min(30*time.Second, 500*time.Millisecond<<min(i, 10))
				if gap < 0 || gap >= bound {
					j.Errorf("pause %d of shard %d is %s, not in [0, %s)", i+1, number, gap, bound)
				}
				if i >= 6 && gap < 10*time.Second {
					short++
				}
				if i >= 6 && gap > 20*time.Second {
					long++
				}
				if number > 1 && gap == j.gaps(1)[i] {
					same++
				}
			}
		}
		// 272 of the pauses are drawn from half a minute: each third of it gets about 91.
		if short < 40 || long < 40 || same > 0 {
			j.Errorf("%d pauses short, %d long, %d the same as another shard's: this is not full jitter", short, long, same)
		}
	})
}

// Six faults follow on each page, the first of them in the attempt that committed it. The first pause after a commit must be short,
// however long the pauses before it were.
func TestACommitEndsTheRowOfFaults(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency, j.source.Page = 0, 10
		faults := 0
		j.source.Answer = func(r request) error {
			if r.number == 0 && faults%7 == 6 {
				faults++
				return nil
			}
			faults++
			return transient()
		}
		j.complete()
		gaps := j.gaps(1)
		if len(gaps) < 60 {
			j.Fatalf("only %d pauses", len(gaps))
		}
		for i, gap := range gaps {
			if bound := 500 * time.Millisecond << (i % 6); gap > bound {
				j.Errorf("pause %d, number %d after a commit, is %s, longer than %s", i+1, i%6, gap, bound)
			}
		}
	})
}

func TestTheAPIsOwnWaitIsKept(t *testing.T) {
	const after = 70 * time.Second
	inJob(t, 6, func(j *job) {
		j.source.Latency = 0
		j.failsTimes(1, &shard.TransientError{Err: errWeather, After: after})
		j.complete()
		came := map[time.Duration]int{}
		for number := 1; number <= 6; number++ {
			gap := j.gaps(number)[0]
			if gap < after || gap > after+500*time.Millisecond {
				j.Errorf("shard %d came back after %s, requested were %s", number, gap, after)
			}
			came[gap]++
		}
		if len(came) < 6 {
			j.Errorf("shards came back together: %v", came)
		}
	})
}

// The hint is for one pause; a fault without a hint is followed by the usual one.
func TestTheAPIsOwnWaitIsKeptOnce(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency = 0
		n := 0
		j.source.Answer = func(request) error {
			switch n++; n {
			case 1:
				return &shard.TransientError{Err: errWeather, After: time.Minute}
			case 2:
				return transient()
			}
			return nil
		}
		j.complete()
		if gap := j.gaps(1)[1]; gap > time.Second {
			j.Errorf("the pause after a fault without a hint is %s", gap)
		}
	})
}

// With a single fetcher, a shard that pauses after a fault must not keep the other shard from the fetcher.
func TestAPauseOccupiesNoFetcher(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.config.Fetchers = 1
		began := time.Now()
		n := 0
		j.source.Answer = func(r request) error {
			if j.shardOf(r) == 2 && n < 2 {
				n++
				return &shard.TransientError{Err: errWeather, After: 5 * time.Minute}
			}
			return nil
		}
		j.complete()
		if took := j.store.doneAt(1).Sub(began); took > 2*time.Second {
			j.Errorf("the shard without a fault took %s", took)
		}
		if took := j.store.doneAt(2).Sub(began); took < 10*time.Minute {
			j.Errorf("the shard with the faults took only %s: it did not wait", took)
		}
	})
}

// Another process has moved the row while a batch was on its way. The shard continues from the row as it is now.
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

// After a failover to a standby that was behind, the row of a shard that was done is unfinished again. The run used to end with a
// check that failed, although running the same command again would have fixed it.
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

// The ledger could not be read after the last shard: the run reported that nothing was left, although a failover had made shards
// unfinished again. The simulation found it.
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

// Sessions that were terminated while the last page was committed made a complete run end with "work is left".
func TestReadingTheLedgerAtTheEndIsRetried(t *testing.T) {
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
			j.Errorf("cause %v after %d loads", o.Cause, loads)
		}
	})
}

// The last commit of a shard landed but its answer was lost: the row is done when the shard is begun again.
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
		if n := inState(c.Progress(), shard.Done); n != 2 {
			j.Errorf("the screen shows %d of 2 done", n)
		}
	})
}

// The ledger is unreachable when a shard is begun, and when the coordinator checks whether it is done already.
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

// A row that is stale at every attempt, and not done, is tried less and less often, until the run gives up.
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

// bug panics, like code below the coordinator with a bug.
func bug() error { panic("index out of range, somewhere") }

func TestAPanicFailsItsShardOnly(t *testing.T) {
	for name, plant := range map[string]func(*job){
		"in a page": func(j *job) {
			j.source.Answer = func(r request) error {
				if j.shardOf(r) == 2 && r.number == 1 {
					return bug()
				}
				return nil
			}
		},
		"in a commit": func(j *job) {
			j.store.OnCommit = func(_ context.Context, b shard.Batch) error {
				if b.From.ID == 2 {
					return bug()
				}
				return nil
			}
		},
		"in a shard's own half": func(j *job) { // which logs that it reads again
			j.source.Answer = func(r request) error {
				if j.shardOf(r) == 2 && r.number == 1 {
					return shard.ErrCursorDead
				}
				return nil
			}
			j.config.Log = slog.New(buggyLog{slog.DiscardHandler})
		},
		"in the ledger": func(j *job) {
			j.store.OnBegin = func(cp shard.Checkpoint) error {
				if cp.Shard == 2 {
					return bug()
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inJob(t, 3, func(j *job) {
				j.config.Fetchers = 1
				plant(j)
				c := j.coordinator()
				o, err := c.Run(j.Context())
				if err != nil {
					j.Fatal(err)
				}
				j.wantPanic(o)
				if s := c.Progress(); inState(s, shard.Failed) != 1 || inState(s, shard.Done) != 2 || s.Active != 0 {
					j.Errorf("the screen shows %d failed, %d done, %d active", inState(s, shard.Failed), inState(s, shard.Done), s.Active)
				}
			})
		})
	}
}

// buggyLog panics when a walk begins another pass.
type buggyLog struct{ slog.Handler }

func (buggyLog) Enabled(context.Context, slog.Level) bool { return true }
func (b buggyLog) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (buggyLog) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "reading again") {
		return bug()
	}
	return nil
}

// wantPanic checks that shard 2 of three failed with the stack of the bug, and that the others ended.
func (j *job) wantPanic(o coordinator.Outcome) {
	j.Helper()
	j.wantOutcome(o, 2, 0, 1)
	if len(o.Failures) != 1 {
		return
	}
	var caught *coordinator.PanicError
	switch err := o.Failures[0].Err; {
	case !errors.As(err, &caught):
		j.Errorf("failed with %v", err)
	case !strings.Contains(caught.Recovered.String(), "coordinator_test.bug("):
		j.Errorf("the stack does not show the bug:\n%s", caught.Recovered)
	}
	if row := j.store.row(2); row.State != shard.Failed || !strings.Contains(row.LastError, "somewhere") {
		j.Errorf("the row says %s, %q", row.State, row.LastError)
	}
}

// A panic while a failure is recorded, outside any attempt, is caught as well.
func TestAPanicInRecordingAFailureIsCaught(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.fails(2, errPoison)
		j.store.OnFail = bug
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 0, 1)
	})
}
