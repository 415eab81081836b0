package job_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/apisim"
	"sluice/fetch/decode"
	"sluice/shard"
)

// truth is everything that the source has, oldest first, as far as it has happened. Records are only ever added at the end: the
// index of one never changes.
type truth struct {
	data    *apisim.Data
	records []record
	byID    map[uuid.UUID][]int // of the sound ones, by the id that they show: some show that of another
	bySum   map[[32]byte]int    // of the malformed ones
	grown   int64               // serials that are among the records
	live    bool
}

// record is one record of the source. Its Key is its place in the source's order.
type record struct {
	shard.Key
	apisim.Event
	served  shard.Event   // of a sound one
	raw     []byte        // of a malformed one
	sum     [32]byte      // of the dead letter that it becomes: always, or if the id that it shows has a row with other content
	at      shard.Instant // the timestamp that it is served with
	arrives time.Time
}

func newTruth(c *apisim.Config, d *apisim.Data) *truth {
	t := &truth{data: d, byID: map[uuid.UUID][]int{}, bySum: map[[32]byte]int{}, live: c.Live.Rate > 0}
	t.add(max(c.Events, 0))
	return t
}

// grow adds the events whose timestamp has come.
func (t *truth) grow() {
	if !t.live {
		return
	}
	serial, now := t.grown, time.Now().UnixMilli()
	for t.data.Event(serial).OrderMS <= now {
		serial++
	}
	t.add(serial)
}

// add adds the records up to a serial.
func (t *truth) add(serial int64) {
	first := len(t.records)
	for ; t.grown < serial; t.grown++ {
		t.records = append(t.records, t.record(t.grown))
	}
	slices.SortFunc(t.records[first:], func(a, b record) int {
		return cmp.Or(cmp.Compare(a.At, b.At), bytes.Compare(a.Key.ID[:], b.Key.ID[:]))
	})
	for i := range t.records[first:] {
		if r := &t.records[first+i]; r.raw != nil {
			t.bySum[r.sum] = first + i
		} else {
			t.byID[r.served.ID] = append(t.byID[r.served.ID], first+i)
		}
	}
}

func (t *truth) record(serial int64) record {
	e := t.data.Event(serial)
	r := record{
		Key: shard.Key{At: shard.Instant(e.OrderMS * 1000), ID: e.ID}, Event: e, raw: t.data.MalformedRecord(serial),
		at: shard.Instant(e.AtMS * 1000), arrives: time.UnixMilli(e.ArrivesMS),
	}
	r.served = r.event()
	if sound, reject := decode.Record(r.raw); r.raw != nil && reject == nil { // one that a scenario has put there
		r.raw, r.at, r.served = nil, sound.At, sound
	}
	dead := r.raw
	if dead == nil {
		dead, _ = json.Marshal(r.served)
	}
	r.sum = sha256.Sum256(dead)
	return r
}

// event is what the source has of a record, and shows of a sound one.
func (r *record) event() shard.Event {
	return shard.Event{
		ID: r.Key.ID, Session: r.Session, User: r.User, At: r.at, Type: r.Type, Name: r.Name, Properties: `{"page":"/home"}`,
		Device: r.Device, Browser: r.Browser,
	}
}

// index returns which record shows an event; -1 if none does.
func (t *truth) index(e *shard.Event) int {
	for _, i := range t.byID[e.ID] {
		if t.records[i].served == *e {
			return i
		}
	}
	return -1
}

// behind returns the index from which on all records lie behind a place in the source's order: it, and what is newer.
func (t *truth) behind(k shard.Key) int {
	newest, rival := -1, false
	for _, i := range t.byID[k.ID] { // of those that show the same key it may be any
		if r := &t.records[i]; r.served.Key() == k {
			newest, rival = max(newest, i), rival || r.Key.ID != k.ID
		}
	}
	if rival {
		return newest
	}
	i, _ := slices.BinarySearchFunc(t.records, k, func(r record, k shard.Key) int {
		if r.Key == k {
			return 0
		}
		if k.At > r.Key.At || k.At == r.Key.At && bytes.Compare(k.ID[:], r.Key.ID[:]) > 0 {
			return -1
		}
		return 1
	})
	return i
}
