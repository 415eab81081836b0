package shard

import "fmt"

// read trims a page to the window, counts its records, and judges whether it proves the end.
func (w *walk) read(p *Page) (Batch, error) {
	b := Batch{Rejects: p.Rejects, Seen: Counts{Received: int64(p.Received)}}
	if err := w.enter(p); err != nil {
		return b, err
	}
	events, err := w.dropPrefix(p, &b.Seen)
	if err != nil {
		return b, err
	}
	events = w.dropResume(events, &b.Seen)
	order := orderOf(events, w.after)
	switch {
	case order.count() == 0 && len(events) > 1 && p.Start == ByCursor:
		return b, errIgnore
	case w.passed(&order):
		return b, errLost
	}
	w.advance(&order)
	if order.trusted() {
		events = w.dropSuffix(events, &b.Seen)
	}
	b.Seen.OutOfOrder = order.strays(len(events), w.From.Window)
	b.Events = events
	w.close(&b, p)
	return b, nil
}

// enter notes a page of the walk, and that it is not one of those before it.
func (w *walk) enter(p *Page) error {
	w.pages++
	if w.pages == 1 {
		w.open(p.Start)
	}
	if p.Rest == 0 {
		w.lead.here, w.lead.hereExpires = w.lead.next, w.lead.nextExpires
		w.lead.next, w.lead.nextExpires = p.Cursor, p.CursorExpires
	}
	if p.Received > 0 {
		w.empty = 0
	} else if w.empty++; w.empty > maxEmpty && p.More {
		return &StuckError{Err: fmt.Errorf("%d empty pages in a row at %s, each promising more", w.empty, w.at()), Limit: 3}
	}
	if len(p.Events) == 0 {
		return nil
	}
	last := p.Events[len(p.Events)-1].ID
	if _, again := w.visited[last]; again {
		return errLoop
	}
	w.visited[last] = struct{}{}
	return nil
}

// open fits the trail to the way in which its first page was asked for.
func (w *walk) open(start Start) {
	if start == ByCursor {
		// Only a cursor handed over by the newer neighbour leads to a page that may begin before the window.
		w.skip = w.place.Resume.IsZero()
		return
	}
	w.skip, w.seek = true, w.place.Resume
}

// dropPrefix drops what stands before the place, for as long as nothing else came.
func (w *walk) dropPrefix(p *Page, seen *Counts) ([]Event, error) {
	if !w.skip {
		return p.Events, nil
	}
	until, bounded := w.place.Until()
	if p.Start == ByUntil && bounded && len(p.Events) > 1 && p.Events[len(p.Events)-1].At > Instant(until*1000) {
		return nil, errIgnore
	}
	drop, outside := prefix(p.Events, w.place)
	seen.OutOfWindow += int64(outside)
	seen.Duplicates += int64(drop - outside)
	w.skip = drop == len(p.Events)
	return p.Events[drop:], nil
}

// dropResume drops the record to resume after.
func (w *walk) dropResume(events []Event, seen *Counts) []Event {
	if w.seek.IsZero() {
		return events
	}
	rest, found := without(events, w.seek)
	if found {
		w.seek = Key{}
		seen.Duplicates++
	}
	return rest
}

// passed tells whether the walk went by the record to resume after without meeting it.
func (w *walk) passed(o *order) bool {
	return !w.seek.IsZero() && o.trusted() && !o.last.IsZero() && o.last.At < w.seek.At
}

// advance moves the resume point.
func (w *walk) advance(o *order) {
	if !o.trusted() {
		w.fresh = true
		return
	}
	if o.last.IsZero() {
		return
	}
	w.after = o.last
	if w.place.Resume.IsZero() || w.place.Resume.Before(o.last) {
		w.place.Resume, w.fresh = o.last, true
	}
}

// dropSuffix drops what is older than the window, and counts how much of it the walk has seen in a row.
func (w *walk) dropSuffix(events []Event, seen *Counts) []Event {
	n := olderSuffix(events, w.From.Window.Start)
	if n < len(events) {
		w.older = 0
	}
	if w.older == 0 {
		w.edge, w.edgeExpires = w.lead.here, w.lead.hereExpires
	}
	w.older += n
	seen.OutOfWindow += int64(n)
	return events[:len(events)-n]
}

// close says what the checkpoint will say after the page, and whether the page proves the end.
func (w *walk) close(b *Batch, p *Page) {
	w.place.Cursor, w.place.CursorExpires = p.Cursor, p.CursorExpires
	switch {
	case w.older >= proofRecords:
		b.Proof = ProofOlder
		// The older neighbour may have to begin with the page on which its first record stands.
		w.place.Cursor, w.place.CursorExpires = w.edge, w.edgeExpires
	case !p.More && p.Rest == 0 && !p.Cached && w.confirms > 0 && !w.fresh && w.seek.IsZero():
		b.Proof = ProofConfirmed
	}
	b.Cursor, b.CursorExpires, b.Resume = w.place.Cursor, w.place.CursorExpires, w.place.Resume
	if !p.More && p.Rest == 0 {
		b.Cursor = "" // nothing to go on with: a rerun reads the end again
	}
}
