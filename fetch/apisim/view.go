package apisim

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A View is the part of a data set that is visible at an instant: all of it, if it does not grow. It is a handful of
// numbers; an event that has been seen stays in every later view until it is deleted.
type View struct {
	data    *Data
	asOf    int64 // epoch milliseconds: what arrives later is not seen
	first   int64 // the events of all positions below are deleted
	settled int64 // the events of all positions below have arrived
	end     int64 // the events from here on are still to come
}

// At returns the view at an instant, to the millisecond.
func (d *Data) At(t time.Time) View {
	if d.config.Live == (Live{}) {
		return View{data: d, asOf: math.MaxInt64, settled: d.history, end: d.history}
	}
	v := View{data: d, asOf: t.UnixMilli()}
	v.end = max(d.history, d.timeline.before(v.asOf+1))
	v.settled = v.end
	if d.config.Live.LateShare > 0 {
		v.settled = max(d.history, d.timeline.before(v.asOf+1-d.config.Live.LateMost.Milliseconds()))
	}
	v.first = d.forgotten(v.asOf, v.end)
	v.settled = max(v.settled, v.first)
	return v
}

// forgotten returns how many of the oldest events are deleted at an instant: all of a millisecond, or none.
func (d *Data) forgotten(asOf, end int64) int64 {
	n := min(end, int64(d.config.Live.Forget*float64(asOf-d.config.Newest.UnixMilli())/1000))
	if n <= 0 || n == end {
		return max(0, n)
	}
	n, _ = d.timeline.group(n)
	return n
}

// Serials returns the serials [first, end) of the events that are not deleted, of which some may not have arrived.
func (v View) Serials() (first, end int64) { return v.first, v.end }

// sees reports whether an event has arrived and is not deleted. Its serial must be below the view's end.
func (v *View) sees(serial int64) bool {
	if serial < v.first {
		return false
	}
	if serial < v.settled {
		return true
	}
	late := v.data.delay(serial)
	return late == 0 || v.data.timeline.at(serial)+late <= v.asOf
}

// Events returns how many events are visible, malformed ones included.
func (v View) Events() int64 {
	seen := v.settled - v.first
	for serial := v.settled; serial < v.end; serial++ {
		if v.sees(serial) {
			seen++
		}
	}
	return seen
}

// Find returns the serial of the event with an id, if it is visible.
func (v View) Find(id uuid.UUID) (serial int64, ok bool) {
	serial, ok = v.data.events.serial(id, v.end)
	return serial, ok && v.sees(serial)
}

// positions returns the positions [first, end) of a window [start, end) in microseconds since 1970.
func (v *View) positions(start, end int64) (first, last int64) {
	first = max(v.first, min(v.end, v.data.timeline.before(ceilMilli(start))))
	return first, max(first, min(v.end, v.data.timeline.before(ceilMilli(end))))
}

// The open ends of a window.
const (
	Past   = math.MinInt64
	Future = math.MaxInt64
)

// Sum is a count of rows and a hash of their content that does not depend on their order.
type Sum struct {
	Rows int64
	Hash string // the sum of all row hashes, modulo 2^64, in decimal
}

// TruthSQL returns the same as Data.Truth does, from the rows of ingested_events: their count, and the sum of their hashes
// as text. Its parameters are the start and the end of the window [start, end); null leaves an end open. The hash of a row
// is the first half of the MD5 of its columns, read as a signed number.
const TruthSQL = `
	select count(*), mod(mod(coalesce(sum(row_hash), 0), 18446744073709551616) + 18446744073709551616, 18446744073709551616)::text
	from (
		select ('x' || left(md5(concat_ws('|', id, session_id, user_id, type, name, properties::text,
			(extract(epoch from timestamp) * 1000000)::bigint, device_type, browser)), 16))::bit(64)::bigint::numeric as row_hash
		from ingested_events
		where ($1::timestamptz is null or timestamp >= $1) and ($2::timestamptz is null or timestamp < $2)
	) as hashed`

// Truth returns the count and the hash of the visible events of a window now: see View.Truth.
func (d *Data) Truth(start, end int64) Sum { return d.At(time.Now()).Truth(start, end) }

// Truth returns the count and the hash of all rows that a correct reader makes of the events in a window [start, end), in
// microseconds since 1970 or Past and Future. Timestamps are taken as served; malformed records make no row.
func (v View) Truth(start, end int64) Sum {
	first, last := v.first, v.end
	if v.data.config.WrongShare == 0 {
		first, last = v.positions(start, end)
	}
	parts := make([]tally, runtime.GOMAXPROCS(0))
	var scans sync.WaitGroup
	for i := range parts {
		n := int64(len(parts))
		from, to := first+(last-first)*int64(i)/n, first+(last-first)*int64(i+1)/n
		scans.Go(func() { parts[i] = v.scan(from, to, start, end) })
	}
	scans.Wait()
	var all tally
	for _, p := range parts {
		all.rows, all.hash = all.rows+p.rows, all.hash+p.hash
	}
	return Sum{all.rows, strconv.FormatUint(all.hash, 10)}
}

type tally struct {
	rows int64
	hash uint64
}

// scan counts the rows of the serials [from, to) that are in the window as served.
func (v *View) scan(from, to, start, end int64) (t tally) {
	var row []byte
	d := v.data
	for serial := from; serial < to; serial++ {
		at := d.served(serial, d.timeline.at(serial)) * 1000
		if at < start || at >= end {
			continue
		}
		if !v.sees(serial) || !d.sound(serial) {
			continue
		}
		row = d.appendRow(row[:0], serial, at)
		t.rows, t.hash = t.rows+1, t.hash+hashRow(row)
	}
	return t
}

// hashRow is the hash of one row, whose columns are joined as in TruthSQL.
func hashRow(row []byte) uint64 {
	sum := md5.Sum(row)
	return binary.BigEndian.Uint64(sum[:8])
}

// appendRow joins the columns of a row. Properties are written as jsonb prints them.
func (d *Data) appendRow(b []byte, serial, atMicros int64) []byte {
	f, s := d.fields(serial), d.session(d.sessionOf(serial))
	b = append(appendUUID(b, d.events.uuid(serial)), '|')
	b = append(appendUUID(b, s.id), '|')
	b = append(appendUUID(b, s.user), '|')
	b = append(append(b, f.kind...), '|')
	b = append(f.appendName(b), `|{"page": "/home"}|`...)
	b = append(strconv.AppendInt(b, atMicros, 10), '|')
	b = append(append(b, s.device...), '|')
	return append(b, s.browser...)
}

// ceilMilli rounds microseconds up to milliseconds, the resolution of all timestamps here.
func ceilMilli(micros int64) int64 {
	ms := micros / 1000
	if micros%1000 > 0 {
		ms++
	}
	return ms
}
