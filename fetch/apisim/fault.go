package apisim

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Fault is something that goes wrong with one answer; the zero value is nothing. Faults of the content (NullBody, Truncated,
// EarlyEnd, Duplicates) are made before the cache and stay in it, like the real ones.
type Fault struct {
	name      string
	delay     time.Duration
	status    int // the whole answer
	body      []byte
	content   string
	drop      bool
	cut       bool
	share     float64 // of the body that is sent, for cut and truncated
	truncated bool
	null      bool
	early     bool
	twice     int // how many events of the page come twice
	expired   bool
	revoked   bool
	limited   time.Duration
	scripted  bool
}

// Behave is no fault: in a script, the request is answered as usual.
func Behave() Fault { return Fault{} }

// Status answers with a status: 502, 503 and 504 as the load balancer, others as the API itself.
func Status(code int) Fault { return Fault{name: fmt.Sprintf("status %d", code), status: code} }

// Answer answers with a status and a body, such as another page's.
func Answer(code int, content, body string) Fault {
	return Fault{name: fmt.Sprintf("answer %d", code), status: code, content: content, body: []byte(body)}
}

// HTML answers 200 with a web page, as a proxy in between might.
func HTML() Fault {
	return Answer(http.StatusOK, "text/html", "<html><body>Please sign in</body></html>")
}

// Limited answers 429 with a Retry-After, whatever the limit says.
func Limited(retryAfter time.Duration) Fault { return Fault{name: "limited", limited: retryAfter} }

// Drop closes the connection without an answer.
func Drop() Fault { return Fault{name: "drop", drop: true} }

// Delay makes the answer late.
func Delay(d time.Duration) Fault { return Fault{name: "delay", delay: d} }

// CutBody promises the whole body, sends a share of it and closes the connection.
func CutBody(share float64) Fault { return Fault{name: "cut body", cut: true, share: share} }

// Truncated sends a share of the body as if it were the whole: only its JSON is broken.
func Truncated(share float64) Fault { return Fault{name: "truncated", truncated: true, share: share} }

// NullBody answers 200 with null.
func NullBody() Fault { return Fault{name: "null body", null: true} }

// EarlyEnd says hasMore:false after a full page.
func EarlyEnd() Fault { return Fault{name: "early end", early: true} }

// Duplicates sends the first n events of the page twice each, in place of its last n.
func Duplicates(n int) Fault { return Fault{name: "duplicates", twice: n} }

// ExpiredCursor refuses the cursor as expired.
func ExpiredCursor() Fault { return Fault{name: "expired cursor", expired: true} }

// RevokedToken ends the token that the request came with, and refuses it.
func RevokedToken() Fault { return Fault{name: "revoked token", revoked: true} }

// disturb decides the fault of a request, and answers with it if it is a whole answer. It reports whether the request is answered.
func (x *exchange) disturb() bool {
	x.fault = x.script.next(x)
	f := &x.fault
	if f.whole() && x.rest(f.delay) != nil {
		return true
	}
	switch {
	case f.drop:
		panic(http.ErrAbortHandler)
	case f.limited > 0:
		x.refuseForNow(x.limitOf(x.endpoint).Requests, seconds(f.limited))
	case f.body != nil:
		x.send(f.status, f.content, f.body)
	case f.status >= http.StatusBadGateway:
		x.sendBalancer(f.status)
	case f.status != 0:
		x.refuse(problem{f.status, "An unexpected error occurred", "INTERNAL_ERROR"})
	case f.expired:
		x.refuseExpired(time.Now().Add(-time.Minute))
	case f.revoked:
		x.tokens.revoke(x.r.Header.Get(tokenHeader))
		return !x.hasToken()
	}
	return f.whole()
}

// whole reports whether the fault is the whole answer.
func (f *Fault) whole() bool {
	return f.drop || f.limited > 0 || f.status != 0 || f.expired
}

// Faults are drawn for each request to the list and the feed; each field is the share of requests that it happens to. At most one of
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

// shares returns the shares by their names.
func (f *Faults) shares() map[string]float64 {
	return map[string]float64{
		"ServerError": f.ServerError, "CutBody": f.CutBody, "Truncated": f.Truncated, "NullBody": f.NullBody,
		"EarlyEnd": f.EarlyEnd, "Duplicate": f.Duplicate, "ExpiredCursor": f.ExpiredCursor,
		"RevokedToken": f.RevokedToken, "Slow": f.Slow,
	}
}

// draw returns the fault of a request, or none. r is drawn from 64 bits; its place among the shares decides which,
// and mix(r) decides the details.
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
		if place >= c.share {
			place -= c.share
			continue
		}
		if c.fault.expired && !hasCursor || c.fault.revoked && endpoint != Feed {
			break
		}
		return c.fault
	}
	return Fault{}
}

// script decides the fault of each request: a scripted one first, then the result of the control function, then a drawn one.
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
	s.script.queued[e] = append(s.script.queued[e], faults...)
}

// Control asks a function for the fault of every request of an endpoint that nothing is scripted for; nil ends that. The
// function is called by one request at a time.
func (s *Server) Control(e Endpoint, fault func(*http.Request) Fault) {
	s.script.mu.Lock()
	defer s.script.mu.Unlock()
	s.script.control[e] = fault
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
