package apisim

import (
	"slices"
	"sync"
	"time"
)

// Request is the record of one request.
type Request struct {
	Endpoint  Endpoint
	Query     string // without the key
	RequestID string
	At        time.Time // of its arrival
	Status    int       // 0 if the connection was closed without an answer
	Events    int       // in the answer
	Bytes     int       // of the answer's body, as promised
	Cache     string    // HIT, MISS or empty
	Fault     string    // that was applied; empty if there was none
}

// Counts sums up all requests to one endpoint.
type Counts struct {
	Requests    int64 // in all
	OK          int64 // answered 200
	Limited     int64 // answered 429
	Failed      int64 // anything else
	Hits        int64 // answered 200 from the cache
	Events      int64 // in all answers
	Bytes       int64 // of all bodies
	Peak        int   // the maximum number of requests within any window of the endpoint's limit (a minute, if it has none)
	First, Last time.Time
}

// journal records requests: the counts of all, the details of the latest.
type journal struct {
	mu     sync.Mutex
	counts map[Endpoint]*tallied
	latest []Request // oldest first
}

type tallied struct {
	Counts
	recent []time.Time // arrivals within the window
}

const (
	maxRequests = 1 << 14 // that are kept in detail
	maxRecent   = 1 << 16 // arrivals that Peak is counted from
)

// begin counts an arrival and returns its number at the endpoint, from 1.
func (j *journal) begin(e Endpoint, now time.Time, window time.Duration) int64 {
	if window <= 0 {
		window = time.Minute
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tallied(e)
	t.Requests, t.Last = t.Requests+1, now
	if t.First.IsZero() {
		t.First = now
	}
	gone := max(0, len(t.recent)-maxRecent)
	for gone < len(t.recent) && now.Sub(t.recent[gone]) >= window {
		gone++
	}
	t.recent = append(t.recent[gone:], now)
	t.Peak = max(t.Peak, len(t.recent))
	return t.Requests
}

func (j *journal) tallied(e Endpoint) *tallied {
	if j.counts[e] == nil {
		j.counts[e] = new(tallied)
	}
	return j.counts[e]
}

func (j *journal) end(r Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tallied(r.Endpoint)
	switch {
	case r.Status == 200:
		t.OK++
	case r.Status == 429:
		t.Limited++
	default:
		t.Failed++
	}
	if r.Cache == "HIT" {
		t.Hits++
	}
	t.Events, t.Bytes = t.Events+int64(r.Events), t.Bytes+int64(r.Bytes)
	j.latest = append(j.latest[max(0, len(j.latest)-maxRequests+1):], r)
}

// Requests returns the latest requests, at most 16,384, in the order in which their answers ended.
func (s *Server) Requests() []Request {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return slices.Clone(s.journal.latest)
}

// Counts returns the counts of an endpoint so far.
func (s *Server) Counts(e Endpoint) Counts {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	if t := s.journal.counts[e]; t != nil {
		return t.Counts
	}
	return Counts{}
}

// finish writes the journal's entry.
func (x *exchange) finish() {
	query := x.r.URL.Query()
	query.Del("api_key")
	query.Del("apiKey")
	x.log.Endpoint, x.log.Query, x.log.At, x.log.Fault = x.endpoint, query.Encode(), x.arrived, x.fault.name
	x.journal.end(x.log)
}
