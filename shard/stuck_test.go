package shard

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"
)

// tie is a history of n records in one instant, with some before and after.
func tie(n int) []record {
	records := seconds(n + 40)
	for i := range n {
		records[20+i].At = records[20].At
		records[20+i].Shown = records[20].At
	}
	return sorted(records)
}

// What cannot be passed ends with a StuckError after a few pages: no loop, no shard that is done without being so.
func TestRunStuck(t *testing.T) {
	for name, c := range map[string]struct {
		records []record
		until   untilMode
		faults  apiFaults
		ttl     time.Duration
		limit   int // of attempts
		asked   int // pages at most
	}{
		"a tie larger than a page, cursors die at once":    {tie(60), untilInclusive, apiFaults{CursorDies: 1}, 0, 1, 16},
		"a tie larger than a page, cursors die of old age": {tie(60), untilInclusive, apiFaults{}, time.Millisecond, 1, 16},
		"cursors only, and they die at once":               {seconds(60), untilRefused, apiFaults{CursorDies: 1}, 0, 1, 16},
		"nothing but empty pages":                          {seconds(60), untilInclusive, apiFaults{EmptyMore: 1}, 0, 3, 12},
		"each cursor leads back":                           {seconds(60), untilRefused, apiFaults{Cycle: 1}, 0, 1, 40},
		"every place is ignored":                           {seconds(60), untilInclusive, apiFaults{Ignore: 1}, 0, 1, 40},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(c.records, 10)
				b.api.Until, b.api.Faults, b.api.TTL = c.until, c.faults, c.ttl
				err := b.Run(t.Context(), t.Context())
				checkStuck(t, b, err, c.limit)
				if b.Asked > c.asked {
					t.Errorf("%d pages were asked for, %d show it", b.Asked, c.asked)
				}
			})
		})
	}
}

func checkStuck(t *testing.T, b *bench, err error, limit int) {
	t.Helper()
	var stuck *StuckError
	if !errors.As(err, &stuck) || stuck.Limit != limit {
		t.Errorf("ended with %v, want a StuckError with limit %d", err, limit)
	}
	if row := b.Load(1); row.Proof != "" || b.wrong != nil {
		t.Errorf("proof %q, %v", row.Proof, b.wrong)
	}
	if !b.Budget.free() {
		t.Error("the budget is not given back")
	}
}

// A tie larger than a page is no obstacle while cursors live.
func TestRunPassesATie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(tie(500), 10)
		err := b.Run(t.Context(), t.Context())
		b.check(t, 540, err, nil)
	})
}

// edited is a Source whose pages are changed on their way.
type edited struct {
	Source
	edit func(*Page)
}

func (e edited) Pages(ctx context.Context, from Position) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for p, err := range e.Source.Pages(ctx, from) {
			e.edit(&p)
			if !yield(p, err) {
				return
			}
		}
	}
}

// An end that comes from the API's cache each time is never confirmed.
func TestRunStuckAtACachedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(25), 10)
		b.Source = edited{b.api, func(p *Page) { p.Cached = true }}
		err := b.Run(t.Context(), t.Context())
		checkStuck(t, b, err, 3)
		if got := len(b.rows); got != 25 {
			t.Errorf("%d rows are stored, want 25", got)
		}
	})
}

// Pages of rejects alone have no key; a cursor that leads round through them is seen all the same.
func TestRunStuckInACircleOfRejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := seconds(60)
		for i := range records[10:40] {
			records[10+i].Bad = true
		}
		b := newBench(records, 5)
		b.api.Until = untilRefused
		b.api.Step = func() {
			b.api.Faults.Cycle = 0
			if b.Asked > 5 {
				b.api.Faults.Cycle = 1
			}
		}
		checkStuck(t, b, b.Run(t.Context(), t.Context()), 1)
	})
}
