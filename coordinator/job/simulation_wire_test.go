package job_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/coordinator/ledger/memstore"
	"sluice/shard"
)

var (
	errWire      = &shard.TransientError{Err: errors.New("the connection to the database was lost")}
	errPermanent = errors.New("permission denied for table ingested_events")
)

// wire is the way of a process to the database.
type wire struct {
	*simulation
	p *process
}

// keeper marks the context of the goroutine that shares the quotas once a second. It does not wait for a turn: its ticks fall
// between the turns of all others.
type keeper struct{}

// Send waits for the turn of a statement, and decides whether it arrives.
func (w wire) Send(ctx context.Context, st *memstore.Statement) error {
	if st.Name == "quotas" && ctx.Value(keeper{}) != nil {
		return w.sendQuotas()
	}
	name := fmt.Sprintf("p%d %s", w.p.number, st.Name)
	if st.Shard != 0 {
		name += fmt.Sprintf(" %d", st.Shard)
	} else if who, ok := ctx.Value(asks{}).(asker); ok {
		name += " for " + who.name
	}
	if w.p.isDead() {
		return errDead
	}
	if err := w.stage.enter(ctx, &entrance{name: name, of: w.p, most: w.sinkTook, last: st.Land}); err != nil {
		return err
	}
	err := w.arrive(name, st)
	if st.Name == "audit" || st.Name == "table state" {
		w.p.counted = time.Now()
	}
	if err != nil {
		w.say("%s: %v", name, err)
	} else if st.Name != "commit" {
		w.say("%s", name)
	}
	return err
}

func (w wire) sendQuotas() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.p.dead:
		return errDead
	case time.Now().Before(w.out):
		return errWire
	}
	w.p.savedAt = time.Now()
	return nil
}

// arrive decides what becomes of a statement that has its turn.
func (w wire) arrive(name string, st *memstore.Statement) error {
	switch {
	case w.p.isDead():
		return errDead
	case w.storeAway():
		w.p.vain = w.p.vain || st.Name == "lock" || st.Name == "load" && !w.p.found
		return errWire
	case st.Name == "quotas":
		return w.sendQuotas()
	case st.Name != "commit":
		w.p.found = w.p.found || st.Name == "load"
		w.note(st)
		return w.trouble(st)
	case w.weather.strikes(badPermanent):
		return errPermanent
	case w.weather.strikes(badFailover):
		w.failover(name)
		return errWire
	case w.weather.strikes(badRefused):
		return errWire
	case w.weather.strikes(badUnlanded):
		st.Unknown = true
		return errWire
	}
	return nil
}

// note keeps when a walk began, and when a job was planned.
func (w wire) note(st *memstore.Statement) {
	w.db.Look(func(t *memstore.Tables) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch sh := t.Shard(st.Shard); {
		case st.Name == "create job" && t.Job(w.p.job) == nil:
			w.planned[w.p.job] = w.p.started
		case st.Name == "begin round":
			if j := t.Job(w.p.job); j != nil {
				w.rounded[roundOf{w.p.job, t.LastRound(j.ID) + 1}] = w.p.looked
			}
		case st.Name == "finish round":
			w.p.idle = false
		case st.Name == "begin" && sh != nil && sh.Resume.IsZero() && sh.Cursor == "":
			w.began[sh.ID] = time.Now()
			if sh.Window.End == shard.Future && !w.p.looked.IsZero() { // the walk may begin with the page that was looked at
				w.began[sh.ID] = w.p.looked
			}
		}
	})
}

// trouble strikes a statement about the ledger: before it did anything, or after.
func (w wire) trouble(st *memstore.Statement) error {
	if !w.weather.strikes(badLedger) {
		return nil
	}
	if w.weather.dice.IntN(2) == 0 {
		return errWire
	}
	w.p.unanswered = st
	return nil
}

// Answer decides whether the answer to a statement comes back.
func (w wire) Answer(st *memstore.Statement) error {
	if st.Name == "commit" {
		w.expect(w.p.isDead() || w.p.hasLost() || w.db.Holder(w.p.job) == w.p.run(), "p%d commits, and %q holds the job", w.p.number, w.db.Holder(w.p.job))
	}
	switch {
	case st.Name == "commit" && w.weather.strikes(badUnknown):
		w.say("p%d commit %d: landed, but the answer is lost", w.p.number, st.Shard)
		return errWire
	case st == w.p.unanswered:
		w.say("p%d %s %d: done, but the answer is lost", w.p.number, st.Name, st.Shard)
		return errWire
	}
	return nil
}

// maxMoments is how many commits a standby may be behind.
const maxMoments = 8

// remember keeps what the database holds, for a failover.
func (s *simulation) remember(t *memstore.Tables) {
	if s.weather.rate[badFailover] == 0 && !(s.weather.single && s.weather.only == badFailover) {
		return
	}
	s.moments = append(s.moments, t.Snapshot())
	s.moments = s.moments[max(0, len(s.moments)-maxMoments):]
}

// failover goes on with a standby that was some commits behind: they were acknowledged, and are gone.
func (s *simulation) failover(name string) {
	s.mu.Lock()
	if len(s.moments) == 0 {
		s.mu.Unlock()
		return
	}
	n := s.weather.dice.IntN(len(s.moments))
	s.say("%s: failover to a standby that is %d commits behind", name, len(s.moments)-n)
	moment := s.moments[n]
	s.moments = s.moments[:n]
	s.mu.Unlock()
	was := 0
	s.db.Look(func(t *memstore.Tables) { was = len(t.Shards) })
	s.unsplit += max(0, was-len(moment.Shards))
	s.db.Restore(moment)
}
