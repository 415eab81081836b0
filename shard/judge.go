package shard

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

const (
	// widestStep is allowed from one record to the next whatever the page's own density: sparse hours are no wrong clocks.
	widestStep = time.Minute
	// proofRecords older than the window, in order, prove its end. Two would do if timestamps could be trusted: with one
	// record in a hundred wrong, two at the end of a page are wrong once in ten thousand pages, four never.
	proofRecords = 4
)

// judge trims a page to the window, counts its records, moves the resume point, and decides whether the end is proven. It
// holds the edge meanwhile, and reports to it how far the walk has come.
func (w *walk) judge(p *Page) (Batch, error) {
	w.Edge.mu.Lock()
	defer w.Edge.mu.Unlock()
	w.Edge.midway, w.Edge.over = false, false
	b := Batch{Rejects: p.Rejects, Seen: Counts{Received: int64(p.Received)}}
	if err := w.note(p); err != nil {
		return b, err
	}
	events, err := w.trimFront(p, &b.Seen)
	if err != nil {
		return b, err
	}
	o := orderOf(events, w.tail)
	if o.torn && p.Start == ByCursor {
		return b, errIgnored
	}
	// Did the walk pass the record to resume after without meeting it? A single older record may have a wrong timestamp.
	if key, ok := o.back(2); ok && !w.seek.IsZero() && o.trusted() && key.At < w.seek.At {
		return b, errLost
	}
	if rest := w.trimBack(&o, p, &b.Seen); len(rest) > 0 {
		b.Pages = [][]Event{rest}
	}
	// Within a pass the resume point moves in either direction: a later page may show that the last record of the one before
	// had a wrong timestamp. It never moves past events that are held.
	if o.trusted() {
		w.tail = o.tail()
		point := o.resumePoint()
		if w.seek.IsZero() && len(w.held) == 0 && !point.IsZero() && (w.begun.IsZero() || w.begun.Before(point)) {
			w.pos.Resume = point
		}
	}
	switch {
	case w.proven:
		b.Proof = ProofOlder
	case p.ends() && !p.Cached && w.claimed && !w.news && (w.last == w.end || w.last == uuid.Nil): // where the last pass ended
		if !w.seek.IsZero() {
			return b, errLost
		}
		b.Proof = ProofConfirmed
	}
	next := w.continuation(b.Proof, p)
	w.pos.Cursor, w.pos.CursorExpires = next.cursor, next.expires
	b.Cursor, b.CursorExpires, b.Resume = next.cursor, next.expires, w.pos.Resume
	w.Edge.over = b.Proof != ""
	certain := !w.skip && !w.claimed && !w.rewound && w.seek.IsZero() && len(w.held) == 0 && !w.pos.Resume.IsZero()
	if b.Proof == "" && !p.ends() && certain && o.count() > 0 {
		// The last timestamp may be wrong and far too old: then the resume point says how far the walk has come.
		last, _ := o.back(1)
		w.Edge.advance(o.at(0).At, min(last.At, w.pos.Resume.At))
	}
	return b, nil
}

// note records a page of the pass, and that it is not one the pass has been to.
func (w *walk) note(p *Page) error {
	if w.pages++; w.pages == 1 {
		w.cached = p.Cached
		// A cursor leads beyond what was read, unless the newer neighbour handed it over or the last pass did not get so far.
		behind := p.Start != ByCursor || w.claimed && w.outside
		w.skip = behind || w.pos.Resume.IsZero() && w.pos.Cursor != ""
		if behind && w.pos.Resume.At < w.pos.End {
			w.seek = w.pos.Resume
		}
	}
	if !w.inside {
		w.here = w.next
	}
	if w.inside = p.Rest > 0; !w.inside {
		w.next = link{p.Cursor, p.CursorExpires}
	}
	if p.Received > 0 {
		w.empty = 0
	} else if w.empty++; w.empty > maxEmpty && p.More {
		return &StuckError{Err: fmt.Errorf("%d empty pages in a row at %s, each promising more", w.empty, w.at()), Limit: 3}
	}
	if len(p.Events) > 0 {
		w.last = p.Events[len(p.Events)-1].ID
	}
	for i := range p.Rejects {
		sum := p.Rejects[i].SHA256
		_, known := w.rejected[sum]
		w.rejected[sum], w.news = struct{}{}, w.news || !known
	}
	mark := markOf(p)
	if _, again := w.visited[mark]; again && p.Received > 0 {
		return errLoop
	}
	w.visited[mark] = struct{}{}
	return nil
}

// markOf identifies a page by its last event or, if all of its records are malformed, by the last of those.
func markOf(p *Page) (mark [16]byte) {
	switch {
	case len(p.Events) > 0:
		return p.Events[len(p.Events)-1].ID
	case len(p.Rejects) > 0:
		copy(mark[:], p.Rejects[len(p.Rejects)-1].SHA256[:])
	}
	return mark
}

// trimFront drops what stands before the position: records that the request could not exclude, the record to resume after,
// and, when an end is read again, everything up to the last record that was read before.
func (w *walk) trimFront(p *Page, seen *Counts) ([]Event, error) {
	events := p.Events
	if w.skip {
		until, bounded := w.pos.Until()
		if p.Start == ByUntil && bounded && mostlyAfter(events, Instant(until*1000+1000)) {
			return nil, errIgnored
		}
		drop, outside := leading(events, w.pos)
		seen.OutOfWindow += int64(outside)
		seen.Duplicates += int64(drop - outside)
		w.skip = drop == len(events)
		events = events[drop:]
	}
	n := len(events)
	if w.claimed {
		end := indexOf(events, w.end)
		if indexOf(events[:end+1], w.seek.ID) >= 0 {
			w.seek = Key{}
		}
		events = events[end+1:]
	}
	if !w.seek.IsZero() {
		if i := indexOf(events, w.seek.ID); i >= 0 {
			w.seek = Key{}
			events = append(events[:i:i], events[i+1:]...)
		}
	}
	seen.Duplicates += int64(n - len(events))
	return events, nil
}

// trimBack drops what is older than the window, once there are enough such records to be believed. Fewer are held until the
// next page shows what they are: the end of the window, or its own records with wrong timestamps, which no other shard would
// store. Held records are counted when they are dropped or released.
func (w *walk) trimBack(o *order, p *Page, seen *Counts) []Event {
	n := 0
	if o.trusted() {
		n = trailing(o.events, w.Edge.start)
	}
	var stored []Event
	release := func() {
		stored = append(stored, w.held...)
		seen.Received += int64(len(w.held))
		seen.OutOfOrder += int64(len(w.held))
		w.held = nil
	}
	if held := len(w.held); held > 0 && len(o.events) > 0 && (n < len(o.events) || o.events[0].Key().Before(w.held[held-1].Key())) {
		release() // the page does not continue them
	}
	switch held := len(w.held); {
	case held+n >= proofRecords:
		w.proven = true
		seen.Received += int64(held)
		seen.OutOfWindow += int64(held + n)
	case p.ends():
		release()
		n = 0
	case n > 0:
		if held == 0 {
			w.anchor = w.here
		}
		w.held = append(w.held, o.events[len(o.events)-n:]...)
		seen.Received -= int64(n)
	}
	rest := o.events[:len(o.events)-n]
	seen.OutOfOrder += o.strays(len(rest), Window{w.Edge.start, w.From.Window.End})
	if len(stored) == 0 {
		return rest
	}
	return append(stored, rest...)
}

// continuation returns the cursor with which reading continues after the page: this shard's, or, at its proven end, that of
// its older neighbour, whose first record is on this page or among those held.
func (w *walk) continuation(proof Proof, p *Page) link {
	switch {
	case len(w.held) > 0:
		return w.anchor
	case proof != "":
		return w.here
	case !w.seek.IsZero(), p.ends():
		return link{} // the pass may have begun far beyond the position; or its end has to be read again
	}
	return link{p.Cursor, p.CursorExpires}
}

// leading returns how many events at the front of a page stand before the position, newest first, as the API may serve them
// when it is asked by timestamp: of those, the first `outside` are newer than the window; the rest was read before.
//
// Records of the resume point's own instant are not dropped, except for the point itself: their order by id is the API's
// affair, and the key of the table removes them.
func leading(events []Event, pos Position) (drop, outside int) {
	bound := pos.End
	if !pos.Resume.IsZero() {
		bound = min(bound, pos.Resume.At+1)
	}
	for drop < len(events) && events[drop].At >= bound {
		if drop > 0 && events[drop].Key().Before(events[drop-1].Key()) {
			break
		}
		if events[drop].At >= pos.End {
			outside++
		}
		drop++
	}
	return drop, outside
}

// trailing returns how many events at the end of a page are older than start and in order among themselves: their own shard
// has them. An older event with a newer one after it is not counted: its timestamp is wrong, and it may be ours.
func trailing(events []Event, start Instant) int {
	n := 0
	for i := len(events) - 1; i >= 0 && events[i].At < start; i-- {
		if n > 0 && events[i+1].Key().Before(events[i].Key()) {
			break
		}
		n++
	}
	return n
}

// indexOf returns where the event with that id stands, -1 if it is not there.
func indexOf(events []Event, id uuid.UUID) int {
	for i := range events {
		if events[i].ID == id {
			return i
		}
	}
	return -1
}

// mostlyAfter reports whether more than half of the events are newer than an instant. A single one may have a wrong timestamp.
func mostlyAfter(events []Event, i Instant) bool {
	n := 0
	for k := range events {
		if events[k].At > i {
			n++
		}
	}
	return 2*n > len(events) && len(events) > 1
}
