package coordinator

import (
	"fmt"
	"testing"

	"sluice/shard"
)

// BenchmarkPlan cuts a month into windows.
func BenchmarkPlan(b *testing.B) {
	span := shard.Window{Start: shard.Past, End: shard.Future}
	for _, shards := range []int{8, 64, 10_000} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if windows := Plan(span, 0, 30*day, shards); len(windows) != shards {
					b.Fatalf("%d windows", len(windows))
				}
			}
		})
	}
}
