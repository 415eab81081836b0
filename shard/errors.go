package shard

import (
	"errors"
	"time"
)

// ErrStale: the shard's row has moved on without us. This attempt is over; the row says where to go on.
var ErrStale = errors.New("the checkpoint moved on without this attempt")

// ErrCursorDead: the cursor of the place is too old or was refused. Reading goes on from the resume point.
var ErrCursorDead = errors.New("the cursor is dead")

// TransientError is a fault that passes: the attempt ends, and the shard is run again from its checkpoint. It is the
// question that is asked above the edge; every other error fails the shard.
type TransientError struct {
	Err   error
	After time.Duration // wait at least this long; 0: no hint
}

func (e *TransientError) Error() string { return e.Err.Error() }
func (e *TransientError) Unwrap() error { return e.Err }

// StuckError is a fault that a retry may mend, but that comes from the data and not from the weather: after Limit attempts
// in a row that ended so, without a commit in between, the shard fails.
type StuckError struct {
	Err   error
	Limit int
}

func (e *StuckError) Error() string { return e.Err.Error() }
func (e *StuckError) Unwrap() error { return e.Err }

// StopReason says what kind of answer stopped a run.
type StopReason int

const (
	// Refused: the source does not accept the key. No later attempt with the same key can succeed.
	Refused StopReason = iota + 1
	// WaitTooLong: the source wants no request for longer than the run is configured to wait. A later run succeeds.
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
