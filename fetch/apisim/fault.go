package apisim

import (
	"fmt"
	"net/http"
	"slices"
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

// After returns f, later.
func (f Fault) After(d time.Duration) Fault {
	f.delay += d
	return f
}

// Repeat returns f so many times, for Script.
func Repeat(times int, f Fault) []Fault { return slices.Repeat([]Fault{f}, times) }

// disturb finds the fault of a request, and makes those that are a whole answer. If it returns true, the request is answered.
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

// whole tells whether the fault is the whole answer.
func (f *Fault) whole() bool {
	return f.drop || f.limited > 0 || f.status != 0 || f.expired
}

// ofText returns what of the fault stays with the text of a page, in the cache too.
func (f *Fault) ofText() Fault {
	return Fault{null: f.null, truncated: f.truncated, share: f.share}
}

// ofTransport returns what of the fault can happen to an answer from the cache.
func (f *Fault) ofTransport() Fault {
	if f.cut || f.delay > 0 {
		return *f
	}
	return Fault{}
}
