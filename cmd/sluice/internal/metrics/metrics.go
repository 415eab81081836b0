// Package metrics serves a view.View to Prometheus. Every sample is made from one View at the time of the scrape: nothing is counted
// twice, and a counter of rows moves only with their commit. No label holds a cursor, an id or an address.
package metrics

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/cmd/sluice/internal/view"
)

// The metrics, named by the rules of Prometheus: base units, and _total for counters.
var (
	info       = gauge("info", "1, with the job, its source and the version of the program.", "job_name", "source", "version")
	phase      = gauge("phase", "1 for the current phase of the run, 0 for the others.", "phase")
	exitCode   = gauge("exit_code", "Exit code of a run that has ended; -1 before that.")
	started    = gauge("run_start_timestamp_seconds", "When the run began.")
	total      = gauge("source_events", "Events that the API reports to have; absent while it is unknown.")
	stored     = gauge("job_events", "Rows that this run and earlier ones have committed.")
	committed  = counter("events_committed_total", "Rows that this run has committed.")
	lastCommit = gauge("last_commit_timestamp_seconds", "When a shard last committed; absent before the first commit of the run.")
	lag        = gauge("watermark_lag_seconds", "How far the watermark, up to which everything is stored, is behind the clock; absent unless the job follows its source.")
	roundNow   = gauge("round", "Current or last round of the job; 1 is the first load.")
	late       = gauge("late_events", "Late events of the last round: older than the watermark at its start.")
	isPaused   = gauge("paused", "1 while the operator has paused the run, 0 otherwise.")
	databaseUp = gauge("database_up", "1 while the database takes commits, 0 while it is unreachable or its disk is full.")
	letters    = gauge("dead_letters", "Dead letters of the job that were not replayed.", "reason")
	rejected   = counter("records_rejected_total", "Records that this run rejected as dead letters.")
	shards     = gauge("shards", "Shards of the job by state.", "state")
	queueing   = gauge("shards_queueing", "Shards that hold pages and wait for the database or for memory.")
	shardRead  = gauge("shard_read_ratio", "Share of a shard's window that was read and committed, from its newest end.", "shard")
	shardRows  = gauge("shard_events", "Rows of a shard that all runs have committed.", "shard")
	requests   = counter("api_requests_total", "Requests that were answered, refused or failed, by endpoint.", "endpoint")
	refused    = counter("api_requests_refused_total", "Requests that were answered with 429.", "endpoint")
	retries    = counter("api_retries_total", "Requests that were repeated.")
	cached     = counter("api_cached_total", "Answers from the API's cache.")
	received   = counter("api_received_bytes_total", "Bytes of response bodies, as sent.")
	busy       = counter("api_request_seconds_total", "Total time of all requests.")
	limit      = gauge("quota_limit_requests", "Requests that this run may make in a window; absent while no limit is known.", "endpoint")
	window     = gauge("quota_window_seconds", "Length of the quota's window.", "endpoint")
	recent     = gauge("quota_recent_requests", "Requests that the API should count in its window now.", "endpoint")
	used       = gauge("quota_used_ratio", "Share of the allowed requests that was used since the limit is known.", "endpoint")
	waiting    = gauge("quota_waiting_fetchers", "Fetchers that wait for a request of this quota.", "endpoint")
	paused     = gauge("quota_paused_seconds", "How long the endpoint stays paused after a 429; 0 if it is not.", "endpoint")
)

// metric is a name with its help and labels.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

var (
	all  []*prometheus.Desc
	docs []string // a line of docs/metrics.md for each
)

func gauge(name, help string, labels ...string) metric {
	return define(prometheus.GaugeValue, name, help, labels)
}

func counter(name, help string, labels ...string) metric {
	return define(prometheus.CounterValue, name, help, labels)
}

func define(kind prometheus.ValueType, name, help string, labels []string) metric {
	desc := prometheus.NewDesc("sluice_"+name, help, labels, nil)
	all = append(all, desc)
	docs = append(docs, document(kind, name, help, labels))
	return metric{desc: desc, kind: kind}
}

func document(kind prometheus.ValueType, name, help string, labels []string) string {
	is := "gauge"
	if kind == prometheus.CounterValue {
		is = "counter"
	}
	return fmt.Sprintf("| `sluice_%s` | %s | %s | %s |\n", name, is, strings.Join(labels, ", "), help)
}

// Table returns the list of all metrics in Markdown, as in docs/metrics.md.
func Table() string {
	return "| metric | kind | labels | what it says |\n|---|---|---|---|\n" + strings.Join(docs, "")
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
	for _, d := range all {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	v := c.look()
	s := samples{to}
	s.run(&v)
	s.rows(&v)
	s.shards(&v)
	s.requests(&v.Requests)
	for i := range v.Quotas {
		s.quota(&v.Quotas[i], v.At)
	}
}

// samples writes samples.
type samples struct{ to chan<- prometheus.Metric }

func (s samples) put(m metric, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func (s samples) run(v *view.View) {
	s.put(info, 1, v.Job, v.Source, v.Version)
	for _, p := range view.Phases {
		s.put(phase, one(v.Phase == p), string(p))
	}
	code := -1.0
	if v.Phase == view.Ended {
		code = float64(v.ExitCode)
	}
	s.put(exitCode, code)
	s.put(started, seconds(v.Started))
	s.put(isPaused, one(v.Paused != nil))
	s.put(databaseUp, one(v.Away == ""))
}

func (s samples) rows(v *view.View) {
	if v.Total > 0 {
		s.put(total, float64(v.Total))
	}
	s.put(stored, float64(v.Stored))
	s.put(committed, float64(v.Stored-v.Before))
	s.put(rejected, float64(v.Rejected))
	if v.LastCommit != nil {
		s.put(lastCommit, seconds(*v.LastCommit))
	}
	s.put(roundNow, float64(max(1, v.Round)))
	s.put(late, float64(v.Late))
	if v.Watermark != nil {
		s.put(lag, max(0, v.At.Sub(*v.Watermark).Seconds()))
	}
	for _, l := range v.Letters {
		s.put(letters, float64(l.Count), l.Reason)
	}
}

func (s samples) shards(v *view.View) {
	for _, state := range view.States {
		s.put(shards, float64(v.Count(state)), state)
	}
	s.put(queueing, float64(v.Queueing))
	for i := range v.Shards {
		one := &v.Shards[i]
		number := strconv.Itoa(one.Number)
		s.put(shardRead, one.Read, number)
		s.put(shardRows, float64(one.Events), number)
	}
}

func (s samples) requests(r *view.Traffic) {
	s.put(requests, float64(r.List), "list")
	s.put(requests, float64(r.Stream), "stream")
	s.put(requests, float64(r.Access), "stream-access")
	s.put(refused, float64(r.ListRefused), "list")
	s.put(refused, float64(r.StreamRefused), "stream")
	s.put(retries, float64(r.Retries))
	s.put(cached, float64(r.Cached))
	s.put(received, float64(r.Bytes))
	s.put(busy, r.Busy)
}

func (s samples) quota(q *view.Quota, now time.Time) {
	if q.Limit > 0 {
		s.put(limit, float64(q.Limit), q.Endpoint)
		s.put(window, q.Window, q.Endpoint)
		s.put(used, q.Used, q.Endpoint)
	}
	s.put(recent, float64(q.Recent), q.Endpoint)
	s.put(waiting, float64(q.Waiting), q.Endpoint)
	pause := 0.0
	if q.PausedUntil != nil {
		pause = max(0, q.PausedUntil.Sub(now).Seconds())
	}
	s.put(paused, pause, q.Endpoint)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
