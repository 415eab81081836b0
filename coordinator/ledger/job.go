// Package ledger holds what a job knows of itself between two runs: the job, its rounds, its figures, its dead letters and its
// quotas, and the [Store] that keeps them. It is a leaf: package job works with it, package sink keeps it in PostgreSQL, and a
// test keeps it in memory.
package ledger

import (
	"encoding/json"
	"time"

	"sluice/shard"
)

// Everything is the span of a job over the whole source.
var Everything = shard.Window{Start: shard.Past, End: shard.Future}

// Job is one source and one span of event time, and what is known of it as a whole. Instants that are not known are 0.
type Job struct {
	ID           int64
	Name         string
	Source       string // name of the source
	Span         shard.Window
	Shards       int             // windows of round 1
	Oldest       shard.Instant   // oldest event the survey found, nearly
	Capabilities json.RawMessage // what the source was found to be able to do; {} at first
	APITotal     int64           // events the source counted at the start of the newest finished round; 0 if it gave no number
	RowsBefore   int64           // rows of ingested_events when the job was created
	Round        int             // the round being worked on
	Watermark    shard.Instant   // everything older was read, except for events that come late
	Candidate    shard.Instant   // watermark that round 1 leads to; for CreateJob alone
	Newest       shard.Instant   // newest event when the job was created; for CreateJob alone
	VerifiedAt   time.Time       // of round 1; zero until it is verified
	Verdict      string          // of the last check
	CreatedAt    time.Time
}

// Verified reports whether the first load is complete and verified.
func (j *Job) Verified() bool { return !j.VerifiedAt.IsZero() }

// Round is one pass over the end of a job's span; the first load is round 1. Instants that are not known are 0.
type Round struct {
	Number     int
	Span       shard.Window
	LateBefore shard.Instant // the watermark when it began
	Lookback   time.Duration
	Candidate  shard.Instant // the watermark once it is finished
	Newest     shard.Instant // newest event on its first page
	APITotal   int64         // events the source counted on that page; 0 if it gave no number
	Missing    int64         // of them, those that nothing in the ledger accounts for
	RowsBefore int64         // of ingested_events when it began, as the ledgers of all jobs count them
	Requests   int64         // for pages, by all runs that worked on it
	Counts     shard.Counts
	Late       Late
	StartedAt  time.Time
	FinishedAt time.Time // zero until it is finished
}

// Finished reports whether all windows of the round are done and the watermark has moved.
func (r *Round) Finished() bool { return !r.FinishedAt.IsZero() }

// Late counts the events that a round stored although an earlier one had passed them, by how far they lay behind its watermark.
type Late struct {
	Minute     int64         `json:"up_to_a_minute"`
	TenMinutes int64         `json:"up_to_ten_minutes"`
	Hour       int64         `json:"up_to_an_hour"`
	Older      int64         `json:"older"`
	Most       time.Duration `json:"most"` // how far the oldest of them lay behind
}

// Total is the number of all late events.
func (l Late) Total() int64 { return l.Minute + l.TenMinutes + l.Hour + l.Older }

// Add counts an event that lay age behind the watermark.
func (l *Late) Add(age time.Duration) {
	switch {
	case age <= time.Minute:
		l.Minute++
	case age <= 10*time.Minute:
		l.TenMinutes++
	case age <= time.Hour:
		l.Hour++
	default:
		l.Older++
	}
	l.Most = max(l.Most, age)
}
