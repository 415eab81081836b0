package view

import "time"

// View is a run at one moment. It holds no secret: no key, token, cursor or address with a password.
type View struct {
	Job      string    `json:"job"`
	Source   string    `json:"source"`
	Version  string    `json:"version"`
	Phase    Phase     `json:"phase"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`
	Verdict  string    `json:"verdict,omitempty"` // how the run ended, in words
	ExitCode int       `json:"exit_code"`         // of a run that has ended

	Total    int64 `json:"total,omitempty"` // events that the API says it has; 0: not known
	Stored   int64 `json:"stored"`          // rows committed by this run and earlier ones
	Before   int64 `json:"before"`          // of them by earlier ones
	Rejected int64 `json:"rejected"`        // dead letters that this run committed or is about to commit
	Queueing int   `json:"queueing"`        // shards that wait for the database or for memory

	Limit      string     `json:"limit,omitempty"`  // what holds the run back right now
	Paused     *time.Time `json:"paused,omitempty"` // by the operator, since then
	GoOn       string     `json:"go_on,omitempty"`  // the command that ends the pause
	LastCommit *time.Time `json:"last_commit,omitempty"`
	Away       string     `json:"away,omitempty"` // why the database takes no commits

	// The ends of the time line on which the shards are drawn; zero while they are not known.
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Of a job that follows its source: the pass that is under way, and the instant up to which everything is stored.
	Round     int        `json:"round,omitempty"`
	Watermark *time.Time `json:"watermark,omitempty"`
	Late      int64      `json:"late,omitempty"`   // events of the pass that came late
	Rounds    []Round    `json:"rounds,omitempty"` // the last passes, the newest first

	Shards   []Shard   `json:"shards,omitempty"` // from the oldest window to the newest
	Quotas   []Quota   `json:"quotas,omitempty"`
	Requests Traffic   `json:"requests"`
	Letters  []Letters `json:"letters,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	History  []Point   `json:"history,omitempty"`
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

// Shard is one window and how far it is. Read is the share of its time that was read and committed, from its newest end.
type Shard struct {
	Number   int       `json:"number"`
	Parent   int       `json:"part_of,omitempty"` // the shard that it was split from; 0: none
	State    string    `json:"state"`
	Start    string    `json:"start"`
	End      string    `json:"end"`
	From     float64   `json:"from"` // place of the window on the time line, 0 to 1
	To       float64   `json:"to"`
	Read     float64   `json:"read"`
	Place    string    `json:"place,omitempty"`
	Events   int64     `json:"events"`
	Rejected int64     `json:"rejected"`
	Pages    int64     `json:"pages"`
	Doing    string    `json:"doing,omitempty"`
	Commit   time.Time `json:"commit,omitzero"`
	Took     float64   `json:"took_seconds,omitempty"` // from its first attempt to its last commit
	Attempts int       `json:"attempts,omitempty"`
	Proof    string    `json:"proof,omitempty"` // of its end
	Error    string    `json:"error,omitempty"` // the last one
}

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

// Quota is one endpoint's allowance of requests.
type Quota struct {
	Endpoint    string     `json:"endpoint"`
	Limit       int        `json:"limit"` // requests in a window; 0: not known yet, -1: none
	Window      float64    `json:"window_seconds"`
	Known       string     `json:"known"`
	Recent      int        `json:"recent"`
	Used        float64    `json:"used"`
	Waiting     int        `json:"waiting"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
}

// Requests are what this run asked of the API.
type Requests struct {
	List          int64 `json:"list"`
	Stream        int64 `json:"stream"`
	ListRefused   int64 `json:"list_refused"`
	StreamRefused int64 `json:"stream_refused"`
	Access        int64 `json:"stream_access"`
	Retries       int64 `json:"retries"`
	Cached        int64 `json:"cached"`
	Bytes         int64 `json:"bytes"`
}

// Traffic is requests and the time that they took, summed over all of them.
type Traffic struct {
	Requests
	Busy float64 `json:"busy_seconds"`
}

// Letters is how many dead letters have a reason.
type Letters struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Warning is a line of the log that somebody should see.
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

// Rate returns committed events per second over the last moments of the history, and over all of it.
func (v *View) Rate() (recent, overall float64) {
	n := len(v.History)
	if n < 2 {
		return 0, 0
	}
	last, at := v.History[n-1], n-2
	for at > 0 && last.At.Sub(v.History[at].At) < 15*time.Second {
		at--
	}
	return speed(v.History[at], last), speed(v.History[0], last)
}

func speed(a, b Point) float64 {
	d := b.At.Sub(a.At).Seconds()
	if d <= 0 {
		return 0
	}
	return max(0, float64(b.Stored-a.Stored)/d)
}
