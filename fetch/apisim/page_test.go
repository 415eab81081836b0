package apisim

import (
	"testing"
	"time"
)

// BenchmarkPage makes a page of 5,000 events: what the simulator costs beside what it serves, in nanoseconds an event.
func BenchmarkPage(b *testing.B) {
	for _, e := range []Endpoint{List, Feed} {
		b.Run(string(e), func(b *testing.B) {
			s, err := New(Config{Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			x := &exchange{Server: s, endpoint: e}
			var body []byte
			for b.Loop() {
				p := x.plan(selection{view: s.data.At(time.Now()), below: 2_000_000, session: anySession}, 5000)
				body = x.appendPage(body[:0], &p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/event")
			b.SetBytes(int64(len(body)))
		})
	}
}

// BenchmarkTruth counts and hashes 100,000 events.
func BenchmarkTruth(b *testing.B) {
	d, err := NewData(Config{Seed: 1, Events: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d.Truth(Past, Future)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/event")
}
