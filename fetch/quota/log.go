package quota

import (
	"slices"
	"sort"
	"time"
)

// quotaRequest is one request as the server's limiter has counted it, as far as we know.
type quotaRequest struct {
	at      time.Time // when it was sent
	mark    time.Time // the same by the table's clock, where runs know it by that; zero: the table has not got it yet
	booked  bool      // the other runs know of it before it is sent, or there are none
	origin  quotaOrigin
	refused bool
	open    bool // Observe or Return is still to come
	heard   bool // its answer is a refusal of which the rest is still to come
	trial   bool // beyond what has held so far
	cached  bool // nobody knows whether it was counted, because its answer came from the API's cache
	early   bool // let through because the server's stamps said so

	stamped bool
	ahead   time.Duration // what the server's clock said when it saw the request, less what ours did when it was sent
}

// quotaOrigin tells who sent a request.
type quotaOrigin uint8

const (
	ofThisRun    quotaOrigin = iota
	ofAnotherRun             // of ours, by the table: an earlier one, or one beside this
	ofOthers                 // never seen, but the server has counted it
)

// quotaLog is our copy of the server's log, by time of sending. Refused requests are in it: the server counts them
// too.
type quotaLog []*quotaRequest

// add enters r at its time. That is the end, except for requests of others and those written later than they were
// decided.
func (l *quotaLog) add(r *quotaRequest) {
	i := len(*l)
	for i > 0 && (*l)[i-1].at.After(r.at) {
		i--
	}
	*l = slices.Insert(*l, i, r)
}

func (l *quotaLog) remove(r *quotaRequest) {
	if i := slices.Index(*l, r); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}

// forget drops what was sent before t.
func (l *quotaLog) forget(t time.Time) {
	for len(*l) > 0 && (*l)[0].at.Before(t) {
		*l = (*l)[1:]
	}
}

// after returns the requests sent after t.
func (l quotaLog) after(t time.Time) quotaLog {
	return l[sort.Search(len(l), func(i int) bool { return l[i].at.After(t) }):]
}

// upTo returns the requests sent at t or before.
func (l quotaLog) upTo(t time.Time) quotaLog { return l[:len(l)-len(l.after(t))] }

// counted counts what we sent, without the refusals of the overshoot that began at the given time. Requests without
// an answer yet count as accepted, those that may not have been counted do not; nor do those of other runs that were sent after
// the refusal of ours, to a log that was full.
func (l quotaLog) counted(overshotAt time.Time) int {
	n := 0
	for _, r := range l {
		refused := r.refused || r.origin == ofAnotherRun
		if r.origin != ofOthers && !r.cached && !(refused && !r.at.Before(overshotAt)) {
			n++
		}
	}
	return n
}

// doubtful counts the requests of which nobody knows whether they were counted.
func (l quotaLog) doubtful() int {
	n := 0
	for _, r := range l {
		if r.cached {
			n++
		}
	}
	return n
}

// ours returns the n-th last request that we sent ourselves, nil if there are fewer.
func (l quotaLog) ours(n int) *quotaRequest {
	for _, r := range slices.Backward(l) {
		if r.origin != ofOthers {
			n--
		}
		if n == 0 {
			return r
		}
	}
	return nil
}

func earlierOf(s, t time.Time) time.Time {
	if t.Before(s) {
		return t
	}
	return s
}

func laterOf(s, t time.Time) time.Time {
	if t.After(s) {
		return t
	}
	return s
}
