// Package metrics serves a view.View to Prometheus. Every sample is made from one View at the time of the scrape: nothing is counted
// twice, and a counter of rows moves only with their commit. No label holds a cursor, an id or an address.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/cmd/sluice/internal/view"
)

// metric is a name with its help and labels, and how its samples are made of a view.
type metric struct {
	kind               prometheus.ValueType
	name, help, labels string
	sample             func(v *view.View, put put)
}

// put writes a sample with the values of its labels.
type put func(value float64, labels ...string)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// The metrics, named by the rules of Prometheus: base units, and _total for counters.
var all = []metric{
	{gauge, "info", "1, with the job, its source and the version of the program.", "job_name source version",
		func(v *view.View, put put) { put(1, v.Job, v.Source, v.Version) }},
	{gauge, "phase", "1 for the current phase of the run, 0 for the others.", "phase", func(v *view.View, put put) {
		for _, p := range view.Phases {
			put(truth(v.Phase == p), string(p))
		}
	}},
	{gauge, "exit_code", "Exit code of a run that has ended; -1 before that.", "", func(v *view.View, put put) {
		if v.Phase == view.Ended {
			put(float64(v.ExitCode))
		} else {
			put(-1)
		}
	}},
	{gauge, "run_start_timestamp_seconds", "When the run began.", "", func(v *view.View, put put) { put(seconds(v.Started)) }},
	{gauge, "source_events", "Events that the API reports to have; absent while it is unknown.", "", func(v *view.View, put put) {
		if v.Total > 0 {
			put(float64(v.Total))
		}
	}},
	{gauge, "job_events", "Rows that this run and earlier ones have committed; absent while the database could not be asked.", "", func(v *view.View, put put) {
		if !v.Unread || v.Stored > 0 {
			put(float64(v.Stored))
		}
	}},
	number(counter, "events_committed_total", "Rows that this run has committed.", func(v *view.View) int64 { return v.Stored - v.Before }),
	number(counter, "went_back_rows_total", "Rows that this run had committed and the database lost, as in a failover to a standby that was behind; they are read again.",
		func(v *view.View) int64 { return v.WentBack }),
	{gauge, "last_commit_timestamp_seconds", "When a shard last committed; absent before the first commit of the run.", "", func(v *view.View, put put) {
		if v.LastCommit != nil {
			put(seconds(*v.LastCommit))
		}
	}},
	{gauge, "watermark_lag_seconds", "How far the watermark, up to which everything is stored, is behind the clock; absent unless the job follows its source.", "",
		func(v *view.View, put put) {
			if v.Watermark != nil {
				put(max(0, v.At.Sub(*v.Watermark).Seconds()))
			}
		}},
	number(gauge, "round", "Current or last round of the job; 1 is the first load.", func(v *view.View) int64 { return int64(max(1, v.Round)) }),
	number(gauge, "late_events", "Late events of the last round: older than the watermark at its start.", func(v *view.View) int64 { return v.Late }),
	{gauge, "paused", "1 while the operator has paused the run, 0 otherwise.", "", func(v *view.View, put put) { put(truth(v.Paused != nil)) }},
	{gauge, "database_up", "1 while the database takes commits, 0 while it is unreachable or its disk is full.", "",
		func(v *view.View, put put) { put(truth(v.Away == "")) }},
	{gauge, "in_doubt", "1 while the data are in doubt, 0 otherwise.", "", func(v *view.View, put put) { put(truth(v.Doubt != "")) }},
	{gauge, "dead_letters", "Dead letters of the job that were not replayed.", "reason", func(v *view.View, put put) {
		for _, l := range v.Letters {
			put(float64(l.Count), l.Reason)
		}
	}},
	number(counter, "records_rejected_total", "Records that this run rejected as dead letters.", func(v *view.View) int64 { return v.Rejected }),
	{gauge, "shards", "Shards of the job by state; absent while the database could not be asked.", "state", func(v *view.View, put put) {
		if v.Unread && len(v.Shards) == 0 {
			return
		}
		for _, state := range view.States {
			put(float64(v.Count(state)), state)
		}
	}},
	number(gauge, "shards_queueing", "Shards that hold pages and wait for the database or for memory.", func(v *view.View) int64 { return int64(v.Queueing) }),
	perShard("shard_read_ratio", "Share of a shard's window that was read and committed, from its newest end.", func(s *view.Shard) float64 { return s.Read }),
	perShard("shard_events", "Rows of a shard that all runs have committed.", func(s *view.Shard) float64 { return float64(s.Events) }),
	{counter, "api_requests_total", "Requests that were answered, refused or failed, by endpoint.", "endpoint", func(v *view.View, put put) {
		put(float64(v.Requests.List), "list")
		put(float64(v.Requests.Stream), "stream")
		put(float64(v.Requests.Access), "stream-access")
	}},
	{counter, "api_requests_refused_total", "Requests that were answered with 429.", "endpoint", func(v *view.View, put put) {
		put(float64(v.Requests.ListRefused), "list")
		put(float64(v.Requests.StreamRefused), "stream")
	}},
	number(counter, "api_retries_total", "Requests that were repeated.", func(v *view.View) int64 { return v.Requests.Retries }),
	number(counter, "api_cached_total", "Answers from the API's cache.", func(v *view.View) int64 { return v.Requests.Cached }),
	number(counter, "api_received_bytes_total", "Bytes of response bodies, as sent.", func(v *view.View) int64 { return v.Requests.Bytes }),
	{counter, "api_request_seconds_total", "Total time of all requests.", "", func(v *view.View, put put) { put(v.Requests.Busy) }},
	perLimit("quota_limit_requests", "Requests that this run may make in a window; absent while no limit is known.",
		func(q *view.Quota) float64 { return float64(q.Limit) }),
	perLimit("quota_window_seconds", "Length of the quota's window.", func(q *view.Quota) float64 { return q.Window }),
	perQuota("quota_recent_requests", "Requests that the API should count in its window now.",
		func(q *view.Quota, _ time.Time) float64 { return float64(q.Recent) }),
	perLimit("quota_used_ratio", "Share of the allowed requests that was used since the limit is known.", func(q *view.Quota) float64 { return q.Used }),
	perQuota("quota_waiting_fetchers", "Fetchers that wait for a request of this quota.",
		func(q *view.Quota, _ time.Time) float64 { return float64(q.Waiting) }),
	perQuota("quota_paused_seconds", "How long the endpoint stays paused after a 429; 0 if it is not.", func(q *view.Quota, now time.Time) float64 {
		if q.PausedUntil == nil {
			return 0
		}
		return max(0, q.PausedUntil.Sub(now).Seconds())
	}),
}

// number is a metric that is one whole number.
func number(kind prometheus.ValueType, name, help string, of func(*view.View) int64) metric {
	return metric{kind, name, help, "", func(v *view.View, put put) { put(float64(of(v))) }}
}

// perShard is a metric with a sample for each shard.
func perShard(name, help string, of func(*view.Shard) float64) metric {
	return metric{gauge, name, help, "shard", func(v *view.View, put put) {
		for i := range v.Shards {
			put(of(&v.Shards[i]), strconv.Itoa(v.Shards[i].Number))
		}
	}}
}

// perQuota is a metric with a sample for each quota.
func perQuota(name, help string, of func(q *view.Quota, now time.Time) float64) metric {
	return metric{gauge, name, help, "endpoint", func(v *view.View, put put) {
		for i := range v.Quotas {
			put(of(&v.Quotas[i], v.At), v.Quotas[i].Endpoint)
		}
	}}
}

// perLimit is a metric with a sample for each quota whose limit is known.
func perLimit(name, help string, of func(*view.Quota) float64) metric {
	return metric{gauge, name, help, "endpoint", func(v *view.View, put put) {
		for i := range v.Quotas {
			if q := &v.Quotas[i]; q.Limit > 0 {
				put(of(q), q.Endpoint)
			}
		}
	}}
}

// Handler serves the metrics of look, and those of the process and of Go's runtime.
func Handler(look func() view.View) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(New(look), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// WriteFile writes the metrics of v into a file, whole or not at all, for the textfile collector of node_exporter.
func WriteFile(name string, v view.View) error {
	r := prometheus.NewRegistry()
	r.MustRegister(New(func() view.View { return v }))
	return prometheus.WriteToTextfile(name, r)
}

// Collector makes samples of what look returns.
type Collector struct{ look func() view.View }

// New returns a collector.
func New(look func() view.View) *Collector { return &Collector{look: look} }

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range all {
		to <- m.desc()
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	v := c.look()
	for _, m := range all {
		desc := m.desc()
		m.sample(&v, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(desc, m.kind, value, labels...)
		})
	}
}

func (m *metric) desc() *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+m.name, m.help, strings.Fields(m.labels), nil)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
