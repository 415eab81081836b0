package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
)

// prometheusTool returns the path of a program of Debian's package prometheus.
func prometheusTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("REQUIRE_PROMETHEUS") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no Prometheus here: apt-get install prometheus")
	}
	return path
}

const deployed = "../../../deploy/prometheus/"

// TestAlerts checks the configuration, and each alert against the cases in deploy/prometheus/sluice.test.yml.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := prometheusTool(t, "promtool")
	for _, args := range [][]string{{"check", "config", deployed + "prometheus.yml"}, {"test", "rules", deployed + "sluice.test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestPromtoolLikesTheMetrics: names, units, kinds and help follow the conventions.
func TestPromtoolLikesTheMetrics(t *testing.T) {
	t.Parallel()
	promtool := prometheusTool(t, "promtool")
	file := filepath.Join(t.TempDir(), "run.prom")
	w := newWorld(t, 1000, nil)
	w.mustRun(cli.ExitOK, "run", "--metrics-file="+file)
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(read(t, file))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// prometheus starts a real one that scrapes the address, and returns where it listens.
func prometheus(t *testing.T, target string) string {
	t.Helper()
	program, dir := prometheusTool(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs(deployed + "sluice.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	write(t, config, fmt.Sprintf("global: {scrape_interval: 200ms, evaluation_interval: 200ms}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: sluice, static_configs: [{targets: ['%s']}]}]\n", rules, target))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", said.String())
		}
	})
	return "http://" + address
}

// panels returns the queries of the dashboard by the titles of their panels, for every run.
func panels(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			ID      int
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../../../deploy/grafana/dashboards/sluice.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries[fmt.Sprintf("panel %d %q %s", p.ID, p.Title, target.RefID)] = strings.ReplaceAll(target.Expr, "$instance", ".*")
		}
	}
	if len(queries) < 15 {
		t.Fatalf("only %d queries in the dashboard", len(queries))
	}
	return queries
}

// TestNoPanelIsEmpty: a real Prometheus scrapes a run, and each query of the dashboard finds something in it.
func TestNoPanelIsEmpty(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	b := w.begin("run", "--shards=4", "--max-dead-letters=1000", "--listen=127.0.0.1:0", "--linger=5m")
	target := b.address(t)
	at := prometheus(t, strings.Trim(strings.TrimPrefix(target, "http:"), "/"))
	eventually(t, target+"metrics", `sluice_phase{phase="ended"} 1`)
	for name, query := range panels(t) {
		answer(t, at, name, query)
	}
	b.stop()
	if code := <-b.over; code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

// answer queries Prometheus until it finds something.
func answer(t *testing.T, at, name, query string) {
	t.Helper()
	var last string
	for range 300 {
		var err error
		if last, err = ask(t.Context(), at+"/api/v1/query?query="+url.QueryEscape(query), ""); err != nil {
			last = err.Error() // it is still starting
		}
		if strings.Contains(last, `"value":[`) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("%s: %s finds nothing: %s", name, query, last)
}
