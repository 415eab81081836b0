package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/cmd/sluice/internal/view"
)

// TestTheListOfMetrics holds docs/metrics.md against the metrics that there are.
func TestTheListOfMetrics(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| metric | kind | labels | what it says |\n|---|---|---|---|\n"
	for _, m := range all {
		kind := map[prometheus.ValueType]string{gauge: "gauge", counter: "counter"}[m.kind]
		table += fmt.Sprintf("| `sluice_%s` | %s | %s | %s |\n", m.name, kind, strings.Join(strings.Fields(m.labels), ", "), m.help)
	}
	if !strings.Contains(string(page), table) {
		t.Errorf("docs/metrics.md does not have this table:\n%s", table)
	}
}

// TestTheLagIsThatOfTheWatermark: it is there only where a job follows its source, and is never negative.
func TestTheLagIsThatOfTheWatermark(t *testing.T) {
	now := time.Unix(1_769_541_612, 0)
	for name, want := range map[string]string{"none": "", "90 s ago": "90", "ahead of the clock": "0"} {
		v := view.View{At: now}
		switch name {
		case "90 s ago":
			at := now.Add(-90 * time.Second)
			v.Watermark = &at
		case "ahead of the clock":
			at := now.Add(time.Second)
			v.Watermark = &at
		}
		r := prometheus.NewRegistry()
		r.MustRegister(New(func() view.View { return v }))
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range families {
			if f.GetName() == "sluice_watermark_lag_seconds" {
				got = fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue())
			}
		}
		if got != want {
			t.Errorf("%s: the lag is %q, want %q", name, got, want)
		}
	}
}
