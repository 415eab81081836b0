package coordinator

import (
	"fmt"

	"github.com/sourcegraph/conc/panics"
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
