package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/fetch/quota"
	"sluice/shard/failpoint"
	"sluice/sink"
)

// quotaEvery is how often runs tell each other of their requests at least. The pacer asks by itself where that is not enough.
const quotaEvery = time.Second

// keepQuotas shares the quotas until ctx ends, and once more then.
func (i *ingest) keepQuotas(ctx context.Context) {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			i.shared(i.pacer.Share(ctx))
		case <-ctx.Done():
			i.leaveQuotas(ctx)
			return
		}
	}
}

// shared takes note of a look at the quotas' table. A database that is away is no reason to stop: the commits will say so.
func (i *ingest) shared(err error) {
	if err != nil {
		i.log.Debug("quotas not shared", "err", err)
	}
	failpoint.Hit("quota.saved")
}

// leaveQuotas writes them down for the next run, though ctx may have ended.
func (i *ingest) leaveQuotas(ctx context.Context) {
	ctx, cancel := lastWrite(ctx)
	defer cancel()
	i.shared(i.pacer.Leave(ctx))
}

// lastWrite gives what is still to be written two seconds, whatever has ended.
func lastWrite(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
}

// joinQuotas lets the pacer begin with what earlier commands wrote down, and spend the same as those that run beside it.
func joinQuotas(ctx context.Context, db *sink.Postgres, source string, pacer *quota.Pacer) error {
	return pacer.Join(ctx, quotaTable{db, source}, uuid.NewString())
}

// quotaTable is table api_quotas, as the pacer sees it.
type quotaTable struct {
	db     *sink.Postgres
	source string
}

func (t quotaTable) Settle(ctx context.Context, names []string, settle func(time.Time, []quota.State) []quota.State) error {
	return t.db.SettleQuotas(ctx, t.source, names, func(now time.Time, rows []ledger.Quota) []ledger.Quota {
		var states []quota.State
		for i, name := range names {
			states = append(states, fromTable(name, rows[i]))
		}
		for i, s := range settle(now, states) {
			rows[i] = toTable(s)
		}
		return rows
	})
}

func toTable(s quota.State) ledger.Quota {
	q := ledger.Quota{
		Endpoint: s.Name, Limit: s.Limit.N, Window: s.Limit.Window, NotBefore: s.NotBefore, Sent: s.Sent,
		Runs: make(map[string]ledger.QuotaRun, len(s.Runs)),
	}
	for id, run := range s.Runs {
		q.Runs[id] = ledger.QuotaRun(run)
	}
	return q
}

func fromTable(name string, q ledger.Quota) quota.State {
	s := quota.State{
		Name: name, Limit: quota.Limit{N: q.Limit, Window: q.Window}, NotBefore: q.NotBefore, Sent: q.Sent,
		Runs: make(map[string]quota.Run, len(q.Runs)),
	}
	for id, run := range q.Runs {
		s.Runs[id] = quota.Run(run)
	}
	return s
}
