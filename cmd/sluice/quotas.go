package main

import (
	"context"
	"time"

	"sluice/fetch"
	"sluice/shard"
	"sluice/shard/failpoint"
	"sluice/sink"
)

// quotaEvery is how often the last requests are written down at most, so that a rerun spends the same quota.
const quotaEvery = time.Second

// keepQuotas writes the state of the quotas until ctx ends, and once more then.
func (i *ingest) keepQuotas(ctx context.Context) {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			i.saveQuotas(ctx)
		case <-ctx.Done():
			i.saveQuotasLast(ctx)
			return
		}
	}
}

// saveQuotas writes the state of the quotas. A database that is away is no reason to stop: the commits will say so.
func (i *ingest) saveQuotas(ctx context.Context) {
	if err := saveQuotas(ctx, i.db, i.source.name, i.pacer); err != nil {
		i.log.Debug("quotas not saved", "err", err)
	}
	failpoint.Hit("quota.saved")
}

// saveQuotasLast writes them once more, though ctx may have ended.
func (i *ingest) saveQuotasLast(ctx context.Context) {
	ctx, cancel := lastWrite(ctx)
	defer cancel()
	i.saveQuotas(ctx)
}

// lastWrite gives what is still to be written two seconds, whatever has ended.
func lastWrite(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
}

// restoreQuotas lets the pacer begin with what earlier commands wrote down.
func restoreQuotas(ctx context.Context, db *sink.Postgres, source string, pacer *fetch.Pacer) error {
	quotas, err := db.LoadQuotas(ctx, source)
	if err == nil {
		pacer.Restore(fromTable(quotas))
	}
	return err
}

func saveQuotas(ctx context.Context, db *sink.Postgres, source string, pacer *fetch.Pacer) error {
	return db.SaveQuotas(ctx, source, toTable(pacer.State()))
}

func toTable(states []fetch.QuotaState) []sink.Quota {
	quotas := make([]sink.Quota, 0, len(states))
	for _, s := range states {
		quotas = append(quotas, sink.Quota{
			Endpoint: s.Endpoint.String(), Limit: s.Limit.N, Window: s.Limit.Window, NotBefore: s.NotBefore, Sent: s.Sent,
		})
	}
	return quotas
}

func fromTable(quotas []sink.Quota) []fetch.QuotaState {
	states := make([]fetch.QuotaState, 0, len(quotas))
	for _, q := range quotas {
		endpoint := shard.List
		if q.Endpoint == shard.Stream.String() {
			endpoint = shard.Stream
		}
		states = append(states, fetch.QuotaState{
			Endpoint: endpoint, Limit: fetch.Limit{N: q.Limit, Window: q.Window}, NotBefore: q.NotBefore, Sent: q.Sent,
		})
	}
	return states
}
