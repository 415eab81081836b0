package datasync

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/shard"
)

// A refusal whose body did not come to its end was heard of only when the body was given up, 15 s later. Until then the other
// fetchers went on asking, against the Retry-After in its headers. The simulation found it.
func TestRefusalWithoutItsBodyStopsAll(t *testing.T) {
	var asked []time.Time
	var mu sync.Mutex
	refuse := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, time.Now())
		mu.Unlock()
		w.Header().Set("Retry-After", "30")
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	play(t, scene{answer: refuse, caps: listOnly}, func(w *world) {
		var fetchers sync.WaitGroup
		for range 3 {
			fetchers.Go(func() {
				ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
				defer cancel()
				_, _ = w.walkWith(ctx, shard.Position{End: shard.Future}, 1)
			})
			time.Sleep(time.Second) // not all at once, or they would be on their way already
		}
		fetchers.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(asked) != 1 {
			w.t.Errorf("the API was asked %d times, at %v", len(asked), asked)
		}
	})
}
