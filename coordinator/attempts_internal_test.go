package coordinator

import (
	"context"
	"errors"
	"iter"
	"testing"

	"sluice/shard"
)

// pages is a source of n empty pages, and of a panic after them.
type pages int

func (n pages) Pages(context.Context, shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		for range n {
			if !yield(shard.Page{}, nil) {
				return
			}
		}
		panic("out of pages")
	}
}

func TestAPanicOfTheSourceComesAfterItsPages(t *testing.T) {
	read := 0
	err := guard(func() error {
		for range (shardSource{Source: pages(3)}).Pages(t.Context(), shard.Position{}) {
			read++
		}
		return nil
	})
	var caught *PanicError
	if read != 3 || !errors.As(err, &caught) || caught.Recovered.Value != "out of pages" {
		t.Errorf("%d pages, then %v", read, err)
	}
}

func TestTheReaderMayStop(t *testing.T) {
	read := 0
	for range (shardSource{Source: pages(3)}).Pages(t.Context(), shard.Position{}) {
		if read++; read == 2 {
			break
		}
	}
	if read != 2 {
		t.Errorf("%d pages", read)
	}
}

func TestAPanicOfTheReaderIsItsOwn(t *testing.T) {
	err := guard(func() error {
		for range (shardSource{Source: pages(3)}).Pages(t.Context(), shard.Position{}) {
			panic("the reader's own")
		}
		return nil
	})
	var caught *PanicError
	if !errors.As(err, &caught) || caught.Recovered.Value != "the reader's own" {
		t.Errorf("caught %v", err)
	}
}
