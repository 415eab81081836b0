// Package view is the one read model of a job: what is shown of it, whether a run is at work on it or only its ledger is left. A run
// publishes a View every second; the terminal, the page and the metrics draw the newest one and never touch the run.
package view

import (
	"fmt"
	"strings"
	"time"

	"sluice/shard"
	"sluice/sink"
)

// View is a job at one moment. It holds no secret: no key, token, cursor or address with a password. Its JSON form is what the
// page serves as /view; fields without a name there are known from the ledger alone, or derived.
type View struct {
	Job      string    `json:"job"`
	Source   string    `json:"source"`
	Version  string    `json:"version"`
	Phase    Phase     `json:"phase"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`
	Verdict  string    `json:"verdict,omitempty"` // how the run ended, or the result of the last check
	ExitCode int       `json:"exit_code"`         // of a run that has ended

	Total    int64 `json:"total,omitempty"` // events that the API reports; zero means unknown
	Stored   int64 `json:"stored"`          // rows committed by this run and earlier ones
	Before   int64 `json:"before"`          // of them by earlier ones
	Rejected int64 `json:"rejected"`        // dead letters that this run committed or is about to commit
	Queueing int   `json:"queueing"`        // shards that wait for the database or for memory

	Limit      string     `json:"limit,omitempty"`  // what limits the run right now
	Paused     *time.Time `json:"paused,omitempty"` // by the operator, since then; the ledger does not know since when (zero)
	GoOn       string     `json:"go_on,omitempty"`  // the command that ends the pause
	LastCommit *time.Time `json:"last_commit,omitempty"`
	Away       string     `json:"away,omitempty"`      // why the database takes no commits
	Doubt      string     `json:"doubt,omitempty"`     // why the data are in doubt
	WentBack   int64      `json:"went_back,omitempty"` // rows of this run that a failover of the database lost; they are read again
	Unread     bool       `json:"unread,omitempty"`    // the ledger was not read: what is stored is not known

	// The ends of the time line on which the shards are drawn; zero while they are not known.
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Of a job that follows its source: the round that is under way, and the instant up to which everything is stored.
	Round     int        `json:"round,omitempty"`
	Watermark *time.Time `json:"watermark,omitempty"`
	Late      int64      `json:"late,omitempty"`   // late events of the round
	Rounds    []Round    `json:"rounds,omitempty"` // the last rounds, the newest first

	Shards   []Shard            `json:"shards,omitempty"` // from the oldest window to the newest
	Quotas   []Quota            `json:"quotas,omitempty"`
	Requests Requests           `json:"requests"`
	Letters  []sink.ReasonCount `json:"letters,omitempty"`
	Warnings []Warning          `json:"warnings,omitempty"`
	History  []Point            `json:"history,omitempty"`

	// Committed events per second over the last moments and since the walk began, and the time left at that pace; nil while an
	// estimate would be a guess.
	Rate, Mean float64        `json:"-"`
	Left       *time.Duration `json:"-"`

	// What only the ledger knows.
	State      string       `json:"-"` // of the job, in words
	Holder     string       `json:"-"` // the run that holds the job; empty if there is none
	Counts     shard.Counts `json:"-"` // what became of the records, in all rounds
	VerifiedAt time.Time    `json:"-"` // of round 1; zero while it is not
}

// Phase is what a run does.
type Phase string

// The phases of a run, in their order.
const (
	Starting  Phase = "starting"
	Ingesting Phase = "ingesting"
	Checking  Phase = "checking"
	Waiting   Phase = "waiting" // for the next round
	Ended     Phase = "ended"
)

// Phases are all phases.
var Phases = []Phase{Starting, Ingesting, Checking, Waiting, Ended}

// Quota is one endpoint's allowance of requests.
type Quota struct {
	Endpoint    string     `json:"endpoint"`
	Limit       int        `json:"limit"` // requests in a window; zero means it is not known yet, -1 that there is none
	Window      float64    `json:"window_seconds"`
	Known       string     `json:"known"`  // how the limit came to be known
	Recent      int        `json:"recent"` // requests in the window that ends now
	Used        float64    `json:"used"`   // share of the allowed requests since the limit is known; zero: too early to say
	Waiting     int        `json:"waiting"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
}

// Length returns the length of the quota's window.
func (q *Quota) Length() time.Duration { return time.Duration(q.Window * float64(time.Second)) }

// Allowed writes the limit for people.
func (q *Quota) Allowed() string {
	switch {
	case q.Limit < 0:
		return "no limit"
	case q.Limit == 0:
		return "not known yet"
	}
	return fmt.Sprintf("%d in %s", q.Limit, strings.Replace(Short(q.Length()), ".0s", "s", 1))
}

// Requests are the requests of a run.
type Requests struct {
	List          int64   `json:"list"`
	Stream        int64   `json:"stream"`
	ListRefused   int64   `json:"list_refused"`
	StreamRefused int64   `json:"stream_refused"`
	Access        int64   `json:"stream_access"`
	Retries       int64   `json:"retries"`
	Cached        int64   `json:"cached"`
	Bytes         int64   `json:"bytes"`
	Busy          float64 `json:"busy_seconds"` // summed over all of them
}

// Refused returns how many were answered with 429.
func (r *Requests) Refused() int64 { return r.ListRefused + r.StreamRefused }

// Warning is a warning or an error of the log.
type Warning struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
}

// Point is a moment of the past.
type Point struct {
	At      time.Time `json:"at"`
	Stored  int64     `json:"stored"`
	Recent  []int     `json:"recent,omitempty"`  // requests in the windows of the quotas
	Allowed []int     `json:"allowed,omitempty"` // their limits then, as in Quota
}
