package sink

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"sluice/shard"
)

// load is a batch made ready: its events in the order of their rows, and what can be told about it without the database.
type load struct {
	*shard.Batch
	// order is the events by id, and in the API's order where an id stands twice. Sorted rows cannot deadlock with those of
	// another batch, and the index takes them faster.
	order   []*shard.Event
	twins   bool           // an id stands twice with different content: a COPY would abort
	known   int64          // events left out of order, because the same one is in it
	refused []shard.Reject // events that no row can hold
	// watermark of the round's start: what is stored and lies before it comes late. 0: there is none.
	watermark shard.Instant
}

func newLoad(b *shard.Batch) (*load, error) {
	rows := b.Rows()
	records := int64(rows+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	if records != b.Seen.Received {
		return nil, fmt.Errorf("batch after seq %d of shard %d counts %d records received, but holds %d", b.From.Seq, b.From.ID, b.Seen.Received, records)
	}
	l := &load{Batch: b, order: make([]*shard.Event, 0, rows)}
	refs := sorted(b.Pages, rows)
	for i, r := range refs {
		switch e := r.event(b.Pages); {
		case e.At < oldest || e.At > newest:
			l.refused = append(l.refused, letter(e, ReasonRefused, "timestamp beyond PostgreSQL's range"))
		case l.repeats(refs[:i], r):
			l.known++
		default:
			l.order = append(l.order, e)
		}
	}
	return l, nil
}

// What a timestamptz can hold: 4713 BC to 294276 AD.
const (
	oldest shard.Instant = -210_866_803_200_000_000
	newest shard.Instant = 9_223_371_331_199_999_999
)

// ref is an event's id as two numbers, which compare faster than bytes, and its place: the page, and where in it. A pointer
// in its stead would make each move of the sort tell the garbage collector.
type ref struct {
	high, low uint64
	page, at  int32
}

func (r *ref) event(pages [][]shard.Event) *shard.Event { return &pages[r.page][r.at] }

func sorted(pages [][]shard.Event, rows int) []ref {
	refs := make([]ref, 0, rows)
	for n, page := range pages {
		for i := range page {
			id := &page[i].ID
			refs = append(refs, ref{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), int32(n), int32(i)})
		}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if a.high != b.high {
			return cmp.Compare(a.high, b.high)
		}
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.page, b.page), cmp.Compare(a.at, b.at))
	})
	return refs
}

// repeats tells whether r is the same record as one of those before it with its id.
func (l *load) repeats(before []ref, r ref) bool {
	for i := len(before) - 1; i >= 0 && before[i].high == r.high && before[i].low == r.low; i-- {
		if *before[i].event(l.Pages) == *r.event(l.Pages) {
			return true
		}
		l.twins = true
	}
	return false
}

// buries tells whether dead letters go with the rows, whatever the table says.
func (l *load) buries() bool { return len(l.Rejects)+len(l.refused) > 0 }

// letters returns all that goes to dead_letters, in the order of their hashes: the same order in every transaction, so that
// two of them cannot deadlock.
func (l *load) letters(more []shard.Reject) []shard.Reject {
	all := slices.Concat(l.Rejects, l.refused, more)
	slices.SortStableFunc(all, func(a, b shard.Reject) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	return all
}

// expected returns what the batch counts if every event is new and every reject too.
func (l *load) expected() tally {
	t := tally{Counts: l.Seen}
	t.Events = int64(len(l.order))
	t.Duplicates += l.known
	t.DeadLetters = int64(len(l.Rejects) + len(l.refused))
	return t
}

// tally is counts with the one number that only the database keeps.
type tally struct {
	shard.Counts
	deadDuplicates int64 // of Duplicates: rejects without a readable id that were known byte for byte
}
