package shard

// dropSuffix drops what is older than the window, once there is enough of it to be believed. What is too short for that is
// held back until the next page shows what it is: the end of the window, or records of it with wrong timestamps, which have
// no other shard that would store them.
func (w *walk) dropSuffix(o *order, p *Page, seen *Counts) []Event {
	n := 0
	if o.trusted() {
		n = olderSuffix(o.events, w.Edge.start)
	}
	var stored []Event
	if n < len(o.events) || n > 0 && !w.continues(&o.events[0]) {
		stored = w.release(seen)
	}
	switch held := len(w.held); {
	case held+n >= proofRecords:
		w.proven = true
		seen.Received += int64(held)
		seen.OutOfWindow += int64(held + n)
	case p.ends():
		stored, n = append(stored, w.release(seen)...), 0
	case n > 0:
		w.hold(o.events[len(o.events)-n:], seen)
	}
	rest := o.events[:len(o.events)-n]
	seen.OutOfOrder += o.strays(len(rest), w.window())
	if len(stored) == 0 {
		return rest
	}
	return append(stored, rest...)
}

// window returns the window as it is now.
func (w *walk) window() Window { return Window{w.Edge.start, w.From.Window.End} }

// continues tells whether an event comes after what is held, as the order has it.
func (w *walk) continues(e *Event) bool {
	return len(w.held) == 0 || !e.Key().Before(w.held[len(w.held)-1].Key())
}

// hold keeps events for the next page. They are counted when they are dropped or released.
func (w *walk) hold(events []Event, seen *Counts) {
	if len(w.held) == 0 {
		w.anchor = w.lead.here
	}
	w.held = append(w.held, events...)
	seen.Received -= int64(len(events))
}

// release gives back what was held, to be stored.
func (w *walk) release(seen *Counts) []Event {
	held := w.held
	w.held = nil
	seen.Received += int64(len(held))
	seen.OutOfOrder += int64(len(held))
	return held
}
