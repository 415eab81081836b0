package shard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A page that turns out larger gets its memory before any other is begun, a second one that does so is dropped, and what is dropped
// is expected to be as large the next time.
func TestPagesThatGrowDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(10_000, 1000) // room for four
		var held [4]int64
		for i := range held {
			held[i], _ = b.take(t.Context())
		}
		next := make(chan int64)
		go func() {
			grant, _ := b.take(t.Context())
			next <- grant
		}()
		synctest.Wait()
		grown := make(chan error)
		go func() { grown <- Reserve(b.extending(t.Context(), &held[0]), 4000) }()
		synctest.Wait()
		var transient *TransientError
		if err := Reserve(b.extending(t.Context(), &held[1]), 4000); !errors.Is(err, errCrowded) || !errors.As(err, &transient) {
			t.Errorf("the second page that grows: %v", err)
		}
		for _, grant := range held[1:] {
			b.give(grant)
		}
		if err := <-grown; err != nil || held[0] != 8000 {
			t.Errorf("the first one holds %d: %v", held[0], err)
		}
		b.give(held[0])
		b.give(<-next)
		if grant, _ := b.take(t.Context()); grant != cost(4000) || grant != 10_000-b.free {
			t.Errorf("a page reserves %d", grant)
		}
	})
}

// A page that stops waiting leaves nothing behind, whatever it waited for. One larger than the budget takes all of it.
func TestABudgetForgetsWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(10_000, 1000)
		held, _ := b.take(t.Context())
		other, _ := b.take(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Reserve(b.extending(ctx, &held), 1<<20) }()
		synctest.Wait()
		go func() {
			_, err := b.take(ctx)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		if one, two := <-ended, <-ended; one == nil || two == nil {
			t.Errorf("they ended with %v and %v", one, two)
		}
		b.give(other)
		if err := Reserve(b.extending(t.Context(), &held), 1<<20); err != nil || held != b.total {
			t.Errorf("it holds %d: %v", held, err)
		}
		if b.give(held); !b.whole() {
			t.Errorf("%d of %d are free", b.free, b.total)
		}
	})
}
