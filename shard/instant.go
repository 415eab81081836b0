package shard

import (
	"fmt"
	"math"
	"time"
)

// Instant is a point in event time, in microseconds since 1970-01-01 UTC: PostgreSQL's resolution. Finer parts of a received
// timestamp are cut off, never rounded: rounding could carry a record over the edge of its window.
type Instant int64

// The open ends of a span. PostgreSQL's binary timestamptz has the same two values for -infinity and infinity.
const (
	Past   Instant = math.MinInt64
	Future Instant = math.MaxInt64
)

// InstantOf returns t cut off to whole microseconds.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMicro()) }

// Time returns i in UTC. The open ends have no time; check Finite first.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Finite reports whether i is a point in time and not an open end.
func (i Instant) Finite() bool { return i != Past && i != Future }

// CeilMilli returns i in epoch milliseconds, rounded up: the smallest `until` that loses nothing older than i.
func (i Instant) CeilMilli() int64 {
	ms := int64(i) / 1000
	if int64(i)%1000 > 0 {
		ms++
	}
	return ms
}

// NextMilli returns the first epoch millisecond after i: the smallest `until` that loses nothing of i's own millisecond,
// whether the API reads `until` as inclusive or not.
func (i Instant) NextMilli() int64 { return Instant(i + 1).CeilMilli() }

// Add returns i moved by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Microsecond }

func (i Instant) String() string {
	switch i {
	case Past:
		return "-infinity"
	case Future:
		return "infinity"
	}
	return i.Time().Format("2006-01-02T15:04:05.999999Z07:00")
}

// Window is a half-open range [Start, End) of event time.
type Window struct{ Start, End Instant }

// Contains reports whether i is in the window.
func (w Window) Contains(i Instant) bool { return w.Start <= i && i < w.End }

func (w Window) String() string { return fmt.Sprintf("[%s, %s)", w.Start, w.End) }

// Sample is the density of events that one page showed: that many events from From to To.
type Sample struct {
	From, To Instant
	Events   int
}

// Rate returns events per microsecond. Samples shorter than a millisecond, the API's resolution, count as one.
func (s Sample) Rate() float64 { return float64(s.Events) / max(1000, float64(s.To)-float64(s.From)) }
