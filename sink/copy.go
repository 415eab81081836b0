package sink

import (
	"encoding/binary"
	"io"

	"github.com/google/uuid"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// copyStream is events in PostgreSQL's binary COPY format (PostgreSQL manual, "COPY", section "Binary Format"). It is an
// io.Reader that encodes as it is read, so that a batch needs no second copy in memory. Encoding cannot fail: every Event can be
// encoded, and it is the server that refuses one. (An error inside a COPY would reach us as 57014, the code of a timeout.) A
// stream is read once, and never used again: after a connection broke, pgx may still read from it for a while when CopyFrom
// has returned.
type copyStream struct {
	*merge
	staged bool // for the staging table: with a row number first, and properties as text
	until  int  // rows of the merge, after which the stream ends

	buf     []byte // buf[off:] is encoded and not yet read
	off     int
	started bool
	ended   bool
}

// copyChunk is the number of bytes encoded at a time; pgx reads 64 KiB at a time.
const copyChunk = 64 << 10

var copyHeader = []byte("PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00")

func (s *copyStream) Read(p []byte) (n int, err error) {
	if s.started {
		failpoint.Hit("copy.part") // the server has what was read before
	}
	for n < len(p) {
		if s.off == len(s.buf) && !s.fill() {
			break
		}
		moved := copy(p[n:], s.buf[s.off:])
		s.off += moved
		n += moved
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill encodes the next rows. It returns false after the trailer.
func (s *copyStream) fill() bool {
	if s.ended {
		return false
	}
	s.buf, s.off = s.buf[:0], 0
	if !s.started {
		s.started = true
		s.buf = append(make([]byte, 0, copyChunk+copyChunk/4), copyHeader...)
	}
	for len(s.buf) < copyChunk {
		if s.given == s.until {
			s.ended = true
			s.buf = append(s.buf, 0xff, 0xff)
			break
		}
		s.row(s.event())
	}
	return true
}

// row appends one tuple, in the order of copyColumns.
func (s *copyStream) row(e *shard.Event) {
	b := s.buf
	if s.staged {
		b = binary.BigEndian.AppendUint16(b, copyFields+1)
		b = appendInt32(b, int32(s.given-1))
	} else {
		b = binary.BigEndian.AppendUint16(b, copyFields)
	}
	b = appendUUID(b, e.ID)
	b = appendUUID(b, e.Session)
	b = appendUUID(b, e.User)
	b = appendText(b, e.Type)
	b = appendText(b, e.Name)
	if s.staged {
		b = appendText(b, e.Properties)
	} else {
		b = appendJSONB(b, e.Properties)
	}
	b = appendInstant(b, e.At)
	b = appendText(b, e.Device)
	s.buf = appendText(b, e.Browser)
}

// copyColumns are the columns that a COPY fills; the server sets ingested_at.
const (
	copyColumns = `id, session_id, user_id, type, name, properties, "timestamp", device_type, browser`
	copyFields  = 9
)

// postgresEpoch is 2000-01-01 UTC, from which PostgreSQL counts its microseconds.
const postgresEpoch shard.Instant = 946_684_800_000_000

func appendUUID(b []byte, id uuid.UUID) []byte {
	return append(append(b, 0, 0, 0, 16), id[:]...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendJSONB writes jsonb's binary form: a version byte and the text.
func appendJSONB(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)+1))
	return append(append(b, 1), s...)
}

func appendInt32(b []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v))
}

func appendInstant(b []byte, i shard.Instant) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(i-postgresEpoch))
}

// merge yields the events of several batches in the order of their ids.
type merge struct {
	heads []head // of the batches that are not at their end, in the order of their next rows
	total int    // rows of all batches
	given int    // rows yielded so far
}

// head is a batch and how far it was read, with the next row's id as two numbers, which compare faster than bytes.
type head struct {
	*prepared
	at        int
	high, low uint64
}

func newMerge(batches ...*prepared) *merge {
	m := &merge{heads: make([]head, 0, len(batches))}
	for _, b := range batches {
		if len(b.order) > 0 {
			m.total += len(b.order)
			m.heads = append(m.heads, head{prepared: b})
			m.heads[len(m.heads)-1].readID()
		}
	}
	for i := len(m.heads) - 2; i >= 0; i-- {
		siftFirst(m.heads[i:])
	}
	return m
}

// event returns the next one; nil after the last.
func (m *merge) event() *shard.Event {
	if len(m.heads) == 0 {
		return nil
	}
	first := &m.heads[0]
	e := first.order[first.at]
	m.given++
	first.at++
	switch {
	case first.at == len(first.order):
		m.heads = m.heads[1:]
	case len(m.heads) > 1:
		first.readID()
		siftFirst(m.heads)
	}
	return e
}

// readID notes the id of the next row.
func (h *head) readID() {
	id := &h.order[h.at].ID
	h.high, h.low = binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
}

func (h *head) after(other *head) bool {
	return h.high > other.high || h.high == other.high && h.low > other.low
}

// siftFirst moves the first head behind those that precede it. The others are in order already, and few.
func siftFirst(heads []head) {
	for i := 1; i < len(heads) && heads[i-1].after(&heads[i]); i++ {
		heads[i-1], heads[i] = heads[i], heads[i-1]
	}
}
