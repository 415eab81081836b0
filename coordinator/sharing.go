package coordinator

import (
	"context"
	"maps"
	"slices"
	"sync"

	"sluice/shard"
)

// leastPages must be expected in every part of a window for it to be split. A split costs about a page: half of one that is
// read across the new edge, and the request that begins the piece. That is a page of a fetcher that would be idle.
const leastPages = 2

// sharing lets idle fetchers take over a part of a window that another one walks.
type sharing struct {
	mu       sync.Mutex
	known    map[int64]bool           // rows of all shards that this run has started
	open     int                      // shards of these that are not finished
	promised int                      // pieces whose commit is under way
	walks    map[int64]walk           // attempts under way
	launch   func([]shard.Checkpoint) // starts pieces in this order; nil if they cannot run side by side
}

// walk is an attempt under way.
type walk struct {
	edge  *shard.Edge
	stats *shard.Stats
}

// begin takes the shards of a run.
func (s *sharing) begin(checkpoints []shard.Checkpoint, launch func([]shard.Checkpoint)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.launch = len(checkpoints), launch
	for i := range checkpoints {
		s.known[checkpoints[i].ID] = true
	}
}

// take takes a piece, and reports whether it had not been taken before.
func (s *sharing) take(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[id] || s.launch == nil {
		return false
	}
	s.known[id] = true
	s.open++
	return true
}

// update changes it.
func (s *sharing) update(change func(*sharing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// requestSplits requests a piece for each fetcher that is idle or nearly done, from the walks with the most left: a piece is cut
// off with the walk's next page, and by then the fetcher needs it. A shard that waits for a fetcher or for its next attempt
// will need one of the idle fetchers. While any fetcher waits for quota nothing is requested: fetchers are not what is scarce.
func (s *sharing) requestSplits(fetchers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := fetchers - s.open - s.promised
	for _, w := range s.walks {
		_, requested := w.edge.Remaining()
		idle -= requested
		if w.edge.NearlyDone() {
			idle++
		}
		if shard.Phase(w.stats.Phase.Load()) == shard.Pacing {
			return
		}
	}
	for ; idle > 0 && s.launch != nil; idle-- {
		edge := s.largest()
		if edge == nil {
			return
		}
		edge.RequestSplit()
	}
}

// largest returns the edge of the window with the most left for each part of it; nil if even that is too little.
func (s *sharing) largest() (edge *shard.Edge) {
	largest := 0.0
	for _, id := range slices.Sorted(maps.Keys(s.walks)) {
		pages, requested := s.walks[id].edge.Remaining()
		parts := float64(requested + 1)
		if pages/parts > largest && pages/(parts+1) >= leastPages {
			edge, largest = s.walks[id].edge, pages/parts
		}
	}
	return edge
}

// adopt starts the pieces that a commit has stored. The ledger says which they are; a piece that cannot be loaded now is found
// when all other shards are done.
func (c *Coordinator) adopt(ctx context.Context) {
	all, err := c.store.Load(ctx)
	if err != nil {
		c.config.Log.Debug("cannot load the pieces of a split window: they start after the other shards", "err", err)
		return
	}
	c.shards.arrange(all)
	pieces := slices.DeleteFunc(all, func(cp shard.Checkpoint) bool { return cp.State == shard.Done || !c.sharing.take(cp.ID) })
	for i := range pieces {
		c.config.Log.Debug("starting a piece of a split window", "shard", pieces[i].Shard, "window", pieces[i].Window)
	}
	if len(pieces) > 0 {
		slices.SortFunc(pieces, shard.NewestFirst)
		c.sharing.launch(pieces)
	}
}
