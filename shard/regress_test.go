package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Each test here is a fault that the simulation found, made small.

// skewed returns a history of n records, a second apart, of which those at the given positions show a wrong timestamp.
func skewed(n int, by time.Duration, at ...int) []record {
	records := seconds(n)
	for _, i := range at {
		records[i].Shown = records[i].Shown.Add(by)
	}
	return records
}

// walk runs a bench over one window to its end, in one attempt.
func (b *bench) walk(t *testing.T, w Window) {
	t.Helper()
	b.From.Window, b.shards[1].Window = w, w
	b.shards[1].Cursor, b.shards[1].CursorExpires, b.shards[1].Resume = b.From.Cursor, b.From.CursorExpires, b.From.Resume
	err := b.Run(t.Context(), t.Context())
	if row := b.Load(1); err != nil || row.Proof == "" {
		t.Fatalf("ended with %v, proof %q", err, row.Proof)
	}
	history := world{Records: b.Records, Windows: []Window{w}}
	if err := history.covered(b.table, w, len(b.Records)); err != nil {
		t.Error(err)
	}
	if b.wrong != nil {
		t.Error(b.wrong)
	}
}

func (b *bench) stored(i int) bool { return has(b.rows, b.Records[i].ID) }

var (
	open  = Window{Past, Future}
	upper = Window{epoch.Add(-30 * time.Second), Future} // of seconds: records 0 to 30
)

// A record that looks older than the window, at the end of a page, passed for the beginning of the older window.
func TestRegressOldLookingRecordAtThePagesEnd(t *testing.T) {
	for _, position := range []int{9, 19, 28, 29} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(skewed(60, -5*time.Hour, position), 10)
			b.walk(t, upper)
			if !b.stored(position) {
				t.Errorf("record %d is lost", position)
			}
		})
	}
}

// The same record made every page after it look out of order, and so the cursor ignored: the window was read again, twice,
// and then failed.
func TestRegressOneWrongTimestampPoisonsNoPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(skewed(60, -15*time.Second, 9, 29, 49), 10)
		b.walk(t, open)
		if len(b.rows) != 60 || b.Asked != 7 || b.twice > 0 {
			t.Errorf("%d rows after %d pages, %d of them twice", len(b.rows), b.Asked, b.twice)
		}
		if got := b.Load(1).Counts.OutOfOrder; got > 3 {
			t.Errorf("%d records out of order", got)
		}
	})
}

// A resume point with a wrong timestamp leads beyond records that nobody has read. The walk must not go on from there.
func TestRegressWrongResumePoint(t *testing.T) {
	for name, until := range map[string]untilMode{"by timestamp": untilInclusive, "from the top": untilRefused} {
		for skew, meets := range map[time.Duration]string{
			-20 * time.Second: "records", -39 * time.Second: "a last record", -5 * time.Hour: "no record",
		} {
			t.Run(name+" it meets "+meets, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(skewed(50, skew, 9), 10)
					b.api.Until = until
					b.From.Resume = Key{At: b.Records[9].Shown, ID: b.Records[9].ID}
					for _, r := range b.Records[:10] {
						b.rows[r.ID] = r.Shown
					}
					b.Check = func(t *table, row *Checkpoint) error {
						if row.Resume.IsZero() && row.Cursor == "" || row.Proof != "" {
							return nil
						}
						before := slices.IndexFunc(b.Records, func(r record) bool { return r.ID == row.Resume.ID }) + 1
						if row.Cursor != "" {
							before = max(before, parseCursor(row.Cursor).pos)
						}
						return (&world{Records: b.Records}).covered(t, open, before)
					}
					b.walk(t, open)
				})
			})
		}
	}
}

// The very last record of all shows a wrong timestamp: a read that begins there meets nothing.
func TestRegressWrongTimestampAtTheVeryEnd(t *testing.T) {
	for _, n := range []int{1, 2, 25} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(skewed(n, -15*time.Second, n-1), 10)
			b.walk(t, open)
		})
	}
}

// An end counted as confirmed by a read that came after a restart, and so was the first of its own place.
func TestRegressConfirmationDoesNotSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(90), 10)
		b.api.LeadWins, b.api.Until = true, untilRefused
		b.From.Resume = b.Records[0].Key
		b.rows[b.Records[0].ID] = b.Records[0].At
		b.api.Step = func() {
			b.api.Faults = apiFaults{LieTwice: true}
			switch b.Asked {
			case 1, 4: // the first answer, and again after the restart
				b.api.Faults.EarlyEnd = 1
			case 3: // the confirming walk has brought news by now
				b.api.Faults.CursorDies = 1
			}
		}
		b.walk(t, open)
	})
}

// The cursor that led to the end was forgotten after the first confirming read, and the next one began at the top.
func TestRegressLeadSurvivesACachedConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(95), 10)
		b.api.Until = untilRefused
		b.Source = edited{b.api, func(p *Page) { p.Cached = b.Asked == 11 }}
		b.walk(t, open)
		if b.Asked != 12 {
			t.Errorf("%d pages were asked for, 12 would do", b.Asked)
		}
	})
}

// After an early end, a record that looks newer than the window was dropped from the read that continued.
func TestRegressNewLookingRecordAfterAnEarlyEnd(t *testing.T) {
	for seed := range uint64(10) { // some of them cut the page off before its first record
		synctest.Test(t, func(t *testing.T) {
			b := newBench(skewed(40, 5*time.Hour, 12), 3)
			b.api.LeadWins, b.api.Rand = true, rand.New(rand.NewPCG(seed, 1))
			b.api.Step = func() {
				b.api.Faults.EarlyEnd = 0
				if b.Asked == 2 {
					b.api.Faults.EarlyEnd = 1
				}
			}
			b.walk(t, Window{Past, b.Records[8].At})
			if !b.stored(12) {
				t.Error("record 12 is lost")
			}
		})
	}
}

// A read of the end again that brought a reject nobody had seen counted as bringing nothing new.
func TestRegressNewRejectRefutesAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := seconds(30)
		records[10].Bad = true
		b := newBench(records, 1)
		b.api.LeadWins = true
		lies := func() bool { return b.Asked == 11 || b.Asked == 13 } // before and after the reject
		b.api.Step = func() {
			b.api.Faults = apiFaults{LieTwice: true}
			if lies() {
				b.api.Faults.EarlyEnd = 1
			}
		}
		b.Source = edited{b.api, func(p *Page) {
			if lies() {
				p.Events, p.Rejects, p.Received = nil, nil, 0
			}
		}}
		b.walk(t, open)
	})
}

// A window that ends with a few records on one page and is proven by the next: the older neighbour needs both pages.
func TestRegressHandOverOfASplitProof(t *testing.T) {
	edge := 18
	for limit := 2; limit < 12; limit++ {
		w := world{Records: seconds(60)}
		start := w.Records[edge-1].At
		w.Windows = []Window{{Past, start}, {start, Future}}
		o, err := simulate(t, w, settings{Limit: limit, Pieces: limit % 3, Until: untilRefused, HandOver: true})
		if err != nil {
			t.Errorf("pages of %d: %v", limit, err)
		}
		newer, older := o.Load(2), o.Load(1)
		if newer.Counts.Events != int64(edge) || older.Counts.Events != int64(60-edge) || newer.Counts.OutOfOrder > 0 {
			t.Errorf("pages of %d: the newer shard says %+v, the older %+v", limit, newer.Counts, older.Counts)
		}
		if got, want := parseCursor(newer.Cursor).pos, edge/limit*limit; got != want {
			t.Errorf("pages of %d: the older shard begins at record %d, want %d", limit, got, want)
		}
	}
}

// Where the newer neighbour ended with the data, an empty window was confirmed by reading everything from the top.
func TestRegressHandOverAtTheEndOfTheData(t *testing.T) {
	w := world{Records: seconds(60)}
	edge := w.Records[59].At.Add(-time.Hour)
	w.Windows = []Window{{Past, edge}, {edge, Future}}
	o, err := simulate(t, w, settings{Limit: 8, Until: untilRefused, HandOver: true})
	if err != nil {
		t.Fatal(err)
	}
	if asked := o.apis[1].Asked; asked != 2 || o.twice > 0 {
		t.Errorf("the empty window took %d pages and stored %d records again", asked, o.twice)
	}
}

// Old looking records on their own page were counted with the older ones of the next, though newer than those stood between.
func TestRegressHeldRecordsOutOfOrder(t *testing.T) {
	for limit := 1; limit <= 4; limit++ {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(skewed(60, -20*time.Second, 30), limit)
			b.walk(t, upper)
			if !b.stored(30) {
				t.Errorf("pages of %d: record 30 is lost", limit)
			}
		})
	}
}

// A wrong resume point was kept although the next page had shown it to be wrong, so that a dead cursor cost the whole window.
func TestRegressResumePointIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(skewed(100, -15*time.Second, 19), 20)
		b.api.Step = func() {
			b.api.Faults.CursorDies = 0
			if b.Asked == 3 {
				b.api.Faults.CursorDies = 1
			}
		}
		b.walk(t, open)
		if b.Asked > 8 || b.twice > 0 {
			t.Errorf("%d pages were asked for, %d records stored twice", b.Asked, b.twice)
		}
	})
}

// A record to resume after that is nowhere: the window is read again once, from the row on, and then given up.
func TestRegressResumePointIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(60), 10)
		b.From.Resume = Key{At: b.Records[20].At, ID: idOf(999)}
		b.shards[1].Resume = b.From.Resume
		b.Check = func(t *table, row *Checkpoint) error {
			b.Check = nil
			if row.Seq != 1 || !row.Resume.IsZero() {
				return fmt.Errorf("the row still says %+v", row)
			}
			return nil
		}
		b.walk(t, open)
		if b.Asked != 9 || len(b.rows) != 60 {
			t.Errorf("%d pages were asked for, %d rows are stored", b.Asked, len(b.rows))
		}
	})
}

// The record to resume after is dropped, not stored a second time.
func TestResumeStoresNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(60), 10)
		b.From.Resume = b.Records[19].Key
		for _, r := range b.Records[:20] {
			b.rows[r.ID] = r.Shown
		}
		b.walk(t, open)
		if b.twice > 0 {
			t.Errorf("%d records were stored twice", b.twice)
		}
	})
}

// An answer from the cache has a cursor as old as itself. Three of them failed the shard.
func TestRegressCachedAnswersWithDeadCursors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(60), 10)
		b.api.TTL = 5 * time.Second
		b.From.Resume = b.Records[9].Key
		for vary := range 3 { // as attempts before this one have left them
			place := Position{End: Future, Resume: b.From.Resume, Vary: vary}
			for range b.api.Pages(t.Context(), place) {
				break
			}
		}
		time.Sleep(10 * time.Second)
		for _, r := range b.Records[:10] {
			b.rows[r.ID] = r.Shown
		}
		b.walk(t, open)
	})
}
