package apisim

import (
	"cmp"
	"net/http"
	"sync"
	"time"
)

// Faults are drawn for each request of the list and the feed: with what share of them something goes wrong. At most one of
// them happens to a request. The draws follow from the seed and the request's number at its endpoint.
type Faults struct {
	ServerError   float64 // 500, 502, 503 or 504
	CutBody       float64 // the connection is closed in the middle of the body
	Truncated     float64 // the body ends in the middle, and the answer looks whole
	NullBody      float64 // 200 null
	EarlyEnd      float64 // hasMore:false, too early
	Duplicate     float64 // a page with some of its events twice
	ExpiredCursor float64 // a good cursor is refused as expired
	RevokedToken  float64 // the stream's token ends too early
	Slow          float64 // the answer comes SlowBy later
	SlowBy        time.Duration
}

func (f Faults) withDefaults() Faults {
	f.SlowBy = cmp.Or(f.SlowBy, 5*time.Second)
	return f
}

// shares returns the shares by their names.
func (f *Faults) shares() map[string]float64 {
	return map[string]float64{
		"ServerError": f.ServerError, "CutBody": f.CutBody, "Truncated": f.Truncated, "NullBody": f.NullBody,
		"EarlyEnd": f.EarlyEnd, "Duplicate": f.Duplicate, "ExpiredCursor": f.ExpiredCursor,
		"RevokedToken": f.RevokedToken, "Slow": f.Slow,
	}
}

// draw returns the fault of a request, or none. r is drawn from 64 bits; where it falls among the shares decides which,
// and its mixture decides the particulars.
func (f *Faults) draw(r uint64, endpoint Endpoint, hasCursor bool) Fault {
	place, detail := float64(r>>11)/(1<<53), mix(r)
	for _, c := range [...]struct {
		share float64
		fault Fault
	}{
		{f.ServerError, Status([...]int{500, 502, 503, 504}[detail%4])},
		{f.CutBody, CutBody(float64(detail>>11) / (1 << 53))},
		{f.Truncated, Truncated(float64(detail>>11) / (1 << 53))},
		{f.NullBody, NullBody()},
		{f.EarlyEnd, EarlyEnd()},
		{f.Duplicate, Duplicates(1 + int(detail%20))},
		{f.ExpiredCursor, ExpiredCursor()},
		{f.RevokedToken, RevokedToken()},
		{f.Slow, Delay(f.SlowBy)},
	} {
		if place < c.share {
			return c.fault.unless(c.fault.expired && !hasCursor || c.fault.revoked && endpoint != Feed)
		}
		place -= c.share
	}
	return Fault{}
}

func (f Fault) unless(impossible bool) Fault {
	if impossible {
		return Fault{}
	}
	return f
}

// script decides the fault of each request: those that were scripted first, then what a function says, then the draws.
type script struct {
	shares Faults
	key    uint64

	mu      sync.Mutex
	queued  map[Endpoint][]Fault
	control map[Endpoint]func(*http.Request) Fault
}

// Script lets the next requests of an endpoint go wrong, one fault for each, before it behaves again. Requests that are
// refused for their key or for the limit use up nothing. A scripted request is never answered from the cache.
func (s *Server) Script(e Endpoint, faults ...Fault) {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	if s.script.queued == nil {
		s.script.queued = make(map[Endpoint][]Fault)
	}
	s.script.queued[e] = append(s.script.queued[e], faults...)
}

// Control asks a function for the fault of every request of an endpoint that nothing is scripted for; nil ends that. The
// function is called by one request at a time.
func (s *Server) Control(e Endpoint, fault func(*http.Request) Fault) {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	if s.script.control == nil {
		s.script.control = make(map[Endpoint]func(*http.Request) Fault)
	}
	s.script.control[e] = fault
}

// Scripted returns how many faults of an endpoint's script are left.
func (s *Server) Scripted(e Endpoint) int {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	return len(s.script.queued[e])
}

func (s *script) next(x *exchange) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queue := s.queued[x.endpoint]; len(queue) > 0 {
		s.queued[x.endpoint] = queue[1:]
		queue[0].scripted = true
		return queue[0]
	}
	if control := s.control[x.endpoint]; control != nil {
		return control(x.r)
	}
	if x.endpoint != List && x.endpoint != Feed {
		return Fault{}
	}
	r := draw(keyOf(s.key, string(x.endpoint)), x.number)
	return s.shares.draw(r, x.endpoint, x.r.URL.Query().Has("cursor"))
}
