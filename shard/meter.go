package shard

import (
	"sync/atomic"
	"time"
)

// Phase says what one half of a shard is doing, for the screen.
type Phase int32

// The phases of the pull half.
const (
	Idle     Phase = iota
	Fetching       // waiting for quota, or for the API
	Queueing       // waiting for the sink, or for memory
)

// Meter holds the live counters of one shard, for the screen only: the truth is the checkpoint. It is written by the two
// halves and may be read at any time.
type Meter struct {
	Pages      atomic.Int64
	Received   atomic.Int64
	Events     atomic.Int64 // committed by this process
	Rejected   atomic.Int64
	OldestSeen atomic.Int64 // Instant of the resume point; 0: nothing was read yet
	Phase      atomic.Int32
	Since      atomic.Int64 // of the phase, Unix nanoseconds
	LastCommit atomic.Int64 // Unix nanoseconds
}

func (m *Meter) enter(p Phase) {
	m.Phase.Store(int32(p))
	m.Since.Store(time.Now().UnixNano())
}

func (m *Meter) read(p *Page) {
	m.Pages.Add(1)
	m.Received.Add(int64(p.Received))
}

func (m *Meter) committed(c Counts, b *Batch) {
	m.Events.Add(c.Events)
	m.Rejected.Add(c.DeadLetters)
	if !b.Resume.IsZero() {
		m.OldestSeen.Store(int64(b.Resume.At))
	}
	m.LastCommit.Store(time.Now().UnixNano())
}
