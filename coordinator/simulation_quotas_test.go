package coordinator_test

import (
	"context"
	"time"

	"sluice/fetch/quota"
)

// quotaTable is table api_quotas as one process sees it. Its clock is an hour behind that of the processes.
type quotaTable struct{ p *process }

func (q quotaTable) Settle(_ context.Context, names []string, settle func(time.Time, []quota.State) []quota.State) error {
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
	for _, name := range names {
		row := s.quotas[name]
		row.Name = name
		rows = append(rows, row)
	}
	for i, row := range settle(time.Now().Add(-time.Hour), rows) {
		s.quotas[names[i]] = row
	}
	if len(names) == 2 {
		s.savedAt = time.Now()
	}
	return nil
}
