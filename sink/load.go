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
	// order lists Events by id, and in the API's order where an id stands twice. Sorted rows cannot deadlock with those of
	// another batch, and the index takes them faster.
	order   []int32
	twins   bool           // an id stands twice with different content: a COPY would abort
	known   int64          // events left out of order, because the same one is in it
	refused []shard.Reject // events that no row can hold
	// watermark of the round's start: what is stored and lies before it comes late. 0: there is none.
	watermark shard.Instant
}

func newLoad(b *shard.Batch) (*load, error) {
	records := int64(len(b.Events)+len(b.Rejects)) + b.Seen.Duplicates + b.Seen.OutOfWindow
	if records != b.Seen.Received {
		return nil, fmt.Errorf("batch after seq %d of shard %d counts %d records received, but holds %d", b.From.Seq, b.From.ID, b.Seen.Received, records)
	}
	l := &load{Batch: b, order: make([]int32, 0, len(b.Events))}
	refs := l.sorted()
	for i, r := range refs {
		switch e := &b.Events[r.at]; {
		case e.At < oldest || e.At > newest:
			l.refused = append(l.refused, letter(e, ReasonRefused, "timestamp beyond PostgreSQL's range"))
		case l.repeats(refs[:i], r):
			l.known++
		default:
			l.order = append(l.order, r.at)
		}
	}
	return l, nil
}

// What a timestamptz can hold: 4713 BC to 294276 AD.
const (
	oldest shard.Instant = -210_866_803_200_000_000
	newest shard.Instant = 9_223_371_331_199_999_999
)

// ref is an event's id as two numbers, which compare faster than bytes, and its place in Events.
type ref struct {
	high, low uint64
	at        int32
}

func (l *load) sorted() []ref {
	refs := make([]ref, len(l.Events))
	for i := range l.Events {
		id := &l.Events[i].ID
		refs[i] = ref{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), int32(i)}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if a.high != b.high {
			return cmp.Compare(a.high, b.high)
		}
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.at, b.at))
	})
	return refs
}

// repeats tells whether r is the same record as one of those before it with its id.
func (l *load) repeats(before []ref, r ref) bool {
	for i := len(before) - 1; i >= 0 && before[i].high == r.high && before[i].low == r.low; i-- {
		if l.Events[before[i].at] == l.Events[r.at] {
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
