package job_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/shard"
)

// bench is a source, a database, and the runs of one job on them, in virtual time.
type bench struct {
	*testing.T
	source   *archive
	database *memstore.Database
	runs     int
}

func inBubble(t *testing.T, test func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(&bench{T: t, source: newArchive(500, time.Now().Add(-time.Hour)), database: memstore.New()})
	})
}

// open opens the job as another run. Changes to the configuration may be given.
func (b *bench) open(changes ...func(*job.Config)) (*job.Job, error) {
	b.runs++
	config := job.Config{
		Name: "events", SourceName: "archive", Shards: 3, Run: uuid.NewString(), Log: quiet, Seed: 1,
		Store:   b.database.Open("events", uuid.NewString(), nil),
		Connect: func(context.Context) (job.Source, error) { return b.source, nil },
	}
	for _, change := range changes {
		change(&config)
	}
	return job.Open(b.Context(), config)
}

// run opens the job, lets do work on it, and makes sure of its status.
func (b *bench) run(want job.Status, do func(*job.Job) job.Verdict, changes ...func(*job.Config)) job.Verdict {
	b.Helper()
	j, err := b.open(changes...)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	v := do(j)
	if v.Status != want || (v.Err == nil) != (want == job.Complete) || v.Text == "" {
		b.Fatalf("status %s, want %s: %s (%v)", v.Status, want, v.Text, v.Err)
	}
	return v
}

func (b *bench) load(want job.Status) job.Verdict {
	b.Helper()
	return b.run(want, func(j *job.Job) job.Verdict { return j.Load(b.Context()) })
}

// lose deletes n rows behind the back of the job.
func (b *bench) lose(n int) {
	b.database.Look(func(t *memstore.Tables) {
		for id := range t.Events {
			if n--; n < 0 {
				return
			}
			delete(t.Events, id)
		}
	})
}

func (b *bench) rows() (n int) {
	b.database.Look(func(t *memstore.Tables) { n = len(t.Events) })
	return n
}

func TestALoadThatIsCompleteAsksForNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.load(job.Complete)
		asked := b.source.Requests()
		second := b.load(job.Complete)
		if first.Figures.New != 500 || second.Figures.New != 0 || second.Figures.Counts.Events != 500 || b.source.Requests() != asked {
			b.Errorf("first %+v, second %+v, %d requests more", first.Figures, second.Figures, b.source.Requests()-asked)
		}
	})
}

func TestTwoRunsCannotHoldAJob(t *testing.T) {
	inBubble(t, func(b *bench) {
		j, err := b.open()
		if err != nil {
			b.Fatal(err)
		}
		var known *job.Error
		if _, err := b.open(); !errors.As(err, &known) || known.Status != job.Locked || !errors.Is(err, ledger.ErrLocked) {
			b.Errorf("a second run got %v", err)
		}
		j.Close()
		b.load(job.Complete)
	})
}

func TestAStoreOfAnotherJobIsRefused(t *testing.T) {
	inBubble(t, func(b *bench) {
		var known *job.Error
		if _, err := b.open(func(c *job.Config) { c.Name = "another" }); !errors.As(err, &known) || known.Status != job.Misused {
			b.Errorf("got %v", err)
		}
	})
}

func TestAJobBelongsToItsSourceAndSpan(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.load(job.Complete)
		var source *job.SourceError
		moved := func(c *job.Config) { c.SourceName = "archive at a new address" }
		if _, err := b.open(moved); !errors.As(err, &source) {
			b.Errorf("another source: %v", err)
		}
		var span *job.SpanError
		if _, err := b.open(func(c *job.Config) { c.Span.Start, c.Span.End = 0, shard.Future }); !errors.As(err, &span) {
			b.Errorf("another span: %v", err)
		}
		b.run(job.Complete, func(j *job.Job) job.Verdict { return j.Load(b.Context()) }, moved, func(c *job.Config) {
			c.Moved = func(from string) bool { return from == "archive" }
		})
	})
}

func TestBadConfigurationIsMisuse(t *testing.T) {
	inBubble(t, func(b *bench) {
		_, err := b.open(func(c *job.Config) { c.Name, c.Shards, c.Store = "", -1, nil })
		var known *job.Error
		if !errors.As(err, &known) || known.Status != job.Misused {
			b.Fatalf("got %v", err)
		}
		for _, want := range []string{`job ""`, "shards -1", "a store"} {
			if !strings.Contains(err.Error(), want) {
				b.Errorf("%q is not in %q", want, err)
			}
		}
	})
}

func TestRowsThatVanishedAreFetchedAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.load(job.Complete)
		b.lose(7)
		config := job.Config{Name: "events", SourceName: "archive", Store: b.database.Open("events", "verify", nil)}
		if v := job.Verify(b.Context(), config, job.Verifying{}); v.Status != job.Doubt || v.Reopened != 0 || v.Audit.Rows != 493 {
			b.Fatalf("%+v", v)
		}
		if v := job.Verify(b.Context(), config, job.Verifying{Repair: true}); v.Status != job.Doubt || v.Reopened == 0 || !errors.Is(v.Err, job.ErrCheck) {
			b.Fatalf("%+v", v)
		}
		if v := b.load(job.Complete); v.Figures.New != 7 || b.rows() != 500 {
			b.Errorf("%d new, %d rows", v.Figures.New, b.rows())
		}
	})
}

func TestBackfillReadsASpanOnceMore(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.load(job.Complete)
		asked := b.source.Requests()
		b.run(job.Complete, func(j *job.Job) job.Verdict { return j.Backfill(b.Context(), false) })
		if b.source.Requests() != asked {
			b.Error("a span that is done was asked for")
		}
		v := b.run(job.Complete, func(j *job.Job) job.Verdict { return j.Backfill(b.Context(), true) })
		if v.Figures.New != 0 || v.Figures.Counts.Duplicates < 500 {
			b.Errorf("%+v", v.Figures)
		}
	})
}

// A follow over an hour, in which the source grows; it is stopped while it waits.
func TestAFollowKeepsUpAndEndsClean(t *testing.T) {
	inBubble(t, func(b *bench) {
		ctx, stop := context.WithCancelCause(b.Context())
		waits := 0
		v := b.run(job.Complete, func(j *job.Job) job.Verdict {
			defer time.AfterFunc(time.Hour, func() { stop(errors.New("stopped by a test")) }).Stop()
			return j.Follow(ctx)
		}, func(c *job.Config) {
			c.Hooks.Rest = func(job.Verdict) {
				if waits++; waits%600 == 0 && waits <= 3000 {
					b.source.grow(10)
				}
			}
		})
		if want := "stopped by a test between two rounds"; v.Text != want {
			b.Errorf("verdict %q, want %q", v.Text, want)
		}
		if n := len(b.source.events); b.rows() != n || n < 530 {
			b.Errorf("%d rows of %d events", b.rows(), n)
		}
	})
}

// An event came late, to the newest page, and the oldest one was forgotten: neither the newest event nor their number had changed, and
// nothing was read.
func TestRegressALateEventWhileOneIsForgotten(t *testing.T) {
	inBubble(t, func(b *bench) {
		sync := func(j *job.Job) job.Verdict { return j.Sync(b.Context()) }
		b.load(job.Complete)
		b.run(job.Complete, sync)
		late := b.source.events[1]
		late.ID[0], late.At = 1, late.At.Add(100*time.Millisecond)
		b.source.events = slices.Insert(b.source.events[:len(b.source.events)-1], 1, late)
		b.run(job.Complete, sync)
		b.database.Look(func(t *memstore.Tables) {
			if t.Events[late.ID] == nil {
				b.Error("the late event is not stored")
			}
		})
	})
}

// grow adds n events, one a second, after the newest.
func (a *archive) grow(n int) {
	newest := a.events[0].At.Time().Add(time.Duration(n) * time.Second)
	a.events = newArchive(len(a.events)+n, newest).events
}

// A panic in a keeper goes to the guard, which may end the process as it likes.
func TestAPanicInAKeeperGoesToTheGuard(t *testing.T) {
	inBubble(t, func(b *bench) {
		var caught atomic.Int64
		guard := func(f func()) func() {
			return func() {
				defer func() {
					if recover() != nil {
						caught.Add(1)
					}
				}()
				f()
			}
		}
		b.run(job.Complete, func(j *job.Job) job.Verdict { return j.Load(b.Context()) }, func(c *job.Config) {
			c.Guard = guard
			c.Connect = func(context.Context) (job.Source, error) { return &panicky{archive: b.source}, nil }
		})
		if caught.Load() != 1 {
			b.Errorf("%d panics were caught", caught.Load())
		}
	})
}

// panicky panics when the keeper of the quotas leaves them. The first time is when the job is planned.
type panicky struct {
	*archive
	left atomic.Int64
}

func (p *panicky) Leave(context.Context) error {
	if p.left.Add(1) > 1 {
		panic("a bug")
	}
	return nil
}
