package shard

import (
	"sync/atomic"
	"time"
)

// Phase says what a fetcher is doing, for the screen.
type Phase int32

// The phases of the pull half. When it has come to its end, the shard waits for the sink until all is committed.
const (
	Idle       Phase = iota // without a shard
	Fetching                // a page is on its way, or is decoded
	Pacing                  // waiting for quota
	BackingOff              // between two tries of the same request
	Queueing                // waiting for the sink, or for memory
	Paused                  // the operator has shut the gate
	phases
)

// AtSource tells whether the phase is one of the way of a page from the API.
func (p Phase) AtSource() bool { return p == Fetching || p == Pacing || p == BackingOff || p == Paused }

// Meter holds the live counters of one shard, for the screen only: the truth is the checkpoint. It is written by the two
// halves and may be read at any time.
type Stats struct {
	Pages      atomic.Int64
	Received   atomic.Int64
	Events     atomic.Int64 // committed by this process
	Rejected   atomic.Int64
	OldestSeen atomic.Int64 // Instant of the resume point; 0: nothing was read yet
	Phase      atomic.Int32
	Since      atomic.Int64 // of the phase, Unix nanoseconds
	LastCommit atomic.Int64 // Unix nanoseconds
	Clock      *Clock       // of the fetcher; set before a run, nil if nobody asks
}

func (m *Stats) enter(p Phase) {
	m.Phase.Store(int32(p))
	m.Since.Store(time.Now().UnixNano())
	m.Clock.Enter(p)
}

func (m *Stats) read(p *Page) {
	m.Pages.Add(1)
	m.Received.Add(int64(p.Received))
}

func (m *Stats) committed(c Counts, b *Batch) {
	m.Events.Add(c.Events)
	m.Rejected.Add(c.DeadLetters)
	if !b.Resume.IsZero() {
		m.OldestSeen.Store(int64(b.Resume.At))
	}
	m.LastCommit.Store(time.Now().UnixNano())
}
