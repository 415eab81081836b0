package memstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"sluice/coordinator/ledger"
)

type quotaKey struct{ source, endpoint string }

type quotaRow struct {
	ledger.Quota
	updated time.Time
}

// SettleQuotas implements ledger.Quotas. A limit is believed for a day.
func (s *Store) SettleQuotas(ctx context.Context, source string, endpoints []string, settle func(now time.Time, rows []ledger.Quota) []ledger.Quota) error {
	return s.do(ctx, "quotas", 0, func(*Tables) error {
		now := s.db.Now()
		var rows []ledger.Quota
		for _, endpoint := range endpoints {
			row := ledger.Quota{Endpoint: endpoint}
			if kept := s.db.quotas[quotaKey{source, endpoint}]; kept != nil {
				row = kept.Quota
				row.Sent, row.Runs = slices.Clone(row.Sent), maps.Clone(row.Runs)
				if now.Sub(kept.updated) >= 24*time.Hour {
					row.Limit = 0
				}
			}
			rows = append(rows, row)
		}
		for _, row := range settle(now, rows) {
			row.Window = row.Window.Truncate(time.Millisecond)
			row.Sent, row.Runs = slices.Clone(row.Sent), maps.Clone(row.Runs)
			s.db.quotas[quotaKey{source, row.Endpoint}] = &quotaRow{row, now}
		}
		return nil
	})
}
