package coordinator_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/coordinator"
	"sluice/shard"
)

// notes is the log so far.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// hears returns the warnings that the coordinator logs.
func (j *job) hears() *notes {
	var said notes
	j.config.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return &said
}

// wantWords checks that a text has all of these parts.
func (j *job) wantWords(text string, parts ...string) {
	j.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			j.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// Shard 4 pauses after a fault of the API, 3 waits for the database, 2 for an answer that never comes, and 1 for a free fetcher,
// all since the start. The run says so halfway to giving up, and at its end.
func TestTheWatchdogSaysWhatEveryShardWaitsFor(t *testing.T) {
	inJob(t, 4, func(j *job) {
		j.config.Fetchers, j.config.GiveUpAfter, j.source.Latency = 2, 10*time.Minute, 0
		said := j.hears()
		began := time.Now()
		j.source.Answer = func(r request) error {
			switch j.shardOf(r) {
			case 4:
				return &shard.TransientError{Err: errWeather, After: time.Hour}
			case 2:
				return shard.Sleep(j.Context(), time.Hour)
			}
			return nil
		}
		j.store.OnCommit = func(ctx context.Context, b shard.Batch) error { return shard.Sleep(ctx, time.Hour) }
		halfway := make(chan string, 1)
		time.AfterFunc(5*time.Minute+time.Second, func() { halfway <- said.String() })
		o := j.run(j.Context())
		half := <-halfway
		since := " since " + began.UTC().Format(time.RFC3339)
		for _, text := range []string{half, o.Cause.Error()} {
			j.wantWords(text, "shard 1 waits for a free fetcher"+since, "shard 2 waits for the API"+since,
				"shard 3 waits for the database", "shard 4 waits for its next attempt after", "503")
		}
		j.wantWords(half, "giving_up_in=5m0s")
		if !errors.Is(o.Cause, coordinator.ErrGaveUp) {
			j.Errorf("cause %v", o.Cause)
		}
	})
}

// Attempt after attempt fails: the time reported is that of the first fault, not of the latest.
func TestRepeatedFaultsAreReportedSinceTheFirst(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.source.Answer = func(request) error { return transient() }
		at := time.Now().Add(100 * time.Millisecond)
		j.wantWords(j.run(j.Context()).Cause.Error(), "shards 1, 2, 3 wait for", "503", " since "+at.UTC().Format(time.RFC3339))
	})
}

// After one fault a page is committed, and then the API never answers: the fault is over and not reported any more.
func TestAFaultThatIsOverIsNotReported(t *testing.T) {
	inJob(t, 1, func(j *job) {
		n := 0
		j.source.Answer = func(request) error {
			switch n++; n {
			case 1:
				return transient()
			case 2:
				return nil
			}
			return shard.Sleep(j.Context(), time.Hour)
		}
		cause := j.run(j.Context()).Cause.Error()
		j.wantWords(cause, "shard 1 waits for the API since")
		if strings.Contains(cause, "503") {
			j.Error(cause)
		}
	})
}

// There is no warning about a run that commits, however slowly.
func TestTheWatchdogIsCalmWhilePagesAreCommitted(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.source.Latency, j.config.Fetchers = time.Minute, 1
		j.failsTimes(1, transient())
		said := j.hears()
		j.complete()
		if text := said.String(); text != "" {
			j.Error(text)
		}
	})
}

// Of many shards only the first are named.
func TestManyWaitingShardsAreNotAllNamed(t *testing.T) {
	inJob(t, 30, func(j *job) {
		j.store.OnBegin = func(shard.Checkpoint) error { return transient() }
		text := j.run(j.Context()).Cause.Error()
		if len(text) > 1500 {
			j.Errorf("%d bytes: %s", len(text), text)
		}
		j.wantWords(text, "more wait for")
	})
}

// A paused run is not given up, and the time starts anew when the pause ends. The API never answers.
func TestTheWatchdogSleepsWhileTheRunIsHeld(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.config.GiveUpAfter, j.config.Pause, j.source.Latency = 10*time.Minute, new(shard.Pause), 24*time.Hour
		said := j.hears()
		began := time.Now()
		for _, at := range []time.Duration{4 * time.Minute, 3 * time.Hour} {
			time.AfterFunc(at, func() { j.config.Pause.Toggle() })
		}
		time.AfterFunc(3*time.Hour, func() {
			if text := said.String(); text != "" {
				j.Errorf("warnings while paused:\n%s", text)
			}
		})
		o := j.run(j.Context())
		if took := time.Since(began); !errors.Is(o.Cause, coordinator.ErrGaveUp) || took != 3*time.Hour+10*time.Minute {
			j.Errorf("%v after %s", o.Cause, took)
		}
		j.wantWords(said.String(), "giving_up_in=5m0s")
	})
}

func TestTheRunGivesUpWhereNothingIsCommitted(t *testing.T) {
	for _, c := range []struct{ after, want time.Duration }{{0, 15 * time.Minute}, {time.Minute, time.Minute}} {
		inJob(t, 3, func(j *job) {
			j.config.GiveUpAfter = c.after
			j.source.Answer = func(request) error { return transient() }
			began := time.Now()
			o := j.run(j.Context())
			j.wantOutcome(o, 0, 3, 0)
			j.wantLeft(coordinator.ErrGaveUp)
			if !errors.Is(o.Cause, coordinator.ErrGaveUp) {
				j.Errorf("cause %v", o.Cause)
			}
			if took := time.Since(began); took != c.want {
				j.Errorf("gave up after %s, want %s", took, c.want)
			}
			j.source.Answer = nil
			j.complete()
		})
	}
}

// A page takes ten minutes; the run takes more than an hour, and goes on.
func TestCommitsHoldTheGivingUpOff(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.source.Latency, j.config.Fetchers = 10*time.Minute, 1
		began := time.Now()
		j.complete()
		if took := time.Since(began); took < time.Hour {
			j.Errorf("the run took only %s", took)
		}
	})
}

// One shard never gets anywhere. The time counts from the last commit of the others.
func TestTheRunGivesUpAfterTheLastCommit(t *testing.T) {
	inJob(t, 3, func(j *job) {
		j.source.Latency = 5 * time.Minute
		j.fails(2, transient())
		o := j.run(j.Context())
		j.wantOutcome(o, 2, 1, 0)
		last := j.store.doneAt(1)
		if other := j.store.doneAt(3); other.After(last) {
			last = other
		}
		if waited := time.Since(last); !errors.Is(o.Cause, coordinator.ErrGaveUp) || waited != 15*time.Minute {
			j.Errorf("%v, %s after the last commit", o.Cause, waited)
		}
	})
}

func everyTenth(k int) bool { return k%10 == 0 }

func TestMoreDeadLettersThanToleratedStopTheRun(t *testing.T) {
	inJob(t, 4, func(j *job) {
		j.source.Bad = everyTenth
		j.config.MaxDeadLetters = func(received int64) int64 { return max(5, received/20) }
		o := j.run(j.Context())
		if !errors.Is(o.Cause, coordinator.ErrTooManyDeadLetters) || o.Left == 0 || o.Left+o.Done != 4 {
			j.Errorf("%+v", o)
		}
		j.wantLeft(coordinator.ErrTooManyDeadLetters)
	})
}

func TestAsManyDeadLettersAsToleratedDoNot(t *testing.T) {
	inJob(t, 4, func(j *job) {
		j.source.Bad = everyTenth
		j.config.MaxDeadLetters = func(received int64) int64 { return max(9, received/10+6) }
		o := j.run(j.Context())
		j.wantOutcome(o, 4, 0, 0)
		j.wantRows(4 * perShard * 9 / 10)
		if o.Cause != nil {
			j.Errorf("stopped: %v", o.Cause)
		}
	})
}

// Dead letters of earlier runs of the job count: a rerun does not evade the limit.
func TestDeadLettersOfEarlierRunsCount(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.store.edit(2, func(cp *shard.Checkpoint) {
			cp.State, cp.Counts = shard.Done, shard.Counts{Received: 1000, DeadLetters: 100, Events: 900}
		})
		j.source.Bad = func(k int) bool { return k == perShard+perShard/2 }
		j.config.MaxDeadLetters = func(int64) int64 { return 100 }
		o := j.run(j.Context())
		if !errors.Is(o.Cause, coordinator.ErrTooManyDeadLetters) {
			j.Errorf("cause %v", o.Cause)
		}
	})
}
