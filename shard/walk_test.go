package shard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The tests named TestRegress are faults that the simulation found, made small.

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

// A record at the end of a page that looks older than the window was taken for the beginning of the older window.
func TestRegressOldLookingRecordAtThePagesEnd(t *testing.T) {
	for _, position := range []int{9, 19, 28, 29} {
		for _, by := range []time.Duration{-5 * time.Hour, -25 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(skewed(60, by, position), 10)
				b.walk(t, upper)
				if !b.stored(position) {
					t.Errorf("record %d is lost", position)
				}
			})
		}
	}
}

// The same record made every page after it look out of order, as if the cursor was ignored: the window was read again twice,
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

// A resume point with a wrong timestamp leads beyond records that were never read. The walk must not continue from there.
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

// The very last record of all has a wrong timestamp: a read that begins there finds nothing.
func TestRegressWrongTimestampAtTheVeryEnd(t *testing.T) {
	for _, n := range []int{1, 2, 25} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(skewed(n, -15*time.Second, n-1), 10)
			b.walk(t, open)
		})
	}
}

// The record after which the end is read again has a wrong timestamp that fits the order: it was never met there, however often
// the window was read, and the shard failed.
func TestRegressWrongTimestampWhereTheEndIsReadAgain(t *testing.T) {
	const n = 50
	synctest.Test(t, func(t *testing.T) {
		b := newBench(skewed(n, -500*time.Millisecond, n-tailKeys), 10)
		b.walk(t, open)
		if len(b.rows) != n {
			t.Errorf("%d rows, want %d", len(b.rows), n)
		}
	})
}

// The resume point has a wrong timestamp, which leads beyond records that were never read, and the API claims an end one record
// after it. The pass that read this end again did not know any more that the resume point had not been met, and went on from there.
func TestRegressAnEndBeforeTheResumePointIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(skewed(50, -19500*time.Millisecond, 9), 1)
		b.api.LeadWins = true
		b.From.Resume = Key{At: b.Records[9].Shown, ID: b.Records[9].ID}
		for _, r := range b.Records[:10] {
			b.rows[r.ID] = r.Shown
		}
		b.Source = edited{b.api, func(p *Page) {
			if b.Asked == 2 {
				p.Events, p.Received, p.More = nil, 0, false
			}
		}}
		b.walk(t, open)
	})
}

// An end counted as confirmed by a read after a restart, which was the first read from its own position.
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

// The cursor that led to the end was forgotten after the first read that confirmed it, and the next read began at the top.
func TestRegressLeadSurvivesACachedConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(95), 10)
		b.api.Until = untilRefused
		b.Source = edited{b.api, func(p *Page) { p.Cached = b.Asked == 11 }}
		b.walk(t, open)
		if b.Asked != 12 {
			t.Errorf("%d pages were requested, want 12", b.Asked)
		}
	})
}

// The first answer at the end of the data lacks some records, as one of a replica that lags; the one that confirmed it had them, and
// they were taken for known ones.
func TestRegressAThinAnswerAtTheEnd(t *testing.T) {
	for lacks := range 5 {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(seconds(95), 10)
			b.Source = edited{b.api, func(p *Page) {
				if b.Asked == 10 {
					p.Events = slices.Delete(slices.Clone(p.Events), lacks, lacks+1)
					p.Received--
				}
			}}
			b.walk(t, open)
			if len(b.rows) != 95 || b.Asked != 12 {
				t.Errorf("without record %d: %d rows after %d requests", 90+lacks, len(b.rows), b.Asked)
			}
		})
	}
}

// The source forgets its oldest records while they are read: what is gone at the old end of the data is no lie, and the shard comes to
// an end, at the first attempt and after every kill.
func TestASourceThatForgetsItsOldestRecords(t *testing.T) {
	for _, rate := range []float64{0.5, 1.16, 5, 50} { // records a request
		for kill := range 12 {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(seconds(200), 20)
				all := b.Records
				b.api.Step = func() {
					if b.Records = all[:max(0, len(all)-int(rate*float64(b.Asked)))]; b.Asked == kill {
						b.api.Faults.Transient = 1
					} else {
						b.api.Faults.Transient = 0
					}
				}
				var err error
				for range 4 {
					b.From = b.Load(1)
					if err = b.Run(t.Context(), t.Context()); err == nil {
						break
					}
					time.Sleep(time.Minute)
				}
				if row := b.Load(1); err != nil || row.Proof == "" || b.Asked > 60 {
					t.Errorf("%v a request, a fault at request %d: %v after %d requests, %d rows", rate, kill, err, b.Asked, len(b.rows))
				}
				for i := range b.Records {
					if !b.stored(i) {
						t.Fatalf("record %d is still served, and not stored", i)
					}
				}
			})
		}
	}
}

// After an early end, a record that looks newer than the window was dropped from the next pass.
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

// Reading an end again brought a reject that had not been seen before, and counted as bringing nothing new.
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

// If the newer neighbour ended at the end of the data, an empty window was confirmed by reading everything from the top.
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

// Old-looking records were counted together with the older ones of the next page, although newer ones stood in between.
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

// A wrong resume point was kept although the next page showed that it was wrong, so that a dead cursor cost the whole window.
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
			t.Errorf("%d pages were requested, %d records stored twice", b.Asked, b.twice)
		}
	})
}

// The record to resume after does not exist: it is looked for a minute higher, and then the window is read again, from the row on.
func TestRegressResumePointIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(600), 100)
		b.From.Resume = Key{At: b.Records[200].At, ID: idOf(999)}
		b.shards[1].Resume = b.From.Resume
		cleared := false
		b.Check = func(t *table, row *Checkpoint) error {
			cleared = cleared || row.Resume.IsZero()
			if !cleared && row.Resume.ID != idOf(999) {
				return fmt.Errorf("the row went on to %+v", row)
			}
			return nil
		}
		b.walk(t, open)
		if b.Asked != 10 || len(b.rows) != 600 || !cleared {
			t.Errorf("%d pages were requested, %d rows are stored", b.Asked, len(b.rows))
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
		for vary := range 3 { // as earlier attempts have left them
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

// A fault far from the top of the data costs a few pages, not a new walk from the top.
func TestRunAFaultCostsPagesNotTheWindow(t *testing.T) {
	records := seconds(500)
	for name, c := range map[string]struct {
		fault apiFaults
		at    int // the answer that it meets
		end   Instant
	}{
		"a cursor dies late in the window":    {apiFaults{CursorDies: 1}, 40, Future},
		"the API ignores where it is to read": {apiFaults{Ignore: 1}, 1, records[400].At},
	} {
		t.Run(name, func(t *testing.T) {
			calm, hit := walkedPages(t, records, c.end, 0, c.fault), walkedPages(t, records, c.end, c.at, c.fault)
			if hit <= calm || hit > calm+4 {
				t.Errorf("%d pages with the fault, %d without it", hit, calm)
			}
		})
	}
}

// walkedPages walks a window, with a fault at one answer, and returns how many pages that took.
func walkedPages(t *testing.T, records []record, end Instant, at int, fault apiFaults) (pages int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(records, 10)
		b.From.Window.End = end
		answers := 0
		b.api.Step = func() {
			b.api.Faults = apiFaults{}
			if answers++; answers == at {
				b.api.Faults = fault
			}
		}
		rows := 0
		for _, r := range records {
			if r.At < end {
				rows++
			}
		}
		b.check(t, rows, b.Run(t.Context(), t.Context()), nil)
		pages = b.Asked
	})
	return pages
}

// tie is a history of n records in one instant, with some before and after.
func tie(n int) []record {
	records := seconds(n + 40)
	for i := range n {
		records[20+i].At = records[20].At
		records[20+i].Shown = records[20].At
	}
	return sorted(records)
}

// An obstacle that cannot be passed ends with a StuckError after a few pages, not with a loop or a false end.
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
		"every position is ignored":                        {seconds(60), untilInclusive, apiFaults{Ignore: 1}, 0, 1, 40},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(c.records, 10)
				b.api.Until, b.api.Faults, b.api.TTL = c.until, c.faults, c.ttl
				err := b.Run(t.Context(), t.Context())
				checkStuck(t, b, err, c.limit)
				if b.Asked > c.asked {
					t.Errorf("%d pages were requested, want at most %d", b.Asked, c.asked)
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
	if !b.Budget.whole() {
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

// edited is a Source whose pages are edited.
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

// Pages of rejects have no key; cursors that lead in a circle through them are noticed all the same.
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

// Below a window of one instant, the end of the data was a few records after a jump, many of them of one instant. Reading that end
// again began among these: four of them passed for a proof that the resume point had been missed, and all was read anew, without end.
func TestRegressAnEndOfManyOfOneInstantIsReadAgain(t *testing.T) {
	for limit := range 6 {
		for older := 4; older < 2*sceptical; older++ {
			synctest.Test(t, func(t *testing.T) {
				records := make([]record, 30+older)
				for i := range records {
					at := epoch
					if i >= 30 {
						at = epoch.Add(-time.Hour - time.Duration(min(i-30, 4))*time.Minute)
					}
					records[i] = record{Key: Key{At: at, ID: idOf(i)}, Shown: at}
				}
				b := newBench(sorted(records), 1+limit)
				b.api.TTL = 150 * time.Millisecond // longer than a request takes, shorter than two
				b.walk(t, Window{epoch, Future})
				if pages := len(records)/(1+limit) + 1; b.Asked > 2*pages+2 {
					t.Errorf("pages of %d, %d older: %d requests for %d pages", 1+limit, older, b.Asked, pages)
				}
			})
		}
	}
}

// Pages of one record: the end was read again from further up, and what it showed before its last record was no known end.
func TestRegressAnEndInPagesOfOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := make([]record, 12)
		for i := range records {
			records[i] = record{Key: Key{At: epoch, ID: idOf(i)}, Shown: epoch}
		}
		records = sorted(records)
		records[4].Shown = epoch.Add(-time.Hour)
		b := newBench(records, 1)
		b.walk(t, open)
		if b.Asked > 2*len(records) {
			t.Errorf("%d requests for %d records", b.Asked, len(records))
		}
	})
}

// Two records of one instant were the resume point by turns, for ever, if the cursor after their page was always dead.
func TestRegressManyOfOneInstantWithoutACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := seconds(9)
		for i := range 4 {
			records[i].At, records[i].Shown = epoch, epoch
		}
		b := newBench(sorted(records), 2)
		b.api.Pieces, b.api.Until, b.api.Faults = 2, untilMillis, apiFaults{CursorDies: 1}
		var stuck *StuckError
		if err := b.Run(t.Context(), t.Context()); !errors.As(err, &stuck) || b.Asked > 50 {
			t.Errorf("ended with %v after %d requests", err, b.Asked)
		}
	})
}

// The API answered from its cache that there is no more, as it had said to an attempt before, and then said so again: two old lies, and
// no two reads of the end.
func TestRegressAnEndFromTheCacheIsNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(60), 10)
		b.api.Step = func() {
			b.api.Faults = apiFaults{LieTwice: true}
			if b.Asked == 3 || b.Asked == 4 {
				b.api.Faults.EarlyEnd = 1
			}
		}
		b.Source = edited{b.api, func(p *Page) { p.Cached = b.Asked == 3 }}
		b.walk(t, open)
	})
}

// Read from the top, two passes ended before they came to the window, the second further on than the first: the same end, it seemed,
// and nothing of the window was read.
func TestRegressTwoEndsBeforeTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(seconds(60), 2)
		b.api.Until = untilRefused
		b.api.Step = func() {
			b.api.Faults = apiFaults{LieTwice: true}
			if b.Asked == 3 || b.Asked == 8 {
				b.api.Faults.EarlyEnd = 1
			}
		}
		b.walk(t, Window{b.Records[50].At, b.Records[30].At})
	})
}

// A pass met the record to resume after on its second page, because the API had led it back to the top: the first page, which lay beyond
// unread records, became the resume point.
func TestRegressThePageBeforeTheResumePointIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(skewed(40, -20*time.Second, 0), 1) // it is to resume after the first record, which looks as old as the 21st
		first := b.Records[0].event()
		b.From.Resume = first.Key()
		b.rows[first.ID] = first.At
		b.api.Step = func() {
			b.api.Faults = apiFaults{}
			switch b.Asked {
			case 2:
				b.api.Faults.Ignore = 1
			case 3:
				b.api.Faults.Transient = 1
			}
		}
		var transient *TransientError
		b.shards[1].Resume = b.From.Resume
		if err := b.Run(t.Context(), t.Context()); !errors.As(err, &transient) {
			t.Fatalf("ended with %v", err)
		}
		if row := b.Load(1); row.Resume != b.From.Resume {
			t.Errorf("it resumes after %s at %s", row.Resume.ID, row.Resume.At)
		}
	})
}
