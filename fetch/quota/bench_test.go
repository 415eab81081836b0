package quota

import (
	"testing"
	"time"
)

// BenchmarkPacer is what a request costs beside the request, where nothing is paced: Take and Observe.
func BenchmarkPacer(b *testing.B) {
	p := newTestPacer(b, both(Limit{N: Unlimited}, Limit{N: Unlimited}))
	b.ReportAllocs()
	for b.Loop() {
		call, err := p.Take(b.Context(), simBoth)
		if err != nil {
			b.Fatal(err)
		}
		p.Observe(call, Answer{})
	}
}

// BenchmarkQuota is the same for a quota as the stream's, with a full log, on a clock that always shows a free slot.
func BenchmarkQuota(b *testing.B) {
	q, now := newQuota(Spec{"stream", Limit{50, time.Minute}, false}), at(0)
	b.ReportAllocs()
	for b.Loop() {
		var r *quotaRequest
		r, now = takeWhenFree(q, now)
		q.observe(now, r, Answer{})
	}
}
