package view

import (
	"fmt"

	"sluice/coordinator"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
)

// SetProgress puts the shards of a run on v, drawn over the span. What earlier rounds stored is added by the caller.
func (v *View) SetProgress(s *coordinator.Snapshot, span shard.Window) {
	v.Stored, v.Rejected, v.Queueing = s.Before+s.Events, s.Rejected, s.Queueing
	v.SetShards(s.Shards, span)
	for i := range v.Shards {
		if one := &v.Shards[i]; !one.Commit.IsZero() && (v.LastCommit == nil || one.Commit.After(*v.LastCommit)) {
			v.LastCommit = &one.Commit
		}
	}
}

// SetTraffic puts the requests of a run on v, and the quotas that they count against.
func (v *View) SetTraffic(t datasync.Traffic, quotas []quota.Status) {
	v.Requests = Traffic{Busy: t.Busy.Seconds(), Requests: Requests{
		List: t.List, Stream: t.Stream, ListRefused: t.ListRefused, StreamRefused: t.StreamRefused, Access: t.Access,
		Retries: t.Retries, Cached: t.Cached, Bytes: t.Bytes,
	}}
	v.Quotas = nil
	for i := range quotas {
		q := &quotas[i]
		one := Quota{
			Endpoint: q.Name, Limit: q.Limit.N, Window: q.Limit.Window.Seconds(), Known: q.Known.String(),
			Recent: q.Recent, Used: q.Used, Waiting: q.Waiting,
		}
		if q.PausedUntil.After(v.At) {
			one.PausedUntil = &q.PausedUntil
		}
		v.Quotas = append(v.Quotas, one)
	}
}

// ScarceQuotas names the quotas that at least half of the active shards wait for; empty if there is none.
func (v *View) ScarceQuotas(active int) string {
	var names []string
	for i := range v.Quotas {
		if q := &v.Quotas[i]; 2*q.Waiting >= active {
			names = append(names, q.Endpoint)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the quota of the API's %s", names[0])
	}
	return "the API's quotas"
}

// Fetcher is how one fetcher of a run spent its time. The shares sum up to 1.
type Fetcher struct {
	Seconds  float64 `json:"seconds"`
	Reading  float64 `json:"reading"`  // a page was on its way
	Quota    float64 `json:"quota"`    // waiting for it
	Pausing  float64 `json:"pausing"`  // between two tries of a request
	Held     float64 `json:"held"`     // the operator had paused the run
	Database float64 `json:"database"` // waiting for it, or for the memory that it frees
	Idle     float64 `json:"idle"`     // without a shard
}

// FetcherOf returns how a fetcher spent its time.
func FetcherOf(s shard.Spent) Fetcher {
	return Fetcher{
		Seconds: s.Total().Seconds(), Reading: s.Share(shard.Fetching), Quota: s.Share(shard.Pacing),
		Pausing: s.Share(shard.BackingOff), Held: s.Share(shard.Paused), Database: s.Share(shard.Queueing), Idle: s.Share(shard.Idle),
	}
}

// FetchersLine sums up what all fetchers did, and how idle the idlest was.
func FetchersLine(spent []shard.Spent) string {
	var sum shard.Spent
	idlest := 0.0
	for _, s := range spent {
		sum, idlest = sum.Add(s), max(idlest, s.Share(shard.Idle))
	}
	all := FetcherOf(sum)
	line := fmt.Sprintf("%d fetchers: reading %.1f%%, waiting for quota %.1f%%, for the database %.1f%%, between tries %.1f%%, "+
		"idle %.1f%% (the idlest %.1f%%)", len(spent), 100*all.Reading, 100*all.Quota, 100*all.Database, 100*all.Pausing, 100*all.Idle, 100*idlest)
	if all.Held > 0 {
		line += fmt.Sprintf(", paused by you %.1f%%", 100*all.Held)
	}
	return line
}
