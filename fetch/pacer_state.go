package fetch

import (
	"slices"
	"time"

	"sluice/shard"
)

// QuotaState is what outlives the run: a row of table api_quotas. With it the next run, a probe and a backfill spend
// the same quota, and nothing is learned twice.
type QuotaState struct {
	Endpoint  shard.Endpoint
	Limit     Limit       // as announced or learned; zero: not known yet
	NotBefore time.Time   // no request earlier; zero: at once
	Sent      []time.Time // requests that the server may still count, by the wall clock, ascending
}

// State returns what the next run has to know.
func (p *Pacer) State() []QuotaState {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var all []QuotaState
	for _, q := range p.quotas {
		all = append(all, q.state(now))
	}
	return all
}

func (q *quota) state(now time.Time) QuotaState {
	s := QuotaState{Endpoint: q.endpoint, Limit: q.stored}
	if q.known > LimitTold && q.sure && q.ceiling > 0 { // what we were told, somebody may have meant for this run only
		s.Limit = q.full()
	}
	if now.Before(q.pause) {
		s.NotBefore = q.pause.Round(0)
	}
	for _, r := range q.recent(now) {
		s.Sent = append(s.Sent, r.at.Round(0)) // without the monotonic clock, which ends with the process
	}
	return s
}

// Restore continues where an earlier run ended. A limit from the configuration stands. Call it before the first Take.
func (p *Pacer) Restore(states []QuotaState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range states {
		if i := int(s.Endpoint) - int(shard.List); i >= 0 && i < len(p.quotas) {
			p.quotas[i].restore(now, s)
		}
	}
	p.line.wake()
}

func (q *quota) restore(now time.Time, s QuotaState) {
	if s.Limit.N > 0 && s.Limit.validate() == nil {
		q.stored = s.Limit
	}
	if q.known == LimitUnknown && q.stored.N > 0 {
		q.believe(q.stored, LimitRemembered)
	}
	for _, at := range slices.SortedFunc(slices.Values(s.Sent), time.Time.Compare) {
		// A clock that was set back must not leave requests in the future: they would block the log for as long.
		q.log.add(&quotaRequest{at: earlierOf(at, now), origin: ofEarlierRun})
	}
	if s.NotBefore.After(now) {
		q.pause, q.proven = s.NotBefore, false
	}
}
