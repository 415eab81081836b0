package terminal

import (
	"encoding/json"
	"time"
)

// progress is the line of `--json`: an object as slog's JSON handler writes them, so that a reader of stderr needs one rule.
type progress struct {
	Time     time.Time       `json:"time"`
	Level    string          `json:"level"`
	Msg      string          `json:"msg"`
	Job      string          `json:"job"`
	Stored   int64           `json:"stored"`
	Total    int64           `json:"total"` // 0: not known
	Share    float64         `json:"share"`
	Rate     float64         `json:"events_per_second"`
	Left     *float64        `json:"seconds_left"` // null while nobody can honestly say
	Shards   int             `json:"shards"`
	Done     int             `json:"shards_done"`
	Failed   int             `json:"shards_failed"`
	Running  int             `json:"shards_running"`
	Reject   int64           `json:"dead_letters"`
	Repeated int64           `json:"requests_repeated"`
	Refused  int64           `json:"requests_refused"`
	Limit    string          `json:"limited_by"`
	Paused   bool            `json:"paused"`
	Quotas   []progressQuota `json:"quotas"`
}

type progressQuota struct {
	Endpoint string  `json:"endpoint"`
	Limit    int     `json:"limit"` // 0: not known, -1: none
	Window   float64 `json:"window_seconds"`
	Recent   int     `json:"recent"`
	Used     float64 `json:"used"`
}

// json tells the view as a JSON object in one line.
func (r *rate) json(v View, now time.Time) string {
	p := progress{
		Time: now, Level: "INFO", Msg: "progress", Job: v.Job, Stored: v.Stored, Total: v.Total, Share: v.share(), Rate: r.recent(),
		Shards: len(v.Shards), Done: v.count("done"), Failed: v.count("failed"), Running: v.count("running"),
		Reject: v.Reject, Repeated: v.Repeated, Refused: v.Refused, Limit: v.Limit, Paused: v.Paused != "", Quotas: []progressQuota{},
	}
	if left, ok := r.eta(v, now); ok && !p.Paused {
		seconds := left.Seconds()
		p.Left = &seconds
	}
	for _, q := range v.Quotas {
		p.Quotas = append(p.Quotas, progressQuota{q.Endpoint, q.Limit, q.Window.Seconds(), q.Recent, q.Used})
	}
	line, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and text
	}
	return string(line)
}
