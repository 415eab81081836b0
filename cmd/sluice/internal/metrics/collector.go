package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/cmd/sluice/internal/view"
)

// The metrics, by the naming rules of Prometheus: base units, and _total where it only rises.
var (
	info       = gauge("info", "1, with the job, its source and the version of the program.", "job_name", "source", "version")
	phase      = gauge("phase", "1 for what the run does now, 0 for what it does not.", "phase")
	exitCode   = gauge("exit_code", "Exit code of a run that has ended; -1 while it has not.")
	started    = gauge("run_start_timestamp_seconds", "When the run began.")
	total      = gauge("source_events", "Events that the API says it has; absent while it has not said.")
	stored     = gauge("job_events", "Rows that the job has committed, by this run and by earlier ones.")
	committed  = counter("events_committed_total", "Rows that this run has committed.")
	lastCommit = gauge("last_commit_timestamp_seconds", "When a shard last committed; absent before the first commit of the run.")
	lag        = gauge("watermark_lag_seconds", "How far what is completely stored is behind the clock; absent unless the job follows its source.")
	roundNow   = gauge("round", "Round of the job that is worked on, or was last; 1 is the first load.")
	late       = gauge("late_events", "Events of the last round that lay before the watermark of its start.")
	isPaused   = gauge("paused", "1 while the operator has paused the run, 0 while not.")
	databaseUp = gauge("database_up", "1 while the database takes commits, 0 while it is away or its disk is full.")
	letters    = gauge("dead_letters", "Dead letters of the job that were not replayed.", "reason")
	rejected   = counter("records_rejected_total", "Records that this run did not take for events.")
	shards     = gauge("shards", "Windows of the job by their state.", "state")
	queueing   = gauge("shards_queueing", "Shards that have pages in hand and wait for the database or for memory.")
	shardRead  = gauge("shard_read_ratio", "Share of a shard's window that was read and committed, from its newest end.", "shard")
	shardRows  = gauge("shard_events", "Rows that a shard has committed, by all runs.", "shard")
	requests   = counter("api_requests_total", "Requests that were answered, refused or failed, by endpoint.", "endpoint")
	refused    = counter("api_requests_refused_total", "Requests that were answered with 429.", "endpoint")
	retries    = counter("api_retries_total", "Requests that had to be made once more.")
	cached     = counter("api_cached_total", "Answers that came from the API's cache.")
	received   = counter("api_received_bytes_total", "Bytes of the bodies, as they were sent.")
	busy       = counter("api_request_seconds_total", "Time that requests took, summed over all of them.")
	limit      = gauge("quota_limit_requests", "Requests that we allow ourselves in a window; absent while no limit is known.", "endpoint")
	window     = gauge("quota_window_seconds", "Length of the quota's window.", "endpoint")
	recent     = gauge("quota_recent_requests", "Requests that the API should have in its window now.", "endpoint")
	used       = gauge("quota_used_ratio", "Share of the allowed requests that was used since the limit is known.", "endpoint")
	waiting    = gauge("quota_waiting_fetchers", "Fetchers that would take a request of this quota now.", "endpoint")
	paused     = gauge("quota_paused_seconds", "How long the endpoint stays paused after a 429; 0: it is not.", "endpoint")
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
	for _, p := range []view.Phase{view.Starting, view.Ingesting, view.Checking, view.Waiting, view.Ended} {
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
	states := map[string]float64{"pending": 0, "running": 0, "done": 0, "failed": 0, "suspect": 0}
	for _, one := range v.Shards {
		states[one.State]++
	}
	for state, n := range states {
		s.put(shards, n, state)
	}
	s.put(queueing, float64(v.Queueing))
	for i := range v.Shards {
		one := &v.Shards[i]
		s.put(shardRead, one.Read, number(one.Number))
		s.put(shardRows, float64(one.Events), number(one.Number))
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
