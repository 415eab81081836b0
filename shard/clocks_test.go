package shard

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// clocks are what a batch of adjacent records may show instead of their times. The n-th record of the batch is the n-th that the API
// lists.
var clocks = map[string]func(at Instant, n int) Instant{
	"stands still in 2000": func(_ Instant, _ int) Instant { return InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) },
	"runs in 2000": func(_ Instant, n int) Instant {
		return InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Add(time.Duration(-n) * time.Second)
	},
	"runs backwards in 2000": func(_ Instant, n int) Instant {
		return InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Add(time.Duration(n) * time.Second)
	},
	"stands still in 2040": func(_ Instant, _ int) Instant { return InstantOf(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)) },
	"is two days behind":   func(at Instant, _ int) Instant { return at.Add(-48 * time.Hour) },
	"is two days ahead":    func(at Instant, _ int) Instant { return at.Add(48 * time.Hour) },
}

// batches returns a history of n records, a second apart, of which those from each of the places on show a clock.
func batches(n, length int, clock func(Instant, int) Instant, places ...int) []record {
	records := seconds(n)
	for _, place := range places {
		for i := range length {
			records[place+i].Shown = clock(records[place+i].At, i)
		}
	}
	return records
}

// Twenty batches of 50 adjacent records with a wrong clock, at every place in a page, prove no end, and lead no walk astray. They cost
// hardly a page, whether the cursors live or die.
func TestBatchesOfAWrongClock(t *testing.T) {
	for name, clock := range clocks {
		for window, w := range map[string]Window{
			"open": {Past, Future}, "bounded": {epoch.Add(-2500 * time.Second), epoch.Add(-500 * time.Second)},
		} {
			for _, dies := range []int{0, 3, 8} { // every so many requests a cursor is dead
				t.Run(fmt.Sprintf("%s, %s, %d", name, window, dies), func(t *testing.T) {
					for first := 0; first < 140; first += 23 {
						b := walkBatches(t, clock, w, first, dies)
						most := 22
						if dies > 0 {
							most = 60
						}
						if b.Asked > most {
							t.Errorf("from record %d: %d pages were requested, want at most %d", first, b.Asked, most)
						}
					}
				})
			}
		}
	}
}

func walkBatches(t *testing.T, clock func(Instant, int) Instant, w Window, first, dies int) (b *bench) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var places []int
		for i := range 20 {
			places = append(places, first+i*140)
		}
		b = newBench(batches(3000, 50, clock, places...), 200)
		b.api.Step = func() {
			b.api.Faults.CursorDies = 0
			if dies > 0 && b.Asked%dies == 0 {
				b.api.Faults.CursorDies = 1
			}
		}
		b.walk(t, w)
		front := true // what stands there and looks newer than the window is the newer neighbour's
		for i, r := range b.Records {
			front = front && (!w.Contains(r.At) || r.Shown >= w.End)
			if w.Contains(r.At) && !front && !b.stored(i) {
				t.Fatalf("record %d at %s, shown as %s, is lost", i, r.At, r.Shown)
			}
		}
	})
	return b
}
