package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/cmd/sluice/internal/view"
)

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

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func number(n int) string { return strconv.Itoa(n) }
