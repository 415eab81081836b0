package terminal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// View is what is shown at one moment.
type View struct {
	Job      string
	Total    int64   // events there are; 0: not known
	Stored   int64   // rows committed, by earlier runs too
	Shards   []Shard // in any order: they are shown by their windows, the oldest first
	Reject   int64   // dead letters of this run
	Repeated int64   // requests of this run that were made again
	Refused  int64   // requests of this run that were one too many (429)
	Limit    string  // what holds the run back right now
	Paused   string  // that the operator has paused it, and how to go on; empty: it is not
	Quotas   []Quota
}

// Shard is one window and how far it was read.
type Shard struct {
	Number int
	Parent int     // the shard that it was split from; 0: none
	Start  int64   // of the window, in any unit: it only orders
	From   string  // the same for people
	State  string  // as in the ledger: pending, running, done, failed, suspect
	Doing  string  // what a running one does
	Share  float64 // of the window's time that was read and committed, 0 to 1
	Events int64
}

// Quota is what was used of one endpoint's allowed requests.
type Quota struct {
	Endpoint string
	Recent   int // requests in the window that ends now
	Limit    int // allowed in a window; 0: not known, -1: any number
	Window   time.Duration
	Used     float64 // share of what was allowed since the limit is known; 0: too early to say
}

// sorted returns the shards by their windows: a shard that was split off stands where its window is, whatever its number.
func (v *View) sorted() []Shard {
	return slices.SortedFunc(slices.Values(v.Shards), func(a, b Shard) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Number, b.Number))
	})
}

func (v *View) count(state string) int {
	n := 0
	for i := range v.Shards {
		if v.Shards[i].State == state {
			n++
		}
	}
	return n
}

// share returns how much is done: of the events, or of the time where nobody counted those.
func (v *View) share() float64 {
	if v.Total > 0 {
		return min(float64(v.Stored)/float64(v.Total), 1)
	}
	sum := 0.0
	for i := range v.Shards {
		sum += v.Shards[i].Share
	}
	return sum / float64(max(1, len(v.Shards)))
}

// line tells the view in one line.
func (r *rate) line(v View, now time.Time) string {
	return strings.Join(append([]string{v.amount()}, r.parts(&v, now)...), ", ")
}

// parts tell everything but the amount, the most important first.
func (r *rate) parts(v *View, now time.Time) []string {
	parts := r.pace(v, now)
	parts = append(parts, fmt.Sprintf("%d/%d shards", v.count("done"), len(v.Shards)))
	if n := v.count("failed"); n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	if v.Limit != "" && v.Paused == "" {
		parts = append(parts, "limited by "+v.Limit)
	}
	for _, q := range v.Quotas {
		if q.Limit > 0 {
			parts = append(parts, q.words())
		}
	}
	for _, n := range []struct {
		n    int64
		what string
	}{{v.Reject, "dead letters"}, {v.Repeated, "repeated"}, {v.Refused, "refused"}} {
		if n.n > 0 {
			parts = append(parts, view.Number(n.n)+" "+n.what)
		}
	}
	return parts
}

// pace says how fast the run is and how long it will take, or that it is paused.
func (r *rate) pace(v *View, now time.Time) []string {
	if v.Paused != "" {
		return []string{v.Paused}
	}
	parts := []string{fmt.Sprintf("%s events/s", view.Number(int64(r.recent())))}
	if eta, ok := r.eta(*v, now); ok {
		parts = append(parts, "about "+view.Short(eta)+" left")
	}
	return parts
}

func (q *Quota) words() string {
	words := fmt.Sprintf("%s %d of %d in %s", q.Endpoint, q.Recent, q.Limit, q.Window)
	if q.Used > 0 {
		words += fmt.Sprintf(" (%.0f%% used)", 100*q.Used)
	}
	return words
}

func (v *View) amount() string {
	if v.Total == 0 {
		return fmt.Sprintf("%s events, %s of the time", view.Number(v.Stored), view.Percent(v.share()))
	}
	return fmt.Sprintf("%s of %s events (%s)", view.Number(v.Stored), view.Number(v.Total), view.Percent(v.share()))
}
