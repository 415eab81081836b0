package job

import (
	"context"
	"slices"

	"sluice/coordinator/ledger"
)

// witnesses makes sure that the records at the edges of the round's windows, which each shard leaves to its neighbour, are stored. If some
// are not, the windows on both sides are walked once more, with a higher demand on their proofs; a record that is still nowhere then is
// stored from what its witness kept. over reports that the run ends here, with the verdict.
func (j *Job) witnesses(ctx context.Context) (v Verdict, over bool) {
	unmet, err := j.store.Unmet(ctx, j.job.ID, j.job.Round)
	if err != nil {
		return notChecked(ctx, err), true
	}
	if len(unmet) == 0 {
		return Verdict{}, false
	}
	figures, err := j.store.Audit(ctx, j.job.ID)
	if err != nil {
		return notChecked(ctx, err), true
	}
	if other, err := j.mixed(ctx, &figures); other || err != nil { // a second walk would replace what tells the two apart
		return j.ended(ctx, err), true
	}
	var suspects []int64
	for _, u := range unmet {
		for _, id := range []int64{u.Owner, u.Keeper} {
			if id != 0 {
				suspects = append(suspects, id)
			}
		}
	}
	slices.Sort(suspects)
	suspects = slices.Compact(suspects)
	j.config.Log.Warn("records next to a window were left to its neighbour, which has not stored them: both are fetched again",
		"records", len(unmet), "shards", len(suspects), "first", unmet[0].Event.At)
	if err := j.reopen(ctx, func(*ledger.Audit) []int64 { return suspects }); err != nil {
		return notChecked(ctx, err), true
	}
	if v, over := j.walk(ctx); over {
		return v, true
	}
	stored, err := j.store.Adopt(ctx, j.job.ID, j.job.Round)
	if err != nil {
		return notChecked(ctx, err), true
	}
	if stored > 0 {
		j.config.Log.Warn("the source does not show these records in their own window: they are stored from its neighbour", "records", stored)
	}
	return Verdict{}, false
}
