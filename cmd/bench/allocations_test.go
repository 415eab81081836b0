package main

import "testing"

func TestGauge(t *testing.T) {
	text := []byte("# TYPE go_memstats_mallocs_total counter\ngo_memstats_mallocs_total 1.25e+06\ngo_memstats_mallocs 7\n")
	if v, ok := gauge(text, "go_memstats_mallocs_total"); v != 1_250_000 || !ok {
		t.Errorf("got %v, %v", v, ok)
	}
	if v, ok := gauge(text, "go_memstats"); ok {
		t.Errorf("got %v of a metric that is not there", v)
	}
}
