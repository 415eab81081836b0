package sink

import (
	"fmt"

	"sluice/shard"
)

// Tiled makes sure that windows, oldest first, tile a span: no gap, no overlap. A shard that is gone from the ledger falls short
// in no count.
func Tiled(span shard.Window, windows []shard.Checkpoint) error {
	edge := span.Start
	for i := range windows {
		w := windows[i].Window
		if w.Start != edge {
			break
		}
		edge = w.End
	}
	if edge != span.End || len(windows) == 0 {
		return fmt.Errorf("the round has no shard for what comes after %s: rows of ingestion_shards are gone", edge)
	}
	return nil
}
