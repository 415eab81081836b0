package coordinator_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator"
	"sluice/shard"
)

// Eight days are divided into four windows. A survey has seen ten times as many events an hour near the end as before, so the
// newer windows are shorter.
func ExamplePlan() {
	day := func(n int) shard.Instant { return shard.InstantOf(time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC)) }
	span := shard.Window{Start: day(0), End: day(8)}
	calm := shard.Sample{From: day(3), To: day(3).Add(10 * time.Hour), Events: 5000}
	busy := shard.Sample{From: day(7), To: day(7).Add(time.Hour), Events: 5000}
	for _, w := range coordinator.Plan(span, day(0), day(8), 4, calm, busy) {
		fmt.Println(w.Start.Time().Format("Jan 2 15:04"), "and", w.End.Sub(w.Start).Round(time.Hour))
	}
	// Output:
	// Jan 1 00:00 and 78h0m0s
	// Jan 4 05:42 and 57h0m0s
	// Jan 6 14:46 and 29h0m0s
	// Jan 7 19:23 and 29h0m0s
}

// days is an API with ten events a day, from 2026 on, in pages of 7.
type days int

func (n days) Pages(_ context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		next, start := int(n)*10-1, shard.FromTop
		if at, err := strconv.Atoi(from.Cursor); err == nil {
			next, start = at, shard.ByCursor
		}
		for more := true; more; start = shard.ByCursor {
			page := shard.Page{Start: start, Endpoint: "list"}
			for ; next >= 0 && page.Received < 7; next-- {
				at := shard.InstantOf(time.Date(2026, 1, 1, 0, next*144, 0, 0, time.UTC))
				page.Events = append(page.Events, shard.Event{ID: uuid.UUID{14: byte(next >> 8), 15: byte(next)}, At: at, Type: "click"})
				page.Received++
			}
			page.More, page.Cursor = next >= 0, strconv.Itoa(next)
			if more = page.More; !yield(page, nil) {
				return
			}
		}
	}
}

// memory is a database: the table, and the ledger of shards.
type memory struct {
	mu     sync.Mutex
	table  map[uuid.UUID]shard.Instant
	shards []shard.Checkpoint
}

func (m *memory) Load(context.Context) ([]shard.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.shards), nil
}

func (m *memory) Begin(_ context.Context, id int64) (shard.Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shards[id-1].Attempts++
	return m.shards[id-1], nil
}

func (m *memory) Fail(_ context.Context, id int64, state shard.State, message string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shards[id-1].State, m.shards[id-1].LastError = state, message
	return nil
}

func (m *memory) Commit(_ context.Context, b shard.Batch) (shard.Counts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := &m.shards[b.From.ID-1]
	if row.Seq != b.From.Seq {
		return shard.Counts{}, shard.ErrStale
	}
	counts := b.Seen
	for e := range b.Events() {
		if _, known := m.table[e.ID]; known {
			counts.Duplicates++
			continue
		}
		m.table[e.ID] = e.At
		counts.Events++
	}
	row.Seq++
	row.Counts = row.Counts.Add(counts)
	row.Cursor, row.CursorExpires, row.Resume, row.Proof = b.Cursor, b.CursorExpires, b.Resume, b.Proof
	if b.Proof != "" {
		row.State = shard.Done
	}
	for _, w := range b.Split {
		m.shards = append(m.shards, shard.Checkpoint{ID: int64(len(m.shards) + 1), Shard: len(m.shards) + 1, Parent: row.ID, Window: w, State: shard.Pending})
		row = &m.shards[b.From.ID-1]
		row.Window.Start = w.End
	}
	return counts, nil
}

// A source and a store of one's own: the coordinator runs the planned shards until every event of the source is stored.
func ExampleCoordinator() {
	source, store := days(8), &memory{table: map[uuid.UUID]shard.Instant{}}
	start := shard.InstantOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	span := shard.Window{Start: shard.Past, End: shard.Future}
	for i, w := range coordinator.Plan(span, start, start.Add(8*24*time.Hour), 4) {
		store.shards = append(store.shards, shard.Checkpoint{ID: int64(i + 1), Shard: i + 1, Window: w, State: shard.Pending})
	}
	c, err := coordinator.New(coordinator.Config{Fetchers: 4}, source, store, store.shards)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := c.Run(context.Background())
	fmt.Println(err, outcome.Cause, "failed:", len(outcome.Failures), "left:", outcome.Left)
	fmt.Println(len(store.table), "events stored")
	// Output:
	// <nil> <nil> failed: 0 left: 0
	// 80 events stored
}
