package coordinator

import (
	"context"
	"errors"
	"iter"

	"github.com/sourcegraph/conc/panics"

	"sluice/shard"
)

// guarded is the source as a shard sees it. The shard reads it in a goroutine of its own, where a panic would end the process.
// And it returns an error only when all that it fetched is committed, which is too late for one that stops the run.
type guarded struct {
	shard.Source
	stop context.CancelCauseFunc
}

// Pages yields a panic of the source as the error that ends the walk. A panic of the reader goes on: it is not the source's to
// answer, and a loop that has panicked cannot be told anything.
func (g guarded) Pages(ctx context.Context, from shard.Place) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		away := false // the word is with the reader, or he has left
		caught := panics.Try(func() {
			for page, err := range g.Source.Pages(ctx, from) {
				g.listen(err)
				if away = true; !yield(page, err) {
					return
				}
				away = false
			}
		})
		switch {
		case caught != nil && away:
			panic(caught) // prints the stack of where it began
		case caught != nil:
			yield(shard.Page{}, &PanicError{caught})
		}
	}
}

// listen stops all fetchers where one of them was told so.
func (g guarded) listen(err error) {
	var stop *shard.StopError
	if errors.As(err, &stop) {
		g.stop(err)
	}
}
