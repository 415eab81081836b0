package apisim

import (
	"bytes"
	"fmt"
	"net/http"
	"path"
	"sort"
	"time"

	"github.com/google/uuid"
)

// The pools that the attributes of recorded sessions come from.
var (
	systems   = [...]string{"Android", "Windows", "macOS", "Linux", "iOS"}
	countries = [...]string{"DE", "US", "CA", "BR", "AU", "JP", "FR", "UK"}
	people    = [...]string{"alice", "bob", "charlie", "david", "eve", "frank", "grace", "henry", "ivy", "jack"}
	mail      = [...]string{"appmakers", "devops", "datainc", "webdev", "acme", "techcorp", "codelab", "cloudsoft"}
)

// sessions returns how many sessions there are.
func (d *Data) sessionTotal() int64 {
	if d.Events() == 0 {
		return 0
	}
	return d.sessionCount
}

// sessionSpan returns when a session starts and ends, in epoch milliseconds, whole seconds apart. Those that are under way
// when the first event comes have started before it, one after the other.
func (d *Data) sessionSpan(index int64) (start, end int64) {
	perStep := float64(d.Events()) / float64(d.sessionCount-concurrent+1)
	first := int64(float64(index-concurrent+1) * perStep)
	last := min(int64(float64(index+1)*perStep), d.Events()-1)
	if index < concurrent-1 {
		start = d.timeline.at(0) - (concurrent-1-index)*1000
	} else {
		start = d.timeline.at(first)
	}
	length := (d.timeline.at(last) - start + 999) / 1000
	return start, start + length*1000
}

// sessionEvents counts the events of a session.
func (d *Data) sessionEvents(index int64) (n int) {
	first, end := d.sessionRange(index)
	for serial := first; serial < end; serial++ {
		if d.sessionOf(serial) == index {
			n++
		}
	}
	return n
}

// serveSessions answers GET /api/v1/sessions, newest start first. It is not cached here.
func (x *exchange) serveSessions() {
	if !x.open() {
		return
	}
	query := x.r.URL.Query()
	below, err := x.sessionsBelow(query.Get("cursor"))
	if err != nil {
		x.refuseQuery(err)
		return
	}
	p := x.planSessions(below, x.pageLimit(query, x.config.ListDefault))
	x.log.RequestID = p.requestID
	b := []byte(`{"data":[`)
	for index := p.below - 1; index >= p.floor; index-- {
		b = append(x.data.appendSession(b, index, ""), ',')
	}
	b = bytes.TrimSuffix(b, []byte(","))
	x.send(http.StatusOK, contentJSON, x.appendEnvelope(b, &p, x.data.sessionTotal()))
}

// sessionsBelow returns how many sessions a cursor leaves.
func (x *exchange) sessionsBelow(text string) (int64, error) {
	if text == "" {
		return x.data.sessionTotal(), nil
	}
	c, err := x.cursors.decode(text)
	switch expires := time.UnixMilli(c.Exp); {
	case err != nil:
		return 0, err
	case !time.Now().Before(expires):
		return 0, &expiredError{expires}
	}
	return x.data.sessionsAfter(c), nil
}

func (x *exchange) planSessions(below int64, limit int) page {
	floor := max(0, below-int64(limit))
	p := page{limit: limit, events: int(below - floor), more: floor > 0, requestID: uuid.NewString()}
	p.floor, p.below = floor, below
	if p.more {
		start, _ := x.data.sessionSpan(floor)
		p.cursor, p.expires = x.cursors.encode(x.data.sessions.uuid(floor), start, time.Now())
		p.expiresIn = secondsLeft(p.expires)
	}
	return p
}

// sessionsAfter returns how many sessions lie below a cursor. Sessions that start together stand in the order of their
// indexes, so that the cursor of one of them is found by its id.
func (d *Data) sessionsAfter(c cursor) int64 {
	if index, ok := d.sessions.serial(c.ID, d.sessionTotal()); ok {
		return index
	}
	return int64(sort.Search(int(d.sessionTotal()), func(i int) bool {
		start, _ := d.sessionSpan(int64(i))
		return start >= c.TS
	}))
}

// serveSession answers GET /api/v1/sessions/:id.
func (x *exchange) serveSession() {
	if !x.open() {
		return
	}
	id := path.Base(x.r.URL.Path)
	index, ok := x.data.findSession(id)
	if !ok {
		x.refuse(problem{http.StatusNotFound, fmt.Sprintf("Session with id '%s' not found", id), "SESSION_NOT_FOUND"})
		return
	}
	x.log.RequestID = uuid.NewString()
	count := fmt.Sprintf(`,"_count":{"events":%d}`, x.data.sessionEvents(index))
	b := x.data.appendSession([]byte(`{"data":`), index, count)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `,"meta":{"requestId":"%s"}}`, x.log.RequestID))
}

// appendSession writes a session, with something more at its end.
func (d *Data) appendSession(b []byte, index int64, more string) []byte {
	s, r := d.session(index), mix(draw(d.keys.session, index))
	user := d.userOf(index)
	start, end := d.sessionSpan(index)
	iso := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(isoMillis) }
	b = fmt.Appendf(b, `{"id":"%s","userId":"%s","user":{"id":"%s","name":"%s %d","email":"user%d@%s.com"},`,
		s.id, s.user, s.user, people[user%10], user, user, mail[mix(uint64(user))%8])
	b = fmt.Appendf(b, `"deviceType":"%s","browser":"%s","os":"%s","ipAddress":"%d.%d.%d.%d","country":"%s","city":"City%d",`,
		s.device, s.browser, systems[r%5], 1+r>>8%223, r>>16&255, r>>24&255, r>>32&255, countries[r>>40%8], r>>48%100)
	return fmt.Appendf(b, `"startedAt":"%s","endedAt":"%s","duration":%d,"eventCount":%d%s}`,
		iso(start), iso(end), (end-start)/1000, d.sessionEvents(index), more)
}
