package apisim

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The shape of the recorded data (api.md, section 6).
const (
	perSession = 50 // events of a session, on average
	perUser    = 20 // sessions of a user, on average
	concurrent = 43 // sessions at a time: 60,000 of 31 minutes on average, in 30 days
)

// share is a value, and how many of the 3,000,000 recorded events (or 60,000 sessions) have it.
type share struct {
	value  string
	events uint64
}

var (
	types = []share{{"page_view", 1050459}, {"click", 749415}, {"api_call", 300487}, {"form_submit", 299557},
		{"scroll", 150594}, {"purchase", 150087}, {"error", 149884}, {"video_play", 149517}}
	devices  = []share{{"mobile", 20159}, {"tablet", 20042}, {"desktop", 19799}}
	browsers = []share{{"Chrome", 1}, {"Firefox", 1}, {"Safari", 1}, {"Edge", 1}}
)

// pick chooses one of the values, each as often as its share of the total says. r is uniformly drawn from 32 bits.
func pick(shares []share, total uint64, r uint32) string {
	place := uint64(r) * total >> 32
	for i := range shares {
		if place < shares[i].events {
			return shares[i].value
		}
		place -= shares[i].events
	}
	return shares[len(shares)-1].value
}

// Data is a data set. An event is named by its serial, a number from 0 to Events()-1, of which everything in it is a pure
// function; the position of an event in the order of time, oldest first, is its serial too, except among the events of one
// millisecond, which the API orders by id. Nothing in Data grows with the number of events. Where the data set grows (Live),
// serials go on after the history, and a View says which of them are there to be seen at an instant.
type Data struct {
	config                  Config
	timeline                timeline
	events, sessions, users namespace
	keys                    keys
	history                 int64 // events that are there from the beginning: all, if the set does not grow
	pace                    pace
	userCount               int64
	ties                    ties
}

// keys of the draws, one for every purpose.
type keys struct{ event, name, session, wrong, malformed, late uint64 }

// Event is one event, as the API serves it.
type Event struct {
	ID, Session, User uuid.UUID
	Type, Name        string
	Device, Browser   string
	AtMS              int64 // the timestamp as served, in epoch milliseconds
	OrderMS           int64 // the one that decides its place in the order; another one only in a record with a wrong timestamp
	ArrivesMS         int64 // from when on it is served, if it is none of the history: OrderMS, or later in a late one
}

// NewData makes the data set that c describes; what c says on how it is served does not matter.
func NewData(c Config) (*Data, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configure the simulator: %w", err)
	}
	d := &Data{config: c, timeline: newTimeline(&c),
		events: newNamespace(c.Seed, "event"), sessions: newNamespace(c.Seed, "session"), users: newNamespace(c.Seed, "user"),
		keys: keys{event: keyOf(c.Seed, "attributes"), name: keyOf(c.Seed, "name"), session: keyOf(c.Seed, "session attributes"),
			wrong: keyOf(c.Seed, "wrong"), malformed: keyOf(c.Seed, "malformed"), late: keyOf(c.Seed, "late")}}
	d.history = d.timeline.events()
	sessions := max(d.history/perSession, concurrent)
	d.pace, d.userCount = paceOf(d.history, sessions), max(sessions/perUser, 1)
	if c.Live.Rate > 0 {
		d.timeline.grow(c.Newest, c.Live.Rate)
	}
	return d, nil
}

// Events returns how many events are visible now, malformed ones included. If the set does not grow, they are the
// serials from 0 on.
func (d *Data) Events() int64 { return d.At(time.Now()).Events() }

// Event returns the event of a serial, whether or not it is visible yet. If its record is malformed, this is what it would be.
func (d *Data) Event(serial int64) Event {
	f, s := d.fields(serial), d.session(d.sessionOf(serial))
	at := d.timeline.at(serial)
	return Event{
		ID: d.events.uuid(serial), Session: s.id, User: s.user,
		Type: f.kind, Name: string(f.appendName(nil)), Device: s.device, Browser: s.browser,
		AtMS: d.served(serial, at), OrderMS: at, ArrivesMS: at + d.delay(serial),
	}
}

// fields are the attributes of an event itself, in addition to its id and its time.
type fields struct {
	kind string
	name uint64 // six digits of base 36
}

func (d *Data) fields(serial int64) fields {
	return fields{
		kind: pick(types, 3_000_000, uint32(draw(d.keys.event, serial))),
		name: draw(d.keys.name, serial),
	}
}

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

func (f *fields) appendName(b []byte) []byte {
	b = append(b, "event_"...)
	for rest, i := uint32(f.name), 0; i < 6; i++ {
		// A digit is the whole part of a fraction times 36.
		wide := uint64(rest) * 36
		b, rest = append(b, base36[wide>>32]), uint32(wide)
	}
	return b
}

// sessionOf returns the session of an event: one of the sessions in progress at its position, drawn at random.
func (d *Data) sessionOf(serial int64) int64 {
	return d.pace.oldest(serial) + int64(draw(d.keys.event, serial)>>32*concurrent>>32)
}

// session holds the attributes that all events of a session share.
type session struct {
	id, user        uuid.UUID
	device, browser string
}

func (d *Data) session(index int64) session {
	r := draw(d.keys.session, index)
	return session{
		id:      d.sessions.uuid(index),
		user:    d.users.uuid(d.userOf(index)),
		device:  pick(devices, 60000, uint32(r>>2)),
		browser: browsers[r%4].value,
	}
}

// userOf returns the user of a session.
func (d *Data) userOf(session int64) int64 {
	return int64(draw(d.keys.session, session) >> 32 * uint64(d.userCount) >> 32)
}

// lastYear ends the range of timestamps that every reader accepts, 1970 to 2200, in epoch milliseconds.
var lastYear = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// leastMillis is the least timestamp that a reader can tell from one in seconds: March 1973.
const leastMillis = 100_000_000_000

// served returns the timestamp that an event is served with: at, or for a share of them hours or days beside it, sometimes
// in another century.
func (d *Data) served(serial, at int64) int64 {
	if d.config.WrongShare == 0 {
		return at
	}
	r := draw(d.keys.wrong, serial)
	if r >= threshold(d.config.WrongShare) {
		return at
	}
	r = mix(r)
	if r%16 == 0 {
		return leastMillis + int64(r>>4%uint64(lastYear-leastMillis))
	}
	off := time.Hour.Milliseconds() + int64(r>>8%uint64((10*24*time.Hour).Milliseconds()))
	if r>>4%2 == 0 {
		off = -off
	}
	return max(0, min(at+off, lastYear-1))
}
