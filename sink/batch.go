package sink

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// prepared is a batch made ready: its events in the order of their rows, and everything that is known about it without the
// database.
type prepared struct {
	*shard.Batch
	// order is the events by id, and in the API's order if an id occurs twice. Sorted rows cannot deadlock with those of
	// another batch, and the index takes them faster.
	order        []*shard.Event
	duplicateIDs bool           // an id occurs twice with different content: a COPY would abort
	known        int64          // events left out of order, because it holds the same one already
	refused      []shard.Reject // events that no row can hold
	// watermark at the start of the round: stored events before it are late. 0 means there is none.
	watermark shard.Instant
}

func prepare(b *shard.Batch) (*prepared, error) {
	rows := b.Rows()
	records := int64(rows+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	if records != b.Seen.Received {
		return nil, fmt.Errorf("batch after seq %d of shard %d counts %d records received, but holds %d", b.From.Seq, b.From.ID, b.Seen.Received, records)
	}
	p := &prepared{Batch: b, order: make([]*shard.Event, 0, rows)}
	refs := sortedRefs(b.Pages, rows)
	for i, r := range refs {
		switch e := r.event(b.Pages); {
		case e.At < oldest || e.At > newest:
			p.refused = append(p.refused, rejectOf(e, ReasonRefused, "timestamp beyond PostgreSQL's range"))
		case p.repeats(refs[:i], r):
			p.known++
		default:
			p.order = append(p.order, e)
		}
	}
	return p, nil
}

// The range of timestamptz: 4713 BC to 294276 AD.
const (
	oldest shard.Instant = -210_866_803_200_000_000
	newest shard.Instant = 9_223_371_331_199_999_999
)

// ref is an event's id as two numbers, which compare faster than bytes, and where the event is: its page, and its index there.
// With a pointer instead, each move of the sort would pass the garbage collector's write barrier.
type ref struct {
	high, low uint64
	page, at  int32
}

func (r *ref) event(pages [][]shard.Event) *shard.Event { return &pages[r.page][r.at] }

func sortedRefs(pages [][]shard.Event, rows int) []ref {
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

// repeats reports whether r is the same record as an earlier one with its id.
func (p *prepared) repeats(before []ref, r ref) bool {
	for i := len(before) - 1; i >= 0 && before[i].high == r.high && before[i].low == r.low; i-- {
		if *before[i].event(p.Pages) == *r.event(p.Pages) {
			return true
		}
		p.duplicateIDs = true
	}
	return false
}

// hasDeadLetters reports whether the batch has dead letters before the table has seen its rows.
func (p *prepared) hasDeadLetters() bool { return len(p.Rejects)+len(p.refused) > 0 }

// deadLetters returns all rejects, in the order of their hashes: the same order in every transaction, so that two of them cannot
// deadlock.
func (p *prepared) deadLetters(more []shard.Reject) []shard.Reject {
	all := slices.Concat(p.Rejects, p.refused, more)
	slices.SortStableFunc(all, func(a, b shard.Reject) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	return all
}

// tally is counts with the one number that only the database keeps.
type tally struct {
	shard.Counts
	deadDuplicates int64 // of Duplicates: rejects without a readable id that were known byte for byte
}

// expected returns the counts of the batch if every event and every reject is new.
func (p *prepared) expected() tally {
	t := tally{Counts: p.Seen}
	t.Events = int64(len(p.order))
	t.Duplicates += p.known
	t.DeadLetters = int64(len(p.Rejects) + len(p.refused))
	return t
}

// late counts the stored events before the watermark.
func (p *prepared) late(notStored []*shard.Event) (n ledger.Late) {
	if p.watermark == 0 {
		return n
	}
	out := make(map[*shard.Event]bool, len(notStored))
	for _, e := range notStored {
		out[e] = true
	}
	for _, e := range p.order {
		if e.At < p.watermark && !out[e] {
			n.Add(p.watermark.Sub(e.At))
		}
	}
	return n
}
