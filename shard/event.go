package shard

import "github.com/google/uuid"

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

// Key identifies a record, and says where it stands in the API's order: newest first. In which order the API lists the records of
// one timestamp is its own affair.
type Key struct {
	At Instant
	ID uuid.UUID
}

// IsZero reports whether k names no record.
func (k Key) IsZero() bool { return k == Key{} }

// Before reports whether the API lists k before l, because k is newer.
func (k Key) Before(l Key) bool { return k.At > l.At }

// Leads reports whether a walk that was at k has come further if it is at l: l is another record, and not a newer one.
func (k Key) Leads(l Key) bool { return l != k && l.At <= k.At }

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
