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
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			i.saveQuotas(last)
			return
		}
	}
}

// saveQuotas writes the state of the quotas. A database that is away is no reason to stop: the commits will say so.
func (i *ingest) saveQuotas(ctx context.Context) {
	if err := i.db.SaveQuotas(ctx, i.source.name, toTable(i.pacer.State())); err != nil {
		i.log.Debug("quotas not saved", "err", err)
	}
	failpoint.Hit("quota.saved")
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
