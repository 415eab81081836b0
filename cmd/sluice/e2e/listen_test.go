package e2e

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// slowWorld has an API whose run takes some seconds.
func slowWorld(t *testing.T) *world {
	w := newWorld(t, 8_000, func(c *apisim.Config) {
		c.PageCap, c.MalformedShare = 200, 0.00125
		c.Latency = apisim.Latency{Page: 400 * time.Millisecond, Jitter: 200 * time.Millisecond, Scale: 1}
	})
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/1s", "50/1s"
	return w
}

// metric returns the value of one sample of a scrape.
func metric(t *testing.T, scrape, sample string) float64 {
	t.Helper()
	for line := range strings.Lines(scrape) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Errorf("there is no %s", sample)
	return 0
}

// eventually repeats a request until the answer contains what is wanted.
func eventually(t *testing.T, url, want string) string {
	t.Helper()
	var got string
	for range 3000 {
		if got = get(t, url, ""); strings.Contains(got, want) {
			return got
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("%s never had %q, but:\n%s", url, want, got)
	return ""
}

// TestMetricsOfARun: counters move only with a commit, their final values agree with the tables, and the API key is shown nowhere.
func TestMetricsOfARun(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	file := filepath.Join(t.TempDir(), "sluice.prom")
	b := w.begin("run", "--shards=4", "--max-dead-letters=1000", "--listen=127.0.0.1:0", "--linger=5m", "--metrics-file="+file)
	url := b.address(t)
	during := eventually(t, url+"metrics", "sluice_last_commit_timestamp_seconds ")
	var rows int64
	w.query(`select count(*) from ingested_events`, nil, &rows)
	if got := metric(t, during, "sluice_events_committed_total"); int64(got) > rows || got == 0 {
		t.Errorf("%v committed events were counted while the table has %d", got, rows)
	}
	if got := get(t, url+"readyz", ""); !strings.HasPrefix(got, "200") {
		t.Errorf("readyz in the middle of a run: %s", got)
	}
	end := eventually(t, url+"metrics", `sluice_phase{phase="ended"} 1`)
	var letters int64
	w.query(`select count(*) from dead_letters`, nil, &letters)
	w.query(`select count(*) from ingested_events`, nil, &rows)
	shards := w.number(`select count(*) from ingestion_shards where state = 'done'`) // a fetcher without work may have split one
	for sample, want := range map[string]float64{
		"sluice_events_committed_total": float64(rows), "sluice_job_events": float64(rows), "sluice_exit_code": 0,
		`sluice_shards{state="done"}`: float64(shards), "sluice_records_rejected_total": float64(letters), "sluice_database_up": 1,
		`sluice_quota_limit_requests{endpoint="stream"}`: 50, `sluice_shard_read_ratio{shard="2"}`: 1,
	} {
		if got := metric(t, end, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	requests := metric(t, end, `sluice_api_requests_total{endpoint="list"}`) + metric(t, end, `sluice_api_requests_total{endpoint="stream"}`)
	if requests != float64(w.pages()) {
		t.Errorf("%v requests were counted, the API had %d", requests, w.pages())
	}
	lint(t, end[strings.Index(end, "\n")+1:])
	kept, err := os.ReadFile(file)
	if err != nil || metric(t, string(kept), "sluice_job_events") != float64(rows) {
		t.Errorf("the file of metrics: %v\n%s", err, kept)
	}
	for _, path := range []string{"", "view", "metrics", "healthz"} {
		w.guard("the listener's /"+path, get(t, url+path, ""))
	}
	b.stop()
	if code := <-b.over; code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

// lint holds the metrics against the rules of Prometheus.
func lint(t *testing.T, scrape string) {
	t.Helper()
	problems, err := promlint.New(bytes.NewBufferString(scrape)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "sluice_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestWhoMayAskTheListener: the page of another site whose name points here is rejected by its Host header; profiles are served on request
// only; nothing can be changed from outside.
func TestWhoMayAskTheListener(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	b := w.begin("run", "--listen=127.0.0.1:0", "--listen-host=sluice,run.example", "--linger=5m")
	url := b.address(t)
	for host, want := range map[string]string{
		"": "200", "localhost": "200", "localhost:8080": "200", "127.0.0.1:1": "200", "[::1]:8080": "200",
		"sluice:8080": "200", "Run.Example": "200", "sluice.run.example": "421",
		"evil.example": "421", "127.0.0.1.evil.example": "421", "localhost.evil.example:80": "421",
	} {
		for _, path := range []string{"", "view", "metrics", "healthz"} {
			if got := get(t, url+path, host); !strings.HasPrefix(got, want) {
				t.Errorf("host %q asks for /%s: %s", host, path, got)
			}
		}
	}
	for _, path := range []string{"debug/pprof/", "nothing"} {
		if got := get(t, url+path, ""); !strings.HasPrefix(got, "404") {
			t.Errorf("/%s: %s", path, got)
		}
	}
	resp, err := http.Post(url, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	with := w.begin("run", "--job=other", "--listen=127.0.0.1:0", "--pprof", "--linger=5m")
	if got := get(t, with.address(t)+"debug/pprof/", ""); !strings.HasPrefix(got, "200") {
		t.Errorf("with --pprof: %s", got)
	}
}

// TestAnAddressThatIsTaken is reported before the run begins.
func TestAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := w.mustRun(cli.ExitUsage, "run", "--listen="+taken.Addr().String())
	if !strings.Contains(r.stderr, "address already in use") || !strings.Contains(r.stderr, "choose another port") || w.pages() > 0 {
		t.Errorf("after %d pages: %s", w.pages(), r.stderr)
	}
	if r = w.mustRun(cli.ExitUsage, "run", "--listen=8080"); !strings.Contains(r.stderr, "127.0.0.1:8080") {
		t.Errorf("a port alone: %s", r.stderr)
	}
}

// TestARunThatCannotBeginIsSeen: the page shows the reason, as does the last line of the run.
func TestARunThatCannotBeginIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100, nil)
	w.env[cli.EnvDatabase] = "postgres://nobody@127.0.0.1:1/nothing"
	b := w.begin("run", "--listen=127.0.0.1:0", "--linger=5m")
	url := b.address(t)
	page := eventually(t, url, "ended with exit code 3")
	if !strings.Contains(page, "127.0.0.1:1") {
		t.Errorf("the page does not say what could not be reached:\n%s", page)
	}
	if got := get(t, url+"readyz", ""); !strings.HasPrefix(got, "503") || !strings.Contains(got, "127.0.0.1:1") {
		t.Errorf("readyz: %s", got)
	}
	b.stop()
	if code := <-b.over; code != cli.ExitUnreachable {
		t.Errorf("exit code %d", code)
	}
}

// TestAFollowThatCouldNotStoreIsNotReady: rounds with nothing new would not find out, and /readyz says it all the same.
func TestAFollowThatCouldNotStoreIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2_000, nil)
	w.mustRun(cli.ExitOK, "run")
	b := w.begin("follow", "--every=1h", "--listen=127.0.0.1:0", "--linger=5m")
	ready := b.address(t) + "readyz"
	eventually(t, ready, "200 OK")
	w.exec(`alter table ingested_events alter column properties drop default, alter column properties type text`)
	if got := eventually(t, ready, "column properties is text"); !strings.HasPrefix(got, "503") {
		t.Errorf("readyz: %s", got)
	}
	if got := metric(t, get(t, b.address(t)+"metrics", ""), "sluice_database_up"); got != 0 {
		t.Errorf("sluice_database_up is %v", got)
	}
	w.exec(`alter table ingested_events alter column properties type jsonb using properties::jsonb`)
	eventually(t, ready, "200 OK")
}
