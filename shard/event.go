package shard

import (
	"bytes"

	"github.com/google/uuid"
)

// Event is a decoded record, valid for every column of ingested_events: nothing in it can abort a COPY.
type Event struct {
	ID, Session, User uuid.UUID
	At                Instant
	Type              string // at most 50 characters
	Name              string // at most 100 characters
	Properties        string // JSON that jsonb accepts
	Device            string // at most 20 characters
	Browser           string // at most 50 characters
}

// Key returns the event's key in the API's order.
func (e *Event) Key() Key { return Key{At: e.At, ID: e.ID} }

// Key identifies a record in the API's order, newest first: by timestamp, then by id, both descending.
type Key struct {
	At Instant
	ID uuid.UUID
}

// IsZero reports whether k names no record.
func (k Key) IsZero() bool { return k == Key{} }

// Before reports whether the API lists k before l, because k is newer.
func (k Key) Before(l Key) bool {
	if k.At != l.At {
		return k.At > l.At
	}
	return bytes.Compare(k.ID[:], l.ID[:]) > 0
}

// Reject is a record that could not become an Event. Once stored, it is a dead letter.
type Reject struct {
	Raw      []byte // exactly as received; the first MiB of a larger one
	RawBytes int    // its whole length
	SHA256   [32]byte
	EventID  string // the id as received; empty if none was readable
	Reason   string // one of a small closed set of words, see decode.Reason
	Detail   string // what exactly is wrong, for the operator
	Endpoint Endpoint
}
