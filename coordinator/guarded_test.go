package coordinator

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/sourcegraph/conc/panics"

	"sluice/shard"
)

// pages is a source of so many empty pages, and of a panic after them.
type pages int

func (n pages) Pages(context.Context, shard.Place) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		for range n {
			if !yield(shard.Page{}, nil) {
				return
			}
		}
		panic("out of pages")
	}
}

func TestGuardedYieldsThePanicLast(t *testing.T) {
	read := 0
	var last error
	for _, err := range (guarded{Source: pages(3)}).Pages(t.Context(), shard.Place{}) {
		read, last = read+1, err
	}
	var caught *PanicError
	if read != 4 || !errors.As(last, &caught) {
		t.Errorf("%d pages, then %v", read, last)
	}
}

func TestGuardedLetsTheReaderLeave(t *testing.T) {
	read := 0
	for range (guarded{Source: pages(3)}).Pages(t.Context(), shard.Place{}) {
		if read++; read == 2 {
			break
		}
	}
	if read != 2 {
		t.Errorf("%d pages", read)
	}
}

func TestGuardedLeavesTheReadersPanicAlone(t *testing.T) {
	caught := panics.Try(func() {
		for range (guarded{Source: pages(3)}).Pages(t.Context(), shard.Place{}) {
			panic("the reader's own")
		}
	})
	inner, ok := caught.Value.(*panics.Recovered)
	if !ok || inner.Value != "the reader's own" {
		t.Errorf("caught %v", caught.Value)
	}
}
