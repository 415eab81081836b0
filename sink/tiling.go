package sink

import (
	"fmt"
	"iter"

	"sluice/shard"
)

// tiling walks windows, oldest first, and returns how far they tile a span, without gap and overlap, and whether they do so to its
// end. A shard that is gone from the ledger falls short in no count.
func tiling(span shard.Window, windows iter.Seq[shard.Window]) (edge shard.Instant, whole bool) {
	edge = span.Start
	for w := range windows {
		if w.Start != edge {
			return edge, false
		}
		edge = w.End
	}
	return edge, edge == span.End
}

// Tiled makes sure that the windows of a round, oldest first, tile its span.
func Tiled(span shard.Window, round []shard.Checkpoint) error {
	edge, whole := tiling(span, func(yield func(shard.Window) bool) {
		for i := range round {
			if !yield(round[i].Window) {
				return
			}
		}
	})
	if !whole {
		return fmt.Errorf("the round has no shard for what comes after %s: rows of ingestion_shards are gone", edge)
	}
	return nil
}

// judgeTiling makes sure that the windows of round 1 tile the span of the job.
func (v *Verdict) judgeTiling(a *Audit) {
	edge, whole := tiling(a.Span, func(yield func(shard.Window) bool) {
		for i := range a.Windows {
			if !yield(a.Windows[i].Window) {
				return
			}
		}
	})
	if !whole {
		v.find("the ledger has no shard for what comes after %s: rows of ingestion_shards are gone; another --job walks the span anew", edge)
	}
}
