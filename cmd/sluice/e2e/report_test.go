package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice/cmd/sluice/internal/cli"
	"sluice/cmd/sluice/internal/view"
	"sluice/fetch/apisim"
)

// TestReport: the page shows the figures of the tables, of a finished and of an unfinished job, and a hostile name of the source stays
// text.
func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30_000, func(c *apisim.Config) { c.MalformedShare = 0.001 })
	w.env["SLUICE_SOURCE"] = sharpName
	w.mustRun(cli.ExitUsage, "report") // there is no job yet
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=1000")
	r := w.mustRun(cli.ExitOK, "report")
	var rows, letters int64
	w.query(`select count(*) from ingested_events`, nil, &rows)
	w.query(`select count(*) from dead_letters`, nil, &letters)
	for _, want := range []string{"complete and verified", ">" + view.Number(rows) + "<", ">" + view.Number(letters) + "<", view.Number(rows) + " events in "} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the report has no %q:\n%s", want, r.stdout)
		}
	}
	if strings.Count(r.stdout, `class="state done"`) != 4 || strings.Contains(r.stdout, "<img") || strings.Contains(r.stdout, "http://") {
		t.Errorf("not 4 shards, a name that is no text, or something from elsewhere:\n%s", r.stdout)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	write(t, file, r.stdout)
	if os.Getenv("REQUIRE_CHROMIUM") != "" || os.Getenv("SLUICE_PICTURES") != "" {
		err := chromedp.Do(browser(t), at(1280, 900, "light"), chromedp.Navigate("file://"+file), fits(t), picture(t, "report"),
			at(390, 844, "dark"), fits(t), picture(t, "report-narrow-dark"))
		if err != nil {
			t.Error(err)
		}
	}
	w.exec(`update ingestion_jobs set verified_at = null, verdict = 'out of order'; update ingestion_shards set state = 'failed', last_error = '<b>bad</b>' where shard = 2`)
	if r = w.mustRun(cli.ExitOK, "report"); !strings.Contains(r.stdout, "unfinished") || !strings.Contains(r.stdout, "&lt;b&gt;bad") {
		t.Errorf("a job that is not done:\n%s", r.stdout)
	}
}
