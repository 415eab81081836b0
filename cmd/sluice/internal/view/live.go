package view

import (
	"errors"
	"fmt"
	"time"

	"sluice/coordinator/job"
	"sluice/fetch"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// SetRound puts on v the round and the watermark of a run, unless it is a first load and nothing more.
func (v *View) SetRound(s *job.Snapshot, follows bool) {
	v.Doubt = s.Doubt
	if s.Job == nil || s.Job.Round == 1 && !follows {
		return
	}
	v.Round, v.Watermark = s.Job.Round, PointInTime(s.Job.Watermark)
	if s.Round != nil {
		v.Late = s.Round.Late.Total()
	}
}

// SetWalk puts on v the shards of the walk under way, and what limits it. The database has not taken commits since then if away is not
// nil.
func (v *View) SetWalk(s *job.Snapshot, since time.Time, away error) {
	walk := &s.Shards
	v.Stored, v.Before = walk.Before+walk.Events+s.Earlier.Events, s.Before
	v.Rejected, v.Queueing = walk.Rejected, walk.Queueing
	v.setShards(walk.Shards, timeSpan(s, walk.Shards, v.At))
	for i := range v.Shards {
		if one := &v.Shards[i]; !one.Commit.IsZero() && (v.LastCommit == nil || one.Commit.After(*v.LastCommit)) {
			v.LastCommit = &one.Commit
		}
	}
	quotas := v.scarceQuotas(walk.Active)
	switch {
	case errors.Is(away, sink.ErrDiskFull):
		v.Away, v.Limit = "its disk is full", "the database's disk, full for "+Short(v.At.Sub(since))
	case away != nil:
		v.Away, v.Limit = "it is away", "the database, away for "+Short(v.At.Sub(since))
	case walk.Active == 0:
	case 2*v.Queueing >= walk.Active:
		v.Limit = "the database"
	case quotas != "":
		v.Limit = quotas
	default:
		v.Limit = "the API's latency"
	}
	if v.Paused != nil {
		v.Limit = YouPaused
	}
}

// SetFigures puts on v what the ledger has of a job at the end of a run. If it could not be read, the shards stay as they are.
func (v *View) SetFigures(s *job.Snapshot, f *job.Figures) {
	v.Before = s.Before
	if f.Checkpoints == nil {
		return
	}
	v.Counts, v.Stored, v.Unread = f.Counts, f.Counts.Events, false
	last := map[int]*Shard{}
	for i := range v.Shards {
		last[v.Shards[i].Number] = &v.Shards[i]
	}
	shards := ofCheckpoints(f.Checkpoints)
	v.setShards(shards, timeSpan(s, shards, v.At))
	for i := range v.Shards {
		one := &v.Shards[i]
		one.Doing = "" // nothing any more
		if then := last[one.Number]; then != nil {
			one.Pages, one.Commit = then.Pages, then.Commit
		}
	}
}

// SetLast puts on v the shards and the rows of an earlier view of the same run.
func (v *View) SetLast(last *View) {
	v.Stored, v.Before, v.Rejected, v.LastCommit = last.Stored, last.Before, last.Rejected, last.LastCommit
	v.Shards, v.Oldest, v.Newest = last.Shards, last.Oldest, last.Newest
}

// SetTraffic puts the requests of a run on v, and the quotas that they count against.
func (v *View) SetTraffic(t fetch.Traffic, quotas []quota.Status) {
	list, stream := t.Doors[datasync.List], t.Doors[datasync.Stream]
	v.Requests = Requests{
		List: list.Requests, Stream: stream.Requests, ListRefused: list.Refused, StreamRefused: stream.Refused, Access: t.Beside,
		Retries: t.Retries, Cached: t.Cached, Bytes: t.Bytes, Busy: t.Busy.Seconds(),
	}
	v.Quotas = Quotas(quotas, v.At)
}

// Quotas returns the quotas of a pacer.
func Quotas(quotas []quota.Status, now time.Time) (all []Quota) {
	for i := range quotas {
		q := &quotas[i]
		one := Quota{
			Endpoint: q.Name, Limit: q.Limit.N, Window: q.Limit.Window.Seconds(), Known: q.Known.String(),
			Recent: q.Recent, Used: q.Used, Waiting: q.Waiting,
		}
		if q.PausedUntil.After(now) {
			one.PausedUntil = &q.PausedUntil
		}
		all = append(all, one)
	}
	return all
}

// scarceQuotas names the quotas that at least half of the active shards wait for; empty if there is none.
func (v *View) scarceQuotas(active int) string {
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
