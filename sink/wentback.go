package sink

import (
	"log/slog"
	"sync"

	"sluice/shard"
)

// landed is what this run has committed, shard by shard. A row of the ledger that is behind it shows that the database went back in time,
// as after a failover to a standby that lagged: a seq never falls otherwise.
type landed struct {
	log *slog.Logger

	mu   sync.Mutex
	rows map[int64]place // by the id of the shard
	lost int64
}

// place is where a shard was.
type place struct{ seq, events int64 }

// commit notes a batch that has landed.
func (l *landed) commit(from *shard.Checkpoint, events int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[from.ID] = place{from.Seq + 1, l.rows[from.ID].events + events}
}

// see compares a row with what was committed to it. What is missing is counted once.
func (l *landed) see(c *shard.Checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, then := place{c.Seq, c.Counts.Events}, l.rows[c.ID]
	if l.rows[c.ID] = now; now.seq < then.seq {
		l.lose(c, then.seq-now.seq, max(0, then.events-now.events))
	}
}

// gone notes that a shard has no row any more.
func (l *landed) gone(c *shard.Checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if then, known := l.rows[c.ID]; known {
		delete(l.rows, c.ID)
		l.lose(c, then.seq, then.events)
	}
}

func (l *landed) lose(c *shard.Checkpoint, commits, rows int64) {
	l.lost += rows
	l.log.Warn("the database went back in time, as after a failover to a standby that was behind: what it has lost is read again",
		"shard", c.Shard, "commits", commits, "rows", rows)
}

// WentBack returns how many rows that this run had committed were lost because the database went back in time. They are read again.
func (p *Postgres) WentBack() int64 {
	p.landed.mu.Lock()
	defer p.landed.mu.Unlock()
	return p.landed.lost
}
