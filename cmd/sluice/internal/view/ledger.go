package view

import (
	"fmt"
	"time"

	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink"
)

// YouPaused is what limits a run that its operator has paused.
const YouPaused = "you paused it"

// OfLedger returns a job as its tables show it.
func OfLedger(s *sink.Status, now time.Time) *View {
	j := s.Job
	v := &View{
		Job: j.Name, Source: j.Source, Phase: Ingesting, Started: j.CreatedAt, At: now, Verdict: j.Verdict, VerifiedAt: j.VerifiedAt,
		Total: countable(j), Counts: s.Earlier, Round: j.Round, Watermark: PointInTime(j.Watermark), Rounds: Rounds(s.Rounds),
	}
	if !j.VerifiedAt.IsZero() {
		v.Phase = Ended
	}
	if s.Holder == nil {
		v.Limit = "nothing: no run holds the job"
	} else {
		v.Holder = fmt.Sprintf("%s since %s", s.Holder.Application, s.Holder.Since.UTC().Format(time.RFC3339))
	}
	if s.Holder != nil && s.Paused {
		v.Limit, v.Paused, v.GoOn = YouPaused, &time.Time{}, "SIGUSR1 to its process"
	}
	v.setCheckpoints(s)
	v.Stored, v.Rejected = v.Counts.Events, v.Counts.DeadLetters
	v.State = v.stateOfJob()
	return v
}

// setCheckpoints puts the shards on v, with what the ledger alone knows of them.
func (v *View) setCheckpoints(s *sink.Status) {
	checkpoints, known := make([]shard.Checkpoint, len(s.Shards)), map[int]*sink.ShardStatus{}
	for i := range s.Shards {
		checkpoints[i] = s.Shards[i].Checkpoint
		known[checkpoints[i].Shard] = &s.Shards[i]
		v.Counts = v.Counts.Add(checkpoints[i].Counts)
	}
	progress := ofCheckpoints(checkpoints)
	now := job.Snapshot{Job: s.Job}
	if len(s.Rounds) > 0 && s.Rounds[0].Number == s.Job.Round {
		now.Round = s.Rounds[0]
	}
	v.setShards(progress, timeSpan(&now, progress, v.At))
	for i := range v.Shards {
		one := &v.Shards[i]
		cp := known[one.Number]
		one.Doing = "" // that is known of a run alone
		one.Proof, one.Attempts, one.Error, one.Seq, one.Updated = string(cp.Proof), cp.Attempts, cp.LastError, cp.Seq, cp.UpdatedAt
		if !cp.StartedAt.IsZero() {
			one.Took = cp.UpdatedAt.Sub(cp.StartedAt).Seconds()
		}
	}
}

// ofCheckpoints returns the shards of a ledger that no run works on.
func ofCheckpoints(ledger []shard.Checkpoint) (all []coordinator.ShardProgress) {
	parents := coordinator.Parents(ledger)
	for i := range ledger {
		cp := &ledger[i]
		all = append(all, coordinator.ShardProgress{
			Shard: cp.Shard, Parent: parents[cp.Shard], Window: cp.Window, State: cp.State, Before: cp.Counts, OldestSeen: cp.Resume.At,
		})
	}
	return all
}

// countable returns the events that a job has to store; zero means unknown: the API counts all of its events, not those of a span.
func countable(job *ledger.Job) int64 {
	if job.Span != (shard.Window{Start: shard.Past, End: shard.Future}) {
		return 0
	}
	return job.APITotal
}

func (v *View) stateOfJob() string {
	verified, done := !v.VerifiedAt.IsZero(), v.Count(string(shard.Done)) == len(v.Shards)
	switch {
	case v.Paused != nil:
		return "paused by you: SIGUSR1 to its process resumes it, SIGTERM ends it"
	case verified && v.Round > 1 && v.Holder != "":
		return "complete and verified, and kept current by a run"
	case verified && v.Round > 1 && !done:
		return "round unfinished: `sluice sync` or `sluice follow` resumes it"
	case verified:
		return "complete and verified"
	case v.Holder != "":
		return "running"
	case done:
		return "all shards done, not verified"
	}
	return "unfinished: `sluice run` resumes it"
}

// SetQuotas puts on v what the tables know of the source's quotas.
func (v *View) SetQuotas(quotas []ledger.Quota) {
	for i := range quotas {
		q := &quotas[i]
		one := Quota{Endpoint: q.Endpoint, Limit: q.Limit, Window: q.Window.Seconds()}
		for _, at := range q.Sent {
			if v.At.Sub(at) < q.Window {
				one.Recent++
			}
		}
		if q.NotBefore.After(v.At) {
			one.PausedUntil = &q.NotBefore
		}
		v.Quotas = append(v.Quotas, one)
	}
}
