package sink

import "sluice/shard"

// family is a planned window, as the shard that began it and all that were split from it.
type family []*AuditWindow

// families sorts the windows of an audit by the planned window that they come from.
func families(a *Audit) []family {
	parents := map[int64]int64{}
	for i := range a.Windows {
		parents[a.Windows[i].ID] = a.Windows[i].Parent
	}
	members := map[int64]family{}
	var first []int64
	for i := range a.Windows {
		w := &a.Windows[i]
		root := w.ID
		for parents[root] != 0 {
			root = parents[root]
		}
		if members[root] == nil {
			first = append(first, root)
		}
		members[root] = append(members[root], w)
	}
	all := make([]family, 0, len(first))
	for _, root := range first {
		all = append(all, members[root])
	}
	return all
}

// short returns how many rows are missing from the window; less than 0: more lie in it than must.
func (w *AuditWindow) short() int64 { return w.least() - w.Rows }

// missing returns how many rows the family is short of as a whole.
func (f family) missing() (rows int64) {
	for _, w := range f {
		rows += w.short()
	}
	return rows
}

// judgeFamily compares rows and ledger of a planned window as a whole: a shard may have stored a record whose timestamp is wrong
// before it gave away the part of the window in which that timestamp lies. Only if rows are missing from the whole, those parts
// are named that have too few, and no more rows are taken for gone than are missing.
func (v *Verdict) judgeFamily(f family) {
	missing := f.missing()
	if missing <= 0 {
		return
	}
	for _, w := range f {
		short := w.short()
		if short <= 0 {
			continue
		}
		v.find("shard %d %s stored %d events, but %d rows lie in it", w.Shard, w.Window, w.least(), w.Rows)
		if w.State == shard.Done {
			gone := max(0, min(short, missing))
			v.Reopen = append(v.Reopen, Reopening{w.ID, gone})
			missing -= gone
		}
	}
}
