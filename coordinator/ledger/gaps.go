package ledger

import (
	"cmp"
	"slices"

	"sluice/shard"
)

// Gap is a part of a round that no row of the ledger covers: its row was deleted.
type Gap struct {
	shard.Window
	Round    int
	Finished bool // the round is: nothing walks its windows any more
}

// RoundWindows is what the windows of a round cover.
type RoundWindows struct {
	Round    int
	Finished bool
	Span     shard.Window
	Windows  []shard.Window // in any order
}

// Gaps returns what the windows of a round leave open, the oldest first.
func (r *RoundWindows) Gaps() (all []Gap) {
	windows := slices.SortedFunc(slices.Values(r.Windows), func(a, b shard.Window) int { return cmp.Compare(a.Start, b.Start) })
	edge := r.Span.Start
	for _, w := range append(windows, shard.Window{Start: r.Span.End, End: r.Span.End}) {
		if w.Start > edge && edge < r.Span.End {
			all = append(all, Gap{shard.Window{Start: edge, End: min(w.Start, r.Span.End)}, r.Round, r.Finished})
		}
		edge = max(edge, w.End)
	}
	return all
}

// FillGaps adds to an audit a window for each gap in round 1, and in those of the later rounds that are given: done nothing, proven
// nothing, with a negative ID. A store calls it before it counts the rows of the windows.
func (a *Audit) FillGaps(later []RoundWindows) {
	first := RoundWindows{Round: 1, Span: a.Span}
	for i := range a.Windows {
		first.Windows = append(first.Windows, a.Windows[i].Window)
	}
	for _, gap := range first.Gaps() {
		a.Windows = append(a.Windows, AuditWindow{Checkpoint: a.lost(gap)})
	}
	slices.SortStableFunc(a.Windows, func(x, y AuditWindow) int { return cmp.Compare(x.Window.Start, y.Window.Start) })
	for i := range later {
		for _, gap := range later[i].Gaps() {
			a.Later = append(a.Later, a.lost(gap))
		}
	}
}

// lost notes a gap, and returns the checkpoint that stands for it.
func (a *Audit) lost(gap Gap) shard.Checkpoint {
	a.gaps = append(a.gaps, gap)
	return shard.Checkpoint{ID: -int64(len(a.gaps)), Window: gap.Window, State: shard.Pending}
}

// Gap returns the gap that a shard of the audit stands for; nil if the ledger has its row.
func (a *Audit) Gap(id int64) *Gap {
	if id >= 0 {
		return nil
	}
	return &a.gaps[-id-1]
}

// HasGaps reports whether the ledger has lost rows of shards.
func (a *Audit) HasGaps() bool { return len(a.gaps) > 0 }
