package apisim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// page says how to make an answer. It is small, so that the cache can keep it, and complete, so that it is the same every time.
type page struct {
	selection
	limit     int // as echoed
	events    int // in it, each counted as often as it is there
	twice     int // of its first events come twice
	more      bool
	total     int64  // as reported: of all visible events
	cursor    string // empty at the end
	expires   time.Time
	expiresIn int // seconds, as reported when the page was made
	requestID string
	broken    Fault // whose part that concerns the text stays in the cache
}

// servePage answers for the list and for the feed.
func (x *exchange) servePage() {
	if !x.authorize() {
		return
	}
	query := x.r.URL.Query()
	name := cacheName(x.endpoint, query)
	p, hit := x.cache.get(name, x.arrived)
	if x.config.DeadTokenFree && !x.hasToken() {
		return
	}
	if free := hit && x.config.FreeHits; !free && !x.limit() {
		return
	}
	if x.disturb() || !x.hasToken() {
		return
	}
	if hit && !x.fault.scripted {
		if !x.fault.cut && x.fault.delay == 0 { // the others cannot happen to an answer from the cache
			x.fault = Fault{}
		}
		if x.rest(x.config.Latency.scaled(x.config.Latency.Hit)) == nil {
			x.sendPage(&p, "HIT")
		}
		return
	}
	x.serveFresh(query, name)
}

// serveFresh answers a query that the cache does not know.
func (x *exchange) serveFresh(query url.Values, name string) {
	sel, err := x.selects(query, x.endpoint, time.Now())
	if err != nil {
		x.refuseQuery(err)
		return
	}
	otherwise := x.config.ListDefault
	if x.endpoint == Feed {
		otherwise = x.config.FeedDefault
	}
	p := x.plan(sel, x.pageLimit(query, otherwise))
	if x.rest(x.pageLatency(p.events)) != nil {
		return
	}
	p.expiresIn = secondsLeft(p.expires)
	x.cache.put(name, p, time.Now())
	x.sendPage(&p, "MISS")
}

// secondsLeft rounds down, as the API does.
func secondsLeft(expires time.Time) int { return max(0, int(time.Until(expires)/time.Second)) }

// pageLatency is how long a page takes that is not in the cache.
func (x *exchange) pageLatency(events int) time.Duration {
	l := &x.config.Latency
	return max(l.page(events, draw(keyOf(x.config.Seed, "latency"), x.number)),
		x.ceiling.wait(events, l.Ceiling/l.Scale, x.arrived))
}

// rest takes the time that an answer takes, and the time that a fault adds to it.
func (x *exchange) rest(d time.Duration) error { return sleep(x.r.Context(), d+x.fault.delay) }

// plan lays out the page that a selection begins with. The cursor is stamped here: its life has begun when the answer,
// some seconds later, leaves.
func (x *exchange) plan(sel selection, limit int) page {
	f := &x.fault
	p := page{selection: sel, limit: limit, requestID: uuid.NewString(), broken: *f}
	want := limit
	if f.twice > 0 {
		p.twice = min(f.twice, limit/2)
		want = limit - p.twice
	}
	seen, last, lastAt, more := p.take(want)
	p.twice = min(p.twice, seen)
	p.events, p.more = seen+p.twice, more && !f.early
	p.total = p.view.Events() + x.config.TotalError
	if p.more {
		p.cursor, p.expires = x.cursors.encode(x.data.events.uuid(last), lastAt, time.Now())
	}
	return p
}

// take finds the end of a page of at most want events: how many there are, the last of them, and whether more follow.
func (s *selection) take(want int) (seen int, last, at int64, more bool) {
	if !s.filters() {
		seen = int(min(int64(want), s.below-s.floor))
		if seen > 0 {
			end := s.view.data.walk(s.below - int64(seen) + 1)
			last, at = end.next()
		}
		return seen, last, at, s.below-int64(seen) > s.floor
	}
	w := s.view.data.walk(s.below)
	for w.left > s.floor {
		serial, ms := w.next()
		if !s.passes(serial) {
			continue
		}
		if seen == want {
			return seen, last, at, true
		}
		seen, last, at = seen+1, serial, ms
	}
	return seen, last, at, false
}

// recordBytes is a little more than a recorded record has.
const recordBytes = 352

// writeCache says in the headers whether the answer came from the cache.
func (x *exchange) writeCache(status string) {
	if x.r.Method != http.MethodHead && x.config.CacheLife > 0 {
		x.set("X-Cache", status)
		x.set("X-Cache-TTL", strconv.Itoa(seconds(x.config.CacheLife)))
	}
}

// sendPage writes the text of a page and sends it.
func (x *exchange) sendPage(p *page, cached string) {
	x.log.RequestID, x.log.Events, x.log.Cache = p.requestID, p.events, cached
	x.writeCache(cached)
	if x.endpoint == Feed {
		x.set("X-Chaos-Applied", "missingFields")
		x.set("X-Chaos-Description", "Missing fields: none applicable")
	}
	buffer := x.bodies.Get().(*[]byte)
	defer x.bodies.Put(buffer)
	*buffer = x.appendPage(slices.Grow((*buffer)[:0], p.events*recordBytes+1024), p)
	x.send(http.StatusOK, contentJSON, p.broken.spoil(*buffer))
}

// spoil applies the fault to the text of a page.
func (f *Fault) spoil(body []byte) []byte {
	switch {
	case f.null:
		return []byte("null")
	case f.truncated:
		return body[:int(f.share*float64(len(body)))]
	}
	return body
}

// appendPage writes the body of a page.
func (x *exchange) appendPage(b []byte, p *page) []byte {
	return x.appendEnvelope(x.appendEvents(append(b, `{"data":[`...), p), p)
}

// appendEnvelope writes what follows the records.
func (x *exchange) appendEnvelope(b []byte, p *page) []byte {
	if x.config.Flat {
		b = appendMore(append(b, `],`...), p)
		return append(b, '}')
	}
	b = append(b, `],"pagination":{"limit":`...)
	b = strconv.AppendInt(b, int64(p.limit), 10)
	b = appendMore(append(b, ','), p)
	b = append(b, `,"cursorExpiresIn":`...)
	if p.cursor == "" {
		b = append(b, `null`...)
	} else {
		b = strconv.AppendInt(b, int64(p.expiresIn), 10)
	}
	b = append(b, `},"meta":{"total":`...)
	b = strconv.AppendInt(b, p.total, 10)
	b = append(b, `,"returned":`...)
	b = strconv.AppendInt(b, int64(p.events), 10)
	b = append(append(b, `,"requestId":"`...), p.requestID...)
	return append(b, `"}}`...)
}

func appendMore(b []byte, p *page) []byte {
	b = strconv.AppendBool(append(b, `"hasMore":`...), p.more)
	if p.cursor == "" {
		return append(b, `,"nextCursor":null`...)
	}
	b = append(append(b, `,"nextCursor":"`...), p.cursor...)
	return append(b, '"')
}

// appendEvents writes the records. The form of a timestamp is a property of the place in the list's page, not of the event:
// every third is a number. At the feed all are.
func (x *exchange) appendEvents(b []byte, p *page) []byte {
	r := x.renderers.Get().(*renderer)
	defer x.renderers.Put(r)
	w := x.data.walk(p.below)
	for place := 0; place < p.events; {
		serial, at := w.next()
		if p.filters() && !p.passes(serial) {
			continue
		}
		copies := 1
		if place < 2*p.twice {
			copies = 2
		}
		for range copies {
			if place > 0 {
				b = append(b, ',')
			}
			as := formISO
			if x.endpoint == Feed || place%3 == 0 {
				as = formNumber
			}
			b = r.append(b, serial, at, as)
			place++
		}
	}
	return b
}

// cache repeats answers, bad ones too. It keeps how a page is made and not its text, so that its size does not matter.
type cache struct {
	life time.Duration

	mu    sync.Mutex
	pages map[string]cachedPage
	names []string // oldest first
}

type cachedPage struct {
	page page
	born time.Time
}

// maxCached is how many answers are kept; the oldest is dropped first.
const maxCached = 4096

// cacheName is the whole query without the key, in one order.
func cacheName(endpoint Endpoint, query url.Values) string {
	query.Del("api_key")
	query.Del("apiKey")
	return string(endpoint) + "?" + query.Encode()
}

func (c *cache) get(name string, now time.Time) (page, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.pages[name]
	return p.page, ok && now.Sub(p.born) < c.life
}

func (c *cache) put(name string, p page, now time.Time) {
	if c.life <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.pages[name]; !known {
		c.names = append(c.names, name)
	}
	c.pages[name] = cachedPage{p, now}
	if len(c.names) > maxCached {
		delete(c.pages, c.names[0])
		c.names = c.names[1:]
	}
}
