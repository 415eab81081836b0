package coordinator

import (
	"context"
	"maps"
	"slices"
	"sync"

	"sluice/shard"
)

// leastPages must be expected in every part of a window before it is split: a split costs about a page, half of one that is
// read over the new edge, and the request that begins the piece. It is a page of a fetcher that would be idle.
const leastPages = 2

// sharing is what lets idle fetchers have a part of the work of others.
type sharing struct {
	mu       sync.Mutex
	known    map[int64]bool           // rows that this run has taken up
	open     int                      // of them, those that are not finished
	promised int                      // pieces that are on their way into the ledger
	walks    map[int64]walk           // attempts under way
	launch   func([]shard.Checkpoint) // starts the shards of pieces, in this order; nil while none could run
}

// walk is an attempt under way.
type walk struct {
	edge  *shard.Edge
	meter *shard.Stats
}

func newSharing() *sharing { return &sharing{known: map[int64]bool{}, walks: map[int64]walk{}} }

// begin takes up the shards of a run.
func (s *sharing) begin(checkpoints []shard.Checkpoint, launch func([]shard.Checkpoint)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.launch = len(checkpoints), launch
	for i := range checkpoints {
		s.known[checkpoints[i].ID] = true
	}
}

// take takes up a piece, if that has not been done.
func (s *sharing) take(cp *shard.Checkpoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[cp.ID] || s.launch == nil {
		return false
	}
	s.known[cp.ID] = true
	s.open++
	return true
}

func (s *sharing) knows(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[id]
}

// finish notes that a shard needs no fetcher any more.
func (s *sharing) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

func (s *sharing) promise(pieces int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised += pieces
}

func (s *sharing) enter(id int64, w walk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks[id] = w
}

func (s *sharing) leave(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.walks, id)
}

// ask lets fetchers that have no shard, or will soon be through with it, ask those with the most left for a piece each: it is cut
// off with the next page, and by then they need it. A shard that waits for a place, or out a fault, has a fetcher that it will
// need. While somebody waits for the quota, it is not the fetchers that are scarce, and nobody asks.
func (s *sharing) ask(fetchers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := fetchers - s.open - s.promised
	for _, w := range s.walks {
		_, asked := w.edge.Remaining()
		idle -= asked
		if w.edge.NearlyDone() {
			idle++
		}
		if shard.Phase(w.meter.Phase.Load()) == shard.Pacing {
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

// largest returns the edge of the window that has the most left for each part of it; nil where even that is too little.
func (s *sharing) largest() (edge *shard.Edge) {
	most := 0.0
	for _, id := range slices.Sorted(maps.Keys(s.walks)) {
		pages, asked := s.walks[id].edge.Remaining()
		parts := float64(asked + 1)
		if pages/parts > most && pages/(parts+1) >= leastPages {
			edge, most = s.walks[id].edge, pages/parts
		}
	}
	return edge
}

// adopt starts the pieces that a commit wrote down. The ledger says which they are; one that it does not tell now is found when
// all others are done.
func (c *Coordinator) adopt(ctx context.Context) {
	all, err := c.store.Load(ctx)
	if err != nil {
		c.config.Log.Debug("the pieces of a split window wait until the others are done", "err", err)
		return
	}
	c.shards.arrange(all)
	pieces := slices.DeleteFunc(all, func(cp shard.Checkpoint) bool { return cp.State == shard.Done || !c.sharing.take(&cp) })
	for i := range pieces {
		c.config.Log.Debug("a piece of a window that was split", "shard", pieces[i].Shard, "window", pieces[i].Window)
	}
	if len(pieces) > 0 {
		slices.SortFunc(pieces, shard.NewestFirst)
		c.sharing.launch(pieces)
	}
}

// isForgotten tells whether a piece is in the ledger no more: a database that failed over to a standby, which was behind, has
// the window whole again.
func (c *Coordinator) isForgotten(ctx context.Context, cp *shard.Checkpoint) (bool, error) {
	if cp.Parent == 0 {
		return false, nil
	}
	all, err := c.store.Load(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(all, func(r shard.Checkpoint) bool { return r.ID == cp.ID }), nil
}
