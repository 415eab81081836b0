package shard

import (
	"fmt"

	"github.com/google/uuid"
)

// read trims a page to the window, counts its records, and judges whether it proves the end.
func (w *walk) read(p *Page) (Batch, error) {
	w.Edge.mu.Lock()
	defer w.Edge.mu.Unlock()
	b, seen, err := w.judge(p)
	w.Edge.come(seen, err == nil && b.Proof == "" && w.midway(p))
	w.Edge.over = err == nil && b.Proof != ""
	return b, err
}

// midway tells whether a page lies in the middle of the window: more is to come, and of what was read nothing is in doubt.
func (w *walk) midway(p *Page) bool {
	return !p.ends() && !w.skip && !w.claimed && !w.rewound && w.seek.IsZero() && len(w.held) == 0 && !w.place.Resume.IsZero()
}

// judge does the work of read, and says from where to where its events in order lead.
func (w *walk) judge(p *Page) (_ Batch, seen stretch, _ error) {
	b := Batch{Rejects: p.Rejects, Seen: Counts{Received: int64(p.Received)}}
	if err := w.enter(p); err != nil {
		return b, seen, err
	}
	events, err := w.dropPrefix(p, &b.Seen)
	if err != nil {
		return b, seen, err
	}
	events = w.dropKnown(events, &b.Seen)
	order := orderOf(events, w.tail)
	switch {
	case order.torn && p.Start == ByCursor:
		return b, seen, errIgnore
	case w.passed(&order):
		return b, seen, errLost
	}
	if rest := w.dropSuffix(&order, p, &b.Seen); len(rest) > 0 {
		b.Pages = [][]Event{rest}
	}
	w.advance(&order)
	return b, w.stretch(&order), w.close(&b, p)
}

// enter notes a page of the walk, and that it is not one of those before it.
func (w *walk) enter(p *Page) error {
	w.pages++
	if w.pages == 1 {
		w.cached = p.Cached
		w.open(p.Start)
	}
	w.lead.move(p)
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

// open fits the trail to the way in which its first page was asked for.
func (w *walk) open(start Start) {
	// A cursor leads beyond what was read, unless the newer neighbour handed it over or the walk before did not come so far.
	behind := start != ByCursor || w.claimed && w.outside
	w.skip = behind || w.place.Resume.IsZero() && w.place.Cursor != ""
	if behind && w.place.Resume.At < w.place.End {
		w.seek = w.place.Resume
	}
}

// dropPrefix drops what stands before the place, for as long as nothing else came.
func (w *walk) dropPrefix(p *Page, seen *Counts) ([]Event, error) {
	if !w.skip {
		return p.Events, nil
	}
	until, bounded := w.place.Until()
	if p.Start == ByUntil && bounded && mostlyAfter(p.Events, Instant(until*1000+1000)) {
		return nil, errIgnore
	}
	drop, outside := prefix(p.Events, w.place)
	seen.OutOfWindow += int64(outside)
	seen.Duplicates += int64(drop - outside)
	w.skip = drop == len(p.Events)
	return p.Events[drop:], nil
}

// dropKnown drops the record to resume after, or, when an end is read again, everything up to the last record that was read
// before.
func (w *walk) dropKnown(events []Event, seen *Counts) []Event {
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
	return events
}

// passed tells whether the walk went by the record to resume after without meeting it. One older record alone may have a
// wrong timestamp.
func (w *walk) passed(o *order) bool {
	key, ok := o.back(2)
	return ok && !w.seek.IsZero() && o.trusted() && key.At < w.seek.At
}

// advance moves the resume point, within a walk in either direction: a later page may show that the last record of the one
// before had a wrong timestamp. Before what is held back it stands still.
func (w *walk) advance(o *order) {
	if !o.trusted() {
		return
	}
	w.tail = o.tail()
	point := o.resumePoint()
	if w.seek.IsZero() && len(w.held) == 0 && !point.IsZero() && (w.begun.IsZero() || w.begun.Before(point)) {
		w.place.Resume = point
	}
}

// stretch returns from where to where a page led. Its last timestamp may be wrong and far too old: then there is nothing to
// split until the next page tells.
func (w *walk) stretch(o *order) stretch {
	if o.count() == 0 {
		return stretch{}
	}
	last, _ := o.back(1)
	return stretch{newest: o.at(0).At, oldest: min(last.At, w.place.Resume.At), events: o.count()}
}

// close says whether the page proves the end, and what the checkpoint will say after it.
func (w *walk) close(b *Batch, p *Page) error {
	switch {
	case w.proven:
		b.Proof = ProofOlder
	case p.ends() && !p.Cached && w.endsAgain():
		if !w.seek.IsZero() {
			return errLost
		}
		b.Proof = ProofConfirmed
	}
	next := w.next(b.Proof, p)
	w.place.Cursor, w.place.CursorExpires = next.cursor, next.expires
	b.Cursor, b.CursorExpires, b.Resume = next.cursor, next.expires, w.place.Resume
	return nil
}

// next returns the cursor with which reading may go on after the page: that of this shard, or, at its proven end, that of its
// older neighbour, whose first record stands on this page or among those held back.
func (w *walk) next(proof Proof, p *Page) link {
	switch {
	case len(w.held) > 0:
		return w.anchor
	case proof != "":
		return w.lead.here
	case !w.seek.IsZero(), p.ends():
		return link{} // the walk may have begun far beyond the place; or its end has to be read again
	}
	return link{p.Cursor, p.CursorExpires}
}

// endsAgain tells whether the walk ended where the one before it did.
func (w *walk) endsAgain() bool {
	return w.claimed && !w.news && (w.last == w.end || w.last == uuid.Nil)
}
