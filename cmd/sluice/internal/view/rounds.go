package view

import (
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// Round is one pass over the end of the span.
type Round struct {
	Number    int        `json:"number"`
	Began     time.Time  `json:"began"`
	Finished  *time.Time `json:"finished,omitempty"`
	From      string     `json:"from"` // of event time
	To        string     `json:"to"`   // the newest event on its first page
	Events    int64      `json:"events"`
	Late      int64      `json:"late"`
	Missing   int64      `json:"missing"`
	Requests  int64      `json:"requests"`
	Watermark *time.Time `json:"watermark,omitempty"` // that it leads to
}

// Rounds returns the rounds of the ledger.
func Rounds(rounds []*ledger.Round) (all []Round) {
	for _, r := range rounds {
		one := Round{
			Number: r.Number, Began: r.StartedAt, From: r.Span.Start.String(), Events: r.Counts.Events, Late: r.Late.Total(),
			Missing: r.Missing, Requests: r.Requests, Watermark: PointInTime(r.Candidate),
		}
		if !r.FinishedAt.IsZero() {
			one.Finished = &r.FinishedAt
		}
		if r.Newest != 0 {
			one.To = r.Newest.String()
		}
		all = append(all, one)
	}
	return all
}

// PointInTime returns the time of an instant; nil if it is unknown or infinite.
func PointInTime(at shard.Instant) *time.Time {
	if !at.Finite() || at == 0 {
		return nil
	}
	t := at.Time()
	return &t
}

// Lag is how far the watermark was behind the clock at an instant.
type Lag struct {
	At      time.Time
	Seconds float64
}

// Lags returns the watermark's lag over the rounds of v, the oldest first: it grows with the clock, and falls when a round ends.
// The last one is the lag at v.At, unless the run has ended.
func (v *View) Lags() (lags []Lag) {
	var mark time.Time
	behind := func(at time.Time) { lags = append(lags, Lag{at, max(0, at.Sub(mark).Seconds())}) }
	for i := len(v.Rounds) - 1; i >= 0; i-- {
		r := &v.Rounds[i]
		if r.Finished == nil || r.Watermark == nil {
			continue
		}
		if !mark.IsZero() {
			behind(*r.Finished)
		}
		if r.Watermark.After(mark) { // it never goes back
			mark = *r.Watermark
		}
		behind(*r.Finished)
	}
	if v.Phase != Ended && !mark.IsZero() {
		behind(v.At)
	}
	return lags
}
