package shard

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

const (
	// proofRecords older than the window, in order, prove its end if they follow what was read without a jump. Two would do if
	// timestamps could be trusted: with one record in a hundred wrong, two at the end of a page are wrong once in ten thousand
	// pages, four never.
	proofRecords = 4
	// sceptical is how many records must follow a jump, at least, before they prove an end.
	sceptical = 16
	// settled is how many records, or pages, must follow a jump before one of them becomes the resume point: it costs nothing to
	// wait for them, and a resume point that is wrong costs a window.
	settled, settledPages = 256, 4
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
	events, err := w.trimFront(p, &b)
	if err != nil {
		return b, err
	}
	o := orderOf(events, w.tail)
	if o.torn && p.Start == ByCursor {
		if err := w.torn(p); err != nil {
			return b, err
		}
	}
	if len(w.tail) == 0 {
		w.begin(&o)
	}
	believed, before := o.trusted() && !o.torn, w.latest
	if believed {
		w.weigh(&o)
	}
	// Did the walk pass the record to resume after without meeting it? A single older record may have a wrong timestamp.
	if key, ok := o.back(2); ok && !w.seek.IsZero() && believed && key.At < w.seek.At {
		return b, errLost
	}
	held := len(w.held)
	rest := w.trimBack(&o, p, &b)
	if len(rest) > 0 {
		b.Pages = [][]Event{rest}
	}
	if believed {
		w.tail = o.tail()
		if held > 0 && len(w.held) >= held {
			o.solid = 0
		}
		w.movePoint(&o, len(events)-len(w.held))
	}
	switch {
	case w.proven && !w.seek.IsZero():
		return b, errLost // the end was passed without meeting it
	case w.proven:
		b.Proof = ProofOlder
	case p.ends() && !p.Cached && w.claimed && !w.news:
		switch {
		case w.agrees() && !w.stale:
			b.Proof = ProofConfirmed
		case !w.seek.IsZero() && !w.agrees():
			return b, errLost
		default:
			w.chooseAgain(&o, p, before)
		}
	case p.ends() && !p.Cached && w.claimed && w.outside && !w.seek.IsZero():
		return b, errLost // not met twice, whatever came instead
	case p.ends():
		w.chooseAgain(&o, p, before)
	}
	if p.ends() {
		w.stale = p.Cached && (w.stale || !w.claimed || w.news)
	}
	next := w.continuation(b.Proof, p)
	w.pos.Cursor, w.pos.CursorExpires = next.cursor, next.expires
	b.Cursor, b.CursorExpires, b.Resume = next.cursor, next.expires, w.point
	w.Edge.over = b.Proof != ""
	certain := !w.skip && !w.claimed && w.rewinds == 0 && w.seek.IsZero() && len(w.held) == 0 && !w.pos.Resume.IsZero()
	if b.Proof == "" && !p.ends() && certain && o.count() > 0 {
		// The last timestamp may be wrong and far too old: then the resume point says how far the walk has come.
		w.Edge.advance(o.at(0).At, min(o.at(o.count()-1).At, w.pos.Resume.At))
	}
	return b, nil
}

// agrees reports whether a pass that reads the end again, and brought nothing new, has seen the same end. A source may forget its
// oldest records meanwhile, the one among them that the pass begins at: some of the others are enough. That holds for records
// that this walk has read; a resume point from before must be met.
func (w *walk) agrees() bool {
	if !w.seek.IsZero() && w.outside {
		return false
	}
	if _, known := w.known[w.lastMark]; w.skip && !w.last.IsZero() && !known && !slices.Contains(w.landmarks, w.last) {
		return false // both ended before they came to the position, but not in the same place
	}
	return w.met > 0 || w.bare && w.seek.IsZero()
}

// begin puts the first page of a pass in order, which nothing read before it does. What is newer than the position cannot be: the API
// was asked for what is older. Without a position, the smaller side of a jump is not.
func (w *walk) begin(o *order) {
	switch from := w.from(); {
	case !w.pos.Resume.IsZero():
		o.skip(o.newer(w.pos.Resume.At))
	case from.IsZero():
		if first := o.jumps(from, 0, 0).first; first < o.count()-first {
			o.skip(first)
		}
	}
}

// weigh finds the implausible jumps of a page, and takes what follows one as solid only after enough records: a sender with a wrong
// clock sends many in a row, and then the page returns to the time before the jump.
func (w *walk) weigh(o *order) {
	n := o.count()
	if n == 0 {
		return
	}
	enough := max(settled, settledPages*w.size)
	if w.strikes > 0 {
		enough = 1 // two requests have shown the same: without a cursor nothing but such a resume point leads on
	}
	continued := w.far > 0 && o.at(0).At <= w.latest.At
	if w.far > 0 && !continued {
		w.far, w.widest, w.jumped = 0, 0, false
	}
	found := o.jumps(w.from(), max(w.stride, w.widest), enough)
	w.widest = max(w.widest, found.widest)
	o.solid = found.unconfirmed
	switch {
	case continued && w.far+n < enough:
		o.solid = 0
		w.far += n
	case continued && o.solid == 0: // the first step is the jump that is confirmed by now
		o.solid, w.far = n, 0
	default:
		w.far = n - o.solid
	}
	w.plain = n
	if w.jumped {
		w.plain = 0
	}
	if found.last == n || found.last == 0 && continued {
		w.agree += n
	} else {
		w.plain = min(w.plain, found.first)
		w.jumped, w.agree = true, n-found.last
	}
	if w.latest = o.at(n - 1).Key(); o.solid == n && n > 1 {
		w.stride = o.at(0).At - w.latest.At
	}
}

// from is the key that the first record of a pass is measured by.
func (w *walk) from() Key {
	switch {
	case len(w.tail) > 0:
		return Key{}
	case !w.pos.Resume.IsZero():
		return w.pos.Resume
	case w.From.Window.Start.Finite() && w.From.Window.End.Finite():
		return Key{At: 2*w.From.Window.Start - w.From.Window.End} // as much again is plausible: the window may be empty
	}
	return Key{}
}

// ended reports whether the records older than the window prove its end: all of them, or those before a jump. More are demanded
// after one, and in a window whose end was proven before, and was not the end.
func (w *walk) ended(older, beforeJump int) bool {
	need, again := proofRecords, 1<<(2*min(w.From.Reopened, 5))
	if w.From.Reopened > 0 {
		need = max(need, w.size*again/4)
	}
	if beforeJump >= need {
		return true
	}
	if w.jumped && w.agree < max(sceptical, w.size*3/4)*again {
		return false
	}
	return older >= need
}

// movePoint moves the resume point to the last solid record. Within a pass it moves in either direction: a later page may show that
// the last record of the one before had a wrong timestamp. It never moves to an event that is held: those from the given one on
// are. After a resume point was wrong once, only those are chosen that the page after them continues.
func (w *walk) movePoint(o *order, held int) {
	n := o.solid
	for n > 0 && o.index(n-1) >= held {
		n--
	}
	if n == 0 && (o.solid > 0 || len(w.held) > 0) || n > 0 && o.index(n-1) < w.beyond || !w.seek.IsZero() {
		return // nothing is left, or it stands before the record to resume after
	}
	point, _ := o.back(1 + o.solid - n)
	if w.rewinds > 0 {
		next := point
		if point = w.later; !slices.Contains(o.before, point) {
			point = Key{}
		}
		w.later = next
	}
	if !point.IsZero() && (w.begun.IsZero() || w.begun.Leads(point)) {
		w.point, w.pos.Resume, w.pos.Slack = point, point, 0
	}
}

// torn says what becomes of a page that does not follow what was read: the API has ignored the cursor, or these are the records of a
// sender with a wrong clock. If a second request brings such a page as well, it is stored, and proves nothing.
func (w *walk) torn(p *Page) error {
	for i := range p.Events[:len(p.Events)-1] {
		if _, again := w.visited[markOf(&p.Events[i])]; again {
			return errLoop
		}
	}
	if !w.defied {
		return errIgnored
	}
	if w.strays += len(p.Events); w.strays > max(settled, settledPages*w.size) {
		w.tail, w.strays, w.far, w.jumped = nil, 0, 0, false // what was read before them was wrong
	}
	return nil
}

// note records a page of the pass, and that it is not one the pass has been to.
func (w *walk) note(p *Page) error {
	if w.pages++; w.pages == 1 {
		w.cached = p.Cached
		w.by = p.Start
		// A cursor leads beyond what was read, unless the newer neighbour handed it over or the last pass did not get so far.
		behind := p.Start != ByCursor || w.claimed && w.outside
		w.skip = behind || w.pos.Resume.IsZero() && w.pos.Cursor != ""
		if behind && w.pos.Resume.At < w.pos.End {
			w.seek = w.pos.Resume
		}
	}
	if !w.inside {
		w.here, w.got, w.events, w.prior = w.next, 0, 0, w.last
		w.marks = slices.Delete(w.marks, 0, max(0, len(w.marks)-settled)) // many of one instant may be read again with the last response
	}
	w.got, w.events = w.got+p.Received, w.events+len(p.Events)
	last := p.Events
	if p.More {
		last = last[max(0, len(last)-settled):]
	}
	for i := range last {
		w.marks = append(w.marks, markOf(&last[i]))
	}
	if p.More {
		w.size = max(w.size, w.got)
	}
	if w.inside = p.Rest > 0; !w.inside {
		w.next = link{p.Cursor, p.CursorExpires}
	}
	if p.Received > 0 {
		w.empty = 0
	} else if w.empty++; w.empty > maxEmpty && p.More {
		return &StuckError{Err: fmt.Errorf("%d empty pages in a row at %s, each promising more", w.empty, w.at()), Limit: 3}
	}
	if n := len(p.Events); n > 0 {
		w.last, w.lastMark = p.Events[n-1].Key(), w.marks[len(w.marks)-1]
	}
	for i := range p.Rejects {
		sum := p.Rejects[i].SHA256
		if _, known := w.rejected[sum]; known {
			w.met++
		} else {
			w.news = true
		}
		w.rejected[sum] = struct{}{}
	}
	here := w.lastMark
	if n := len(p.Rejects); len(p.Events) == 0 && n > 0 {
		here = mark(binary.BigEndian.Uint64(p.Rejects[n-1].SHA256[:]))
	}
	if _, again := w.visited[here]; again && p.Received > 0 {
		return errLoop
	}
	w.visited[here] = struct{}{}
	return nil
}

// mark is a hash of all that an event holds: an id may come again with other content.
type mark uint64

var seed = maphash.MakeSeed()

func markOf(e *Event) mark { return mark(maphash.Comparable(seed, *e)) }

// trimFront drops what stands before the position: records that the request could not exclude, the record to resume after,
// and, when an end is read again, what the last response before it had. Whatever that had not refutes the end.
func (w *walk) trimFront(p *Page, b *Batch) ([]Event, error) {
	events, seen := p.Events, &b.Seen
	if w.skip {
		until, bounded := w.pos.Until()
		if p.Start == ByUntil && bounded && !w.defied && mostlyAfter(events, Instant(until*1000+1000)) {
			return nil, errIgnored
		}
		drop, outside := leading(events, w.pos)
		if outside > 0 {
			b.Newer = slices.Clone(events[max(0, outside-witnesses):outside])
		} else if p.Start == ByUntil && w.pages == 1 && w.looksFurther() {
			return nil, errBeginning
		}
		for i := range events[:drop] {
			if ofLast, known := w.shown(&events[i]); ofLast {
				w.met++
				w.atEnd = true
			} else if !known && w.atEnd {
				w.news = true // beyond that end
			}
		}
		seen.OutOfWindow += int64(outside)
		seen.Duplicates += int64(drop - outside)
		w.skip = drop == len(events)
		events = events[drop:]
	}
	n := len(events)
	if w.beyond = 0; w.claimed {
		events = w.dropKnown(events)
	}
	if !w.seek.IsZero() {
		if i := slices.IndexFunc(events, func(e Event) bool { return e.Key() == w.seek }); i >= 0 {
			if len(w.tail) > 0 {
				w.tail = []Key{w.seek} // what the pass has seen so far stands before it
			}
			w.seek, w.beyond = Key{}, i
			events = append(events[:i:i], events[i+1:]...)
		}
	}
	seen.Duplicates += int64(n - len(events))
	return events, nil
}

// dropKnown returns the events that the last response before the end had not. They refute the end, except for those that may
// stand before the position, in the same instant.
func (w *walk) dropKnown(events []Event) (fresh []Event) {
	for i := range events {
		e := &events[i]
		ofLast, known := w.shown(e)
		if ofLast {
			w.met++
		}
		if !known {
			fresh = append(fresh, *e)
			w.news = w.news || !ofLast && (w.seek.IsZero() || e.At != w.seek.At)
			continue
		}
		if e.Key() == w.seek {
			w.seek = Key{}
		}
	}
	return fresh
}

// shown reports whether reads of the end have shown an event, known, and whether the last response did, or it is one of the landmarks.
func (w *walk) shown(e *Event) (ofLast, known bool) {
	ofLast, known = w.known[markOf(e)]
	return ofLast || slices.Contains(w.landmarks, e.Key()), known
}

// looksFurther reports whether a window that is walked again, because events may be missing from it, should be read from
// further up: the first page shows its beginning only if it shows a record before it.
func (w *walk) looksFurther() bool {
	return w.From.Reopened > 0 && w.pos.Resume.IsZero() && w.pos.End.Finite() && furtherThan(w.pos.Slack) > 0
}

// furtherThan returns the next step of how far above its position a page is requested; 0 after the last.
func furtherThan(slack time.Duration) time.Duration {
	for _, next := range []time.Duration{61 * time.Second, time.Hour, 25 * time.Hour, 32 * 24 * time.Hour} {
		if next > slack {
			return next
		}
	}
	return 0
}

// trimBack drops what is older than the window, once there are enough such records to be believed. Fewer are held until the
// next page shows what they are: the end of the window, or its own records with wrong timestamps, which no other shard would
// store. Held records are counted when they are dropped or released. More than a page of them are not held, but stored.
func (w *walk) trimBack(o *order, p *Page, b *Batch) []Event {
	seen, n := &b.Seen, 0
	if o.trusted() && !o.torn {
		n = trailing(o.events, w.Edge.start)
	}
	var stored []Event
	release := func() {
		stored = append(stored, w.held...)
		seen.Received += int64(len(w.held))
		seen.OutOfOrder += int64(len(w.held))
		w.held = nil
	}
	if w.older > 0 && len(o.events) > 0 && (n < len(o.events) || o.events[0].At > w.oldest) {
		release() // the page does not continue them
		w.older = 0
	}
	plain := 0
	if n > 0 && w.plain > 0 {
		plain = w.older + o.index(w.plain) - (len(o.events) - n)
	}
	switch older := o.events[len(o.events)-n:]; {
	case w.older+n > 0 && w.ended(w.older+n, plain) && !w.mayMeet(older):
		w.proven = true
		seen.Received += int64(len(w.held))
		seen.OutOfWindow += int64(len(w.held) + n)
		b.Older = append(slices.Clone(w.held[:min(len(w.held), witnesses)]), older[:max(0, min(n, witnesses-len(w.held)))]...)
	case p.ends():
		release()
		w.older, n = 0, 0
	case n > 0:
		if len(w.held) > max(sceptical, w.size) {
			release()
		}
		if len(w.held) == 0 {
			w.anchor = w.here
		}
		w.older, w.oldest = w.older+n, older[n-1].At
		w.held = append(w.held, older...)
		seen.Received -= int64(n)
	}
	rest := o.events[:len(o.events)-n]
	seen.OutOfOrder += o.strays(len(rest), Window{w.Edge.start, w.From.Window.End})
	if len(stored) == 0 {
		return rest
	}
	return append(stored, rest...)
}

// mayMeet reports whether the record to resume after may still come after these, because it is one of many of the same instant.
func (w *walk) mayMeet(older []Event) bool {
	oldest := w.oldest
	if n := len(older); n > 0 {
		oldest = older[n-1].At
	}
	return !w.seek.IsZero() && oldest >= w.seek.At
}

// chooseAgain chooses the records at which the end may be read again: the first of them so that one page, shorter than the others,
// shows the whole last response, or nearly. The others are for the case that its timestamp is wrong.
func (w *walk) chooseAgain(o *order, p *Page, before Key) {
	n := o.count()
	switch {
	case w.claimed && !w.news && len(w.agains) > 1:
		return // other shards may read the same end, and the cache has their answers: the next read begins at another of them
	case !w.seek.IsZero(), w.pages == 1, n == 0 && before.IsZero():
		w.agains = []Key{w.asked}
		return
	}
	w.agains = nil
	key := func(i int) Key { return o.at(i).Key() }
	if w.claimed { // o lacks what was known
		n, before = len(p.Events), w.prior
		key = func(i int) Key { return p.Events[i].Key() }
	}
	room := w.size - (w.pos.Vary+1)%max(1, w.size) - 2
	first := max(0, w.got-room)
	if (first == 0 || n == 0) && !before.IsZero() {
		w.agains = append(w.agains, before)
	}
	for _, i := range []int{first, first + (n-first)/2} {
		if n > 0 {
			w.agains = append(w.agains, key(min(i, n-1)))
		}
	}
	if len(w.tail) > 0 && w.far == 0 {
		w.agains = append(w.agains, w.tail[0])
	}
	w.agains = append(w.agains, w.asked)
}

// continuation returns the cursor with which reading continues after the page: this shard's, or, at its proven end, that of
// its older neighbour, whose first record is on this page or among those held.
func (w *walk) continuation(proof Proof, p *Page) link {
	switch {
	case !w.seek.IsZero():
		return link{} // the pass may have begun far beyond the position
	case len(w.held) > 0:
		return w.anchor
	case proof != "":
		return w.here
	case p.ends():
		return link{} // the end has to be read again
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
		if drop > 0 && events[drop].At > events[drop-1].At {
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
		if n > 0 && events[i+1].At > events[i].At {
			break
		}
		n++
	}
	return n
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
