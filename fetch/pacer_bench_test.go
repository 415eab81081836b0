package fetch

import (
	"testing"
	"time"
)

// BenchmarkPacer is what one request costs beside the request: Take and Observe, with nobody waiting.
func BenchmarkPacer(b *testing.B) {
	for _, c := range []struct {
		name   string
		config PacerConfig
	}{
		{"unlimited", PacerConfig{List: Limit{N: Unlimited}, Stream: Limit{N: Unlimited}}},
		{"told", PacerConfig{List: Limit{N: 1 << 30, Window: time.Second}}}, // never full, so never a wait worth the name
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newTestPacer(b, c.config)
			b.ReportAllocs()
			for b.Loop() {
				call, err := p.Take(b.Context(), simBoth)
				if err != nil {
					b.Fatal(err)
				}
				p.Observe(call, Answer{})
			}
		})
	}
}

// BenchmarkQuotaTake is the same for a quota as the stream's, with a full log, on a clock that always shows a free slot.
func BenchmarkQuotaTake(b *testing.B) {
	q, now := newQuota(0, Limit{50, time.Minute}), at(0)
	b.ReportAllocs()
	for b.Loop() {
		r, wait := q.take(now)
		for r == nil {
			now = now.Add(wait)
			r, wait = q.take(now)
		}
		q.observe(now, r, Answer{})
	}
}
