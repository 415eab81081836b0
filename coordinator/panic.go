package coordinator

import (
	"context"
	"fmt"
	"iter"

	"github.com/sourcegraph/conc/panics"

	"sluice/shard"
)

// PanicError is a panic inside a shard, with its stack.
type PanicError struct{ Recovered *panics.Recovered }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Recovered.Value) }

// guard returns a panic of f as an error, so that it does not take the other shards along.
func guard(f func() error) (err error) {
	if caught := panics.Try(func() { err = f() }); caught != nil {
		return &PanicError{caught}
	}
	return err
}

// guarded is the source as a shard sees it. The shard reads it in a goroutine of its own, where a panic would end the process.
type guarded struct{ shard.Source }

// Pages yields a panic of the source as the error that ends the walk. A panic of the reader goes on: it is not the source's to
// answer, and a loop that has panicked cannot be told anything.
func (g guarded) Pages(ctx context.Context, from shard.Place) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		away := false // the word is with the reader, or he has left
		caught := panics.Try(func() {
			for page, err := range g.Source.Pages(ctx, from) {
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
