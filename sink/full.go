package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrDiskFull: the server has no room for more rows. The error in hand has the server's own words, which name the file.
var ErrDiskFull = errors.New("the database's disk is full, free some space on its server")

// fullDisk is the pause while the server's disk is full. A COPY that fails there leaves dead rows behind, so that writers who
// each try again by themselves use up what little room is made for them. One writer tries once a minute, for all of them.
type fullDisk struct {
	every time.Duration // between two tries

	mu      sync.Mutex
	full    bool
	trying  bool
	next    time.Time     // of the next try
	changed chan struct{} // closed when something of the above changes
}

func newFullDisk(every time.Duration) *fullDisk {
	return &fullDisk{every: every, changed: make(chan struct{})}
}

// enter waits until the caller may try a commit: at once while there is room, otherwise when it is his to try for all, or when
// another's try has found room. It must be followed by leave.
func (f *fullDisk) enter(ctx context.Context) (turn bool, err error) {
	for {
		turn, may, again := f.ask()
		if may {
			return turn, nil
		}
		if err := again.wait(ctx); err != nil {
			return false, err
		}
	}
}

// again is when it is worth while to ask again: at a time, unless that is zero, or at a change.
type again struct {
	at      time.Time
	changed <-chan struct{}
}

func (f *fullDisk) ask() (turn, may bool, later again) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.full:
		return false, true, again{}
	case f.trying:
		return false, false, again{changed: f.changed}
	case time.Now().Before(f.next):
		return false, false, again{f.next, f.changed}
	}
	f.trying = true
	return true, true, again{}
}

func (a again) wait(ctx context.Context) error {
	var due <-chan time.Time
	if !a.at.IsZero() {
		timer := time.NewTimer(time.Until(a.at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-a.changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// leave notes how a try ended. A commit that went in shows that there is room; any other fault says nothing about it, and the
// next one may try.
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

// is tells whether the disk was full when it was last tried.
func (f *fullDisk) is() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

// explainOutage puts into words what a commit waits for.
func explainOutage(err error) error {
	if hasCode(err, diskFull) {
		return fmt.Errorf("%w (%w)", ErrDiskFull, err)
	}
	return err
}
