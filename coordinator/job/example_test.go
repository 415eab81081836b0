package job_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/memstore"
	"sluice/fetch"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// archive is a source of one's own: events in memory, newest first, a hundred to a page.
type archive struct {
	events []shard.Event
	pages  atomic.Int64
}

// It has no quotas to share.
func (a *archive) Join(context.Context, ledger.Quotas, string, string) error { return nil }
func (a *archive) Share(context.Context) error                               { return nil }
func (a *archive) Leave(context.Context) error                               { return nil }

// newArchive returns n events, one a second, up to the newest.
func newArchive(n int, newest time.Time) *archive {
	a := &archive{events: make([]shard.Event, n)}
	for i := range a.events {
		id := uuid.UUID{6: 0x40, 8: 0x80}
		binary.BigEndian.PutUint32(id[12:], uint32(n-i)) // of two events at the same time, the greater id is the newer
		a.events[i] = shard.Event{ID: id, At: shard.InstantOf(newest.Add(-time.Duration(i) * time.Second)), Type: "click", Name: "buy", Properties: `{}`}
	}
	return a
}

// Pages begins at the cursor, at a timestamp, or at the newest event, and walks towards the past.
func (a *archive) Pages(_ context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	at, start := 0, shard.FromTop
	if n, err := strconv.Atoi(from.Cursor); err == nil {
		at, start = n, shard.ByCursor
	} else if until, bounded := from.Until(); bounded {
		for start = shard.ByUntil; at < len(a.events) && a.events[at].At >= shard.Instant(until*1000); at++ {
		}
	}
	return func(yield func(shard.Page, error) bool) {
		for {
			a.pages.Add(1)
			end := min(at+100, len(a.events))
			p := shard.Page{Events: append([]shard.Event(nil), a.events[at:end]...), Received: end - at, Start: start, More: end < len(a.events), Bytes: 100 * (end - at)}
			if p.More {
				p.Cursor, p.CursorExpires = strconv.Itoa(end), time.Now().Add(time.Hour)
			}
			if !yield(p, nil) || !p.More {
				return
			}
			at, start = end, shard.ByCursor
		}
	}
}

func (a *archive) Survey(context.Context, shard.Instant) (shard.Survey, error) {
	newest, oldest := a.events[0].At, a.events[len(a.events)-1].At
	return shard.Survey{Newest: newest, Oldest: oldest, Total: int64(len(a.events)), PageSize: 100, Step: "windows can be read by timestamp"}, nil
}

func (a *archive) Latest(context.Context) (shard.Latest, error) {
	n := min(100, len(a.events))
	l := shard.Latest{Newest: a.events[0].At, Oldest: a.events[n-1].At, Events: n, Total: int64(len(a.events))}
	for i := range n {
		l.Keys = append(l.Keys, a.events[i].Key())
	}
	return l, nil
}

func (a *archive) PageBytes() int64                        { return 0 }
func (a *archive) AskTotal(context.Context) (int64, error) { return int64(len(a.events)), nil }
func (a *archive) Total() (int64, bool)                    { return int64(len(a.events)), true }
func (a *archive) ClockOffset() (time.Duration, bool)      { return 0, false }
func (a *archive) Requests() int64                         { return a.pages.Load() }
func (a *archive) Windows() bool                           { return true }
func (a *archive) Learned() (json.RawMessage, error)       { return json.RawMessage(`{}`), nil }
func (a *archive) Recall(json.RawMessage) error            { return nil }

var quiet = slog.New(slog.DiscardHandler)

// A source of one's own, ingested into a store of one's own. A program has a source in package fetch/datasync, and a store in
// package sink.
func Example() {
	ctx := context.Background()
	source, database := newArchive(1000, time.Date(2026, 1, 27, 19, 20, 12, 0, time.UTC)), memstore.New()
	j, err := job.Open(ctx, job.Config{
		Name: "events", SourceName: "archive", Store: database.Open("events", "run 1", nil), Shards: 4, Log: quiet,
		Connect: func(context.Context) (job.Source, error) { return source, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()
	verdict := j.Load(ctx)
	fmt.Println(verdict.Status)
	fmt.Println(verdict.Text)
	fmt.Println(verdict.Figures.New, "events are new,", verdict.Figures.Done, "of", verdict.Figures.Shards, "windows are done")
	// Output:
	// complete
	// 1000 rows: all 4 shards complete with proven ends, the table matches the ledger, rows account for the 1000 events that the source counted
	// 1000 events are new, 4 of 4 windows are done
}

// The DataSync API, ingested into PostgreSQL until the program is interrupted: what `sluice follow` does.
func Example_datasync() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := sink.Open(ctx, sink.Config{URL: os.Getenv("DATABASE_URL"), Job: "events", Run: uuid.New()})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	j, err := job.Open(ctx, job.Config{
		Name: "events", SourceName: "https://api.example.com", Store: db,
		Connect: func(context.Context) (job.Source, error) {
			pacer, err := quota.NewPacer(quota.Config{Quotas: datasync.Quotas(quota.Limit{}, quota.Limit{})})
			if err != nil {
				return nil, err
			}
			return datasync.New(datasync.Config{
				BaseURL: "https://api.example.com", Key: fetch.Secret(os.Getenv("TARGET_API_KEY")), Fetch: fetch.Config{Pacer: pacer},
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	if v := j.Follow(ctx); v.Status != job.Complete {
		log.Fatalf("%s: %s", v.Status, v.Text)
	}
}

// A plan shows what a first load would do, and stores nothing.
func ExamplePlan() {
	source := newArchive(86_400, time.Date(2026, 1, 27, 23, 59, 59, 0, time.UTC))
	plan, err := job.Plan(context.Background(), source, ledger.Everything, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range plan.Windows {
		fmt.Println(w)
	}
	fmt.Println(plan.Pages, "requests for", plan.Total, "events")
	// Output:
	// [-infinity, 2026-01-27T07:59:59.666Z)
	// [2026-01-27T07:59:59.666Z, 2026-01-27T15:59:59.333Z)
	// [2026-01-27T15:59:59.333Z, infinity)
	// 867 requests for 86400 events
}

// After the first load, a pass reads the new events and those that came late.
func ExampleJob_Sync() {
	ctx := context.Background()
	source, database := newArchive(500, time.Now().Add(-time.Hour).Truncate(time.Second)), memstore.New()
	j, err := job.Open(ctx, job.Config{
		Name: "events", SourceName: "archive", Store: database.Open("events", "run 1", nil), Log: quiet,
		Connect: func(context.Context) (job.Source, error) { return source, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()
	fmt.Println(j.Load(ctx).Status)
	newer := newArchive(550, source.events[0].At.Time().Add(50*time.Second))
	source.events = newer.events
	round := j.Sync(ctx).Figures.Round
	fmt.Println("round", round.Number, "brought", round.Counts.Events, "new events")
	// Output:
	// complete
	// round 2 brought 50 new events
}
