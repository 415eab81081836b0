package apisim

import (
	"iter"
	"math"
	"time"

	"github.com/google/uuid"
)

// A View is what of a data set there is to be seen at an instant: everything in one that does not grow. It is a handful of
// numbers; an event that has been seen stays in every later view.
type View struct {
	data    *Data
	asOf    int64 // epoch milliseconds: what arrives later is not seen
	settled int64 // the events of all positions below have arrived
	end     int64 // those from here on are still to come
}

// At returns the view at an instant, to the millisecond.
func (d *Data) At(t time.Time) View {
	if d.config.Live.Rate == 0 {
		return View{data: d, asOf: math.MaxInt64, settled: d.history, end: d.history}
	}
	v := View{data: d, asOf: t.UnixMilli()}
	v.end = max(d.history, d.timeline.before(v.asOf+1))
	v.settled = v.end
	if d.config.Live.LateShare > 0 {
		v.settled = max(d.history, d.timeline.before(v.asOf+1-d.config.Live.LateMost.Milliseconds()))
	}
	return v
}

// sees tells whether an event has arrived. Its serial must be below the view's end.
func (v *View) sees(serial int64) bool {
	if serial < v.settled {
		return true
	}
	late := v.data.delay(serial)
	return late == 0 || v.data.timeline.at(serial)+late <= v.asOf
}

// Events returns how many events there are to be seen, malformed ones included.
func (v View) Events() int64 {
	seen := v.settled
	for serial := v.settled; serial < v.end; serial++ {
		if v.sees(serial) {
			seen++
		}
	}
	return seen
}

// Find returns the serial of the event with an id, if it is to be seen.
func (v View) Find(id uuid.UUID) (serial int64, ok bool) {
	serial, ok = v.data.events.serial(id, v.end)
	return serial, ok && v.sees(serial)
}

// serials returns, oldest first, the events to be seen whose place in the order is in [start, end), microseconds since 1970.
func (v View) serials(start, end int64) iter.Seq[int64] {
	first, last := v.positions(start, end)
	return func(yield func(int64) bool) {
		for serial := first; serial < last; serial++ {
			if v.sees(serial) && !yield(serial) {
				return
			}
		}
	}
}

// positions returns the positions [first, end) of a window [start, end) in microseconds since 1970.
func (v *View) positions(start, end int64) (first, last int64) {
	first = min(v.end, v.data.timeline.before(ceilMilli(start)))
	return first, max(first, min(v.end, v.data.timeline.before(ceilMilli(end))))
}
