package shard

import (
	"errors"
	"time"
)

// ErrStale means that something else moved the shard's row. The attempt is over; the row says where to continue.
var ErrStale = errors.New("the checkpoint moved on without this attempt")

// ErrCursorDead means that the cursor of a position is too old, or was refused. Reading continues at the resume point.
var ErrCursorDead = errors.New("the cursor is dead")

// TransientError is a fault that passes: the attempt ends, and the shard is run again from its checkpoint. Sources and sinks
// classify their faults as transient or not; an error of any other type fails the shard.
type TransientError struct {
	Err   error
	After time.Duration // wait at least this long; zero if the source did not say
}

func (e *TransientError) Error() string { return e.Err.Error() }
func (e *TransientError) Unwrap() error { return e.Err }

// StuckError is a fault in the data that a retry may still get past. After Limit attempts in a row that ended so, without a
// commit in between that got further, the shard fails.
type StuckError struct {
	Err   error
	Limit int
	After time.Duration // wait at least this long before the next attempt; zero if it makes no difference
}

func (e *StuckError) Error() string { return e.Err.Error() }
func (e *StuckError) Unwrap() error { return e.Err }

// StopReason says why a StopError stopped a run.
type StopReason int

const (
	// Refused: the source does not accept the key. No later attempt with the same key can succeed.
	Refused StopReason = iota + 1
	// WaitTooLong: the source accepts no request for longer than the run is configured to wait. A later run succeeds.
	WaitTooLong
)

// StopError ends the whole run, not only the shard.
type StopError struct {
	Err    error
	Hint   string // what the operator should do
	Reason StopReason
}

func (e *StopError) Error() string { return e.Err.Error() }
func (e *StopError) Unwrap() error { return e.Err }
