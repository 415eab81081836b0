package coordinator_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sluice/coordinator"
	"sluice/shard"
)

// bug is a place in the code below the coordinator that panics.
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
		"in a shard's own half": func(j *job) { // which logs that it walks again
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
				if s := c.Progress(); s.Failed != 1 || s.Done != 2 || s.Active != 0 {
					j.Errorf("the screen shows %d failed, %d done, %d active", s.Failed, s.Done, s.Active)
				}
			})
		})
	}
}

// buggyLog panics where a walk begins again.
type buggyLog struct{ slog.Handler }

func (buggyLog) Enabled(context.Context, slog.Level) bool { return true }
func (b buggyLog) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (buggyLog) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "walk again") {
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
		j.Errorf("the stack does not show the place:\n%s", caught.Recovered)
	}
	if row := j.store.row(2); row.State != shard.Failed || !strings.Contains(row.LastError, "somewhere") {
		j.Errorf("the row says %s, %q", row.State, row.LastError)
	}
}

// A panic while a failure is noted, outside any attempt, is caught as well.
func TestAPanicInNotingAFailureIsCaught(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.fails(2, errPoison)
		j.store.OnFail = bug
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 0, 1)
	})
}
