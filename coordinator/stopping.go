package coordinator

import (
	"context"
	"errors"
	"iter"

	"sluice/shard"
)

// stopping is the source as a shard sees it. A shard returns an error only when all that it fetched is committed, which is too
// late for one that stops the run.
type stopping struct {
	shard.Source
	stop context.CancelCauseFunc
}

// Pages stops all fetchers where one of them was told so.
func (s stopping) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		for page, err := range s.Source.Pages(ctx, from) {
			var stop *shard.StopError
			if errors.As(err, &stop) {
				s.stop(err)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}
