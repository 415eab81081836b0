package shard

// leastPages returns how many pages a calm walk of a window takes: up to the fourth older record, or to the end of the data
// and once more for the confirmation. Of all pages, `again` are for the latter.
func (w *world) leastPages(s settings, window Window, cursor string) (all, again int) {
	a := api{Records: w.Records, Until: s.Until}
	first := a.startOf(Position{End: window.End, Cursor: cursor}, s)
	older := 0
	for i, r := range w.Records[first:] {
		if !r.Bad && r.At < window.Start {
			older++
		}
		if older == proofRecords {
			return i/s.Limit + 1, 0
		}
	}
	again = w.confirmPages(s, window, first, cursor)
	return max(1, ceil(len(w.Records)-first, s.Limit)) + again, again
}

// confirmPages returns how many pages it takes to read the end of the data again, after a walk from `first`.
func (w *world) confirmPages(s settings, window Window, first int, cursor string) int {
	a := api{Records: w.Records, Until: s.Until}
	last := first + max(0, len(w.Records)-first-1)/s.Limit*s.Limit // where the last page begins
	place := Position{End: window.End}
	var keys []Key
	for _, r := range w.Records[first:] {
		if !r.Bad && r.At < window.End {
			keys = append(keys, r.Key)
		}
	}
	if len(keys) >= tailKeys {
		place.Resume = keys[len(keys)-tailKeys]
	}
	led := last > first || cursor != ""
	from := last
	if _, bounded := place.Until(); !led || !s.LeadWins && bounded && s.Until != untilRefused {
		from = a.startOf(place, s)
	}
	return 1 + ceil(len(w.Records)-from-(s.Limit-1%s.Limit), s.Limit)
}

// startOf returns the position at which the first page for a place begins.
func (a *api) startOf(p Position, s settings) int {
	until, bounded := p.Until()
	switch {
	case p.Cursor != "":
		return parseCursor(p.Cursor).pos
	case bounded && s.Until != untilRefused:
		return a.seek(until)
	}
	return 0
}

// unproven returns how many records older than a window are too few to prove its end. They may be stored by each shard that
// meets them, because nothing tells them from records with wrong timestamps.
func (w *world) unproven(window Window) int {
	older := 0
	for _, r := range w.Records {
		if !r.Bad && r.At < window.Start {
			older++
		}
	}
	if older < proofRecords {
		return older
	}
	return 0
}

func ceil(n, by int) int { return max(0, (n+by-1)/by) }
