package memstore

import (
	"context"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

const (
	lockPatience = 10 * time.Second // the session of a killed run may live on for a moment
	lockRetry    = 200 * time.Millisecond
	lockPing     = 3 * time.Second
)

// lock is the advisory lock of a job, on a session of its own.
type lock struct{ *Store }

// Lock implements ledger.Store.
func (s *Store) Lock(ctx context.Context) (ledger.Lock, error) {
	for deadline := time.Now().Add(lockPatience); ; {
		held := false
		err := s.do(ctx, "lock", 0, func(*Tables) error { held = !s.take(); return nil })
		switch {
		case err != nil:
			s.release()
			return nil, err
		case !held:
			return lock{s}, nil
		case time.Now().After(deadline):
			return nil, &ledger.LockedError{Job: s.job}
		}
		if err := shard.Sleep(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// take takes the job and its unfinished shards, unless another run holds it.
func (s *Store) take() bool {
	if holder := s.db.locks[s.job]; holder != nil && holder != s {
		return false
	}
	s.db.locks[s.job] = s
	s.db.claim(s.job, s.run)
	return true
}

func (d *Database) claim(job, run string) {
	j := d.tables.Job(job)
	if j == nil {
		return
	}
	for _, sh := range d.tables.Shards {
		if sh.JobID == j.ID && sh.State != shard.Done {
			sh.Run = run
		}
	}
}

func (s *Store) release() {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.db.locks[s.job] == s {
		delete(s.db.locks, s.job)
	}
}

// Watch looks after the lock every three seconds, and takes it again if the session was lost.
func (l lock) Watch(ctx context.Context) error {
	for shard.Sleep(ctx, lockPing) == nil {
		l.db.mu.Lock()
		held := l.take()
		l.db.mu.Unlock()
		if !held {
			return &ledger.LockedError{Job: l.job}
		}
	}
	return nil
}

func (l lock) Close(context.Context) { l.release() }

// End ends the session that holds the job's lock for this run, as the server does when the process dies or the connection is lost.
func (s *Store) End() { s.release() }

// Holder returns the run that holds a job; empty if none does.
func (d *Database) Holder(job string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.locks[job]; s != nil {
		return s.run
	}
	return ""
}
