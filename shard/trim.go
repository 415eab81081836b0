package shard

import (
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

// prefix returns how many of the leading events stand before the place, newest first, as the API may serve them when it was
// asked by timestamp: of those, the first `outside` are newer than the window; the rest was read before.
//
// Records of the resume point's own instant are not dropped, except for the point itself: their order by id is the API's
// affair, and the key in the table removes them.
func prefix(events []Event, place Position) (drop, outside int) {
	bound := place.End
	if !place.Resume.IsZero() {
		bound = min(bound, place.Resume.At+1)
	}
	for drop < len(events) && events[drop].At >= bound {
		if drop > 0 && events[drop].Key().Before(events[drop-1].Key()) {
			break
		}
		if events[drop].At >= place.End {
			outside++
		}
		drop++
	}
	return drop, outside
}

// olderSuffix returns how many of the trailing events are older than start and in order among themselves. Their own shard has
// them. An older record with a newer one after it is none of them: its timestamp is wrong, and it may be ours.
func olderSuffix(events []Event, start Instant) int {
	n := 0
	for i := len(events) - 1; i >= 0 && events[i].At < start; i-- {
		if n > 0 && events[i+1].Key().Before(events[i].Key()) {
			break
		}
		n++
	}
	return n
}

// indexOf returns where the record of that id stands, -1 if it is not there.
func indexOf(events []Event, id uuid.UUID) int {
	for i := range events {
		if events[i].ID == id {
			return i
		}
	}
	return -1
}

// mostlyAfter tells whether more than half of the events are newer than an instant.
func mostlyAfter(events []Event, i Instant) bool {
	n := 0
	for k := range events {
		if events[k].At > i {
			n++
		}
	}
	return 2*n > len(events) && len(events) > 1
}
