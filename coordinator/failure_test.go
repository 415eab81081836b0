package coordinator_test

import (
	"context"
	"errors"
	"fmt"
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
		j.Errorf("Fail was told %v", notes)
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

// The database went back in time to before a split, and is away when the piece is looked for: seeds 7173 and 7198 of the swarm.
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

// Faults of the weather in between neither count as stuck nor excuse it.
func TestTheWeatherDoesNotCountAsStuck(t *testing.T) {
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

// A page that could be read at last is behind us: the shard is stuck somewhere else now, and counted anew.
func TestAShardThatGetsOnIsNotStuck(t *testing.T) {
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
			j.Errorf("stuck at %d places only", len(failed))
		}
	})
}

// The commits of attempts that get nowhere do not excuse a shard.
func TestCommittingTheSameAgainIsNoWayOn(t *testing.T) {
	for name, scene := range map[string]func(*history){
		// The end is read again and again, and each read is committed, but an old answer proves nothing.
		"the end comes from the cache": func(h *history) { h.Cached = true },
		// No cursor lives for a page, and the record to resume after is gone: the window is begun anew, and that is committed.
		"resume points are not there": func(h *history) {
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

func TestAFailureThatCannotBeNotedIsStillTold(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.fails(2, errPoison)
		j.store.OnFail = func() error { return errors.New("the database is away") }
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 0, 1)
	})
}
