package sink

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrDiskFull: the server has no room for more rows. The error in hand has the server's own words, which name the file.
var ErrDiskFull = errors.New("the database's disk is full, free some space on its server")

// fullDisk is the pause while the server's disk is full. A COPY that fails there leaves dead rows behind, so writers that each
// retry by themselves would use up the little room that is made for them. One writer tries once a minute, for all of them.
type fullDisk struct {
	every time.Duration // between two tries

	mu      sync.Mutex
	full    bool
	trying  bool
	next    time.Time     // of the next try
	changed chan struct{} // closed when one of the fields above changes
}

func newFullDisk(every time.Duration) *fullDisk {
	return &fullDisk{every: every, changed: make(chan struct{})}
}

// enter waits until the caller may try a commit: at once while there is room, otherwise when it is its turn to try for all, or
// when another's try has found room. It must be followed by leave.
func (f *fullDisk) enter(ctx context.Context) (turn bool, err error) {
	for {
		f.mu.Lock()
		var due <-chan time.Time
		changed := f.changed
		switch wait := time.Until(f.next); {
		case !f.full:
			f.mu.Unlock()
			return false, nil
		case f.trying: // its end is a change
		case wait > 0:
			due = time.After(wait)
		default:
			f.trying = true
			f.mu.Unlock()
			return true, nil
		}
		f.mu.Unlock()
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// leave records how a try ended. A commit that went in shows that there is room; any other fault says nothing about it, and the
// next writer may try.
func (f *fullDisk) leave(turn bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.full
	switch {
	case hasCode(err, diskFull):
		f.full, f.next = true, time.Now().Add(f.every)
	case err == nil:
		f.full = false
	}
	if turn {
		f.trying = false
	}
	if was {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// is reports whether the disk was full at the last try.
func (f *fullDisk) is() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}
