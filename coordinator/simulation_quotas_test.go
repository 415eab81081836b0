package coordinator_test

import (
	"context"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
)

// quotaTable is table api_quotas as one process sees it. Its clock is an hour behind that of the processes.
type quotaTable struct{ p *process }

func (q quotaTable) Settle(_ context.Context, endpoints []shard.Endpoint, settle func(time.Time, []quota.State) []quota.State) error {
	s := q.p.simulation
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case q.p.dead:
		return errDead
	case s.current == q.p && time.Now().Before(s.out): // a process that starts has found the database
		return errWire
	}
	var rows []quota.State
	for _, e := range endpoints {
		row := s.quotas[e]
		row.Endpoint = e
		rows = append(rows, row)
	}
	for i, row := range settle(time.Now().Add(-time.Hour), rows) {
		s.quotas[endpoints[i]] = row
	}
	if len(endpoints) == 2 {
		s.savedAt = time.Now()
	}
	return nil
}
