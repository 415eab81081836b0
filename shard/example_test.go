package shard_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"sluice/shard"
)

// minutes is an API with an event every minute, newest first. It knows no cursors, and serves everything on one page.
type minutes int

func (n minutes) Pages(context.Context, shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		page := shard.Page{Received: int(n), Start: shard.FromTop, Endpoint: "list"}
		for i := int(n) - 1; i >= 0; i-- {
			page.Events = append(page.Events, shard.Event{ID: uuid.UUID{15: byte(i + 1)}, At: minute(i), Type: "click"})
		}
		yield(page, nil)
	}
}

func minute(i int) shard.Instant {
	return shard.InstantOf(time.Date(2026, 1, 27, 12, i, 0, 0, time.UTC))
}

// printer is a Sink that prints what it is to commit.
type printer struct{}

func (printer) Commit(_ context.Context, b shard.Batch) (shard.Counts, error) {
	for e := range b.Events() {
		fmt.Println("store", e.At)
	}
	fmt.Println("resume after", b.Resume.At)
	fmt.Println("end proven by records that are", b.Proof)
	counts := b.Seen
	counts.Events = int64(b.Rows())
	fmt.Printf("%d received, %d stored, %d of other shards\n", counts.Received, counts.Events, counts.OutOfWindow)
	return counts, nil
}

// A page reaches beyond both ends of the window. The shard stores what lies in between, and takes the older records as the proof
// that nothing is missing.
func ExampleAttempt() {
	attempt := shard.Attempt{
		Source: minutes(10),
		Sink:   printer{},
		From:   shard.Checkpoint{Window: shard.Window{Start: minute(5), End: minute(8)}},
		Budget: shard.NewBudget(16<<20, 0),
		Stats:  new(shard.Stats),
		Log:    slog.Default(),
	}
	ctx := context.Background()
	if err := attempt.Run(ctx, ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// store 2026-01-27T12:07:00Z
	// store 2026-01-27T12:06:00Z
	// store 2026-01-27T12:05:00Z
	// resume after 2026-01-27T12:00:00Z
	// end proven by records that are older
	// 10 received, 3 stored, 7 of other shards
}

// The windows of a span share no instant, and none is left out.
func ExampleWindow() {
	newer := shard.Window{Start: minute(5), End: shard.Future}
	older := shard.Window{Start: shard.Past, End: minute(5)}
	fmt.Println(newer.Contains(minute(5)), older.Contains(minute(5)))
	fmt.Println(older)
	// Output:
	// true false
	// [-infinity, 2026-01-27T12:05:00Z)
}
