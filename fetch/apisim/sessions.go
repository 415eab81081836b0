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

// pace relates sessions to events: after a fixed number of events the oldest session in progress makes room for a new one.
type pace struct{ events, sessions float64 }

// paceOf spreads the sessions of a history over its events; where there is none, as the recorded ones are.
func paceOf(history, sessions int64) pace {
	if history == 0 {
		return pace{perSession, 1}
	}
	return pace{float64(history), float64(sessions - concurrent + 1)}
}

// oldest returns the oldest session that is under way at a position.
func (p *pace) oldest(position int64) int64 { return int64(float64(position) * p.sessions / p.events) }

// first returns the first position at which that many sessions have made room. It may be off by one.
func (p *pace) first(gone int64) int64 { return int64(float64(gone) * (p.events / p.sessions)) }

// sessionTotal returns how many sessions have begun.
func (v *View) sessionTotal() int64 {
	if v.end == 0 {
		return 0
	}
	return v.data.pace.oldest(v.end-1) + concurrent
}

// sessionSpan returns when a session starts and ends, in epoch milliseconds, whole seconds apart. Sessions in progress
// at the first event have started before it, one after the other.
func (v *View) sessionSpan(index int64) (start, end int64) {
	d := v.data
	first := d.pace.first(index - concurrent + 1)
	last := min(d.pace.first(index+1), v.end-1)
	if index < concurrent-1 {
		start = d.timeline.at(0) - (concurrent-1-index)*1000
	} else {
		start = d.timeline.at(first)
	}
	length := (d.timeline.at(last) - start + 999) / 1000
	return start, start + length*1000
}

// sessionEvents counts the events of a session.
func (v *View) sessionEvents(index int64) (n int) {
	first, end := v.data.sessionRange(index)
	for serial := first; serial < min(end, v.end); serial++ {
		if v.data.sessionOf(serial) == index && v.sees(serial) {
			n++
		}
	}
	return n
}

// serveSessions answers GET /api/v1/sessions, newest start first. It is not cached here.
func (x *exchange) serveSessions() {
	query, v := x.r.URL.Query(), x.data.At(time.Now())
	below, err := x.sessionsBelow(&v, query.Get("cursor"))
	if err != nil {
		x.refuseQuery(err)
		return
	}
	p := x.planSessions(&v, below, x.pageLimit(query, x.config.ListDefault))
	x.log.RequestID = p.requestID
	b := []byte(`{"data":[`)
	for index := p.below - 1; index >= p.floor; index-- {
		b = append(v.appendSession(b, index, ""), ',')
	}
	b = bytes.TrimSuffix(b, []byte(","))
	x.writeCache("MISS")
	x.send(http.StatusOK, contentJSON, x.appendEnvelope(b, &p))
}

// sessionsBelow returns how many sessions a cursor leaves.
func (x *exchange) sessionsBelow(v *View, text string) (int64, error) {
	if text == "" {
		return v.sessionTotal(), nil
	}
	c, err := x.cursors.decode(text)
	switch expires := time.UnixMilli(c.Exp); {
	case err != nil:
		return 0, err
	case !time.Now().Before(expires):
		return 0, &expiredError{expires}
	}
	return v.sessionsAfter(c), nil
}

func (x *exchange) planSessions(v *View, below int64, limit int) page {
	floor := max(0, below-int64(limit))
	p := page{limit: limit, events: int(below - floor), more: floor > 0, total: v.sessionTotal(), requestID: uuid.NewString()}
	p.floor, p.below = floor, below
	if p.more {
		start, _ := v.sessionSpan(floor)
		p.cursor, p.expires = x.cursors.encode(x.data.sessions.uuid(floor), start, time.Now())
		p.expiresIn = secondsLeft(p.expires)
	}
	return p
}

// sessionsAfter returns how many sessions lie below a cursor. Sessions that start together stand in the order of their
// indexes, so that the cursor of one of them is found by its id.
func (v *View) sessionsAfter(c cursor) int64 {
	if index, ok := v.data.sessions.serial(c.ID, v.sessionTotal()); ok {
		return index
	}
	return int64(sort.Search(int(v.sessionTotal()), func(i int) bool {
		start, _ := v.sessionSpan(int64(i))
		return start >= c.TS
	}))
}

// serveSession answers GET /api/v1/sessions/:id.
func (x *exchange) serveSession() {
	id, v := path.Base(x.r.URL.Path), x.data.At(time.Now())
	index, ok := v.findSession(id)
	if !ok {
		x.refuse(problem{http.StatusNotFound, fmt.Sprintf("Session with id '%s' not found", id), "SESSION_NOT_FOUND"})
		return
	}
	x.log.RequestID = uuid.NewString()
	count := fmt.Sprintf(`,"_count":{"events":%d}`, v.sessionEvents(index))
	b := v.appendSession([]byte(`{"data":`), index, count)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `,"meta":{"requestId":"%s"}}`, x.log.RequestID))
}

// appendSession writes a session, with something more at its end.
func (v *View) appendSession(b []byte, index int64, more string) []byte {
	d := v.data
	s, r := d.session(index), mix(draw(d.keys.session, index))
	user := d.userOf(index)
	start, end := v.sessionSpan(index)
	iso := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(isoMillis) }
	b = fmt.Appendf(b, `{"id":"%s","userId":"%s","user":{"id":"%s","name":"%s %d","email":"user%d@%s.com"},`,
		s.id, s.user, s.user, people[user%10], user, user, mail[mix(uint64(user))%8])
	b = fmt.Appendf(b, `"deviceType":"%s","browser":"%s","os":"%s","ipAddress":"%d.%d.%d.%d","country":"%s","city":"City%d",`,
		s.device, s.browser, systems[r%5], 1+r>>8%223, r>>16&255, r>>24&255, r>>32&255, countries[r>>40%8], r>>48%100)
	return fmt.Appendf(b, `"startedAt":"%s","endedAt":"%s","duration":%d,"eventCount":%d%s}`,
		iso(start), iso(end), (end-start)/1000, v.sessionEvents(index), more)
}
