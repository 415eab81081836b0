package job

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// A source may delete its oldest events while they are read, and grow at the newer end meanwhile. Then its total at the start counts
// events that it never showed, and its total at the end none of those that are stored and deleted since.

// forgotten reports whether that explains what a check found about the totals.
func (j *Job) forgotten(ctx context.Context, figures *ledger.Audit, judged *audit.Verdict, atEnd int64) (bool, error) {
	accounted := j.job.APITotal - judged.Missing
	switch {
	case atEnd <= 0:
		return false, nil
	case judged.Missing > 0 && judged.Excess == 0 && accounted >= atEnd:
		return true, nil
	case j.source == nil:
		return false, nil
	case judged.Excess > 0:
		return j.oldestIsGone(ctx, figures)
	}
	return j.showsNoMore(ctx, accounted)
}

// oldestIsGone reports whether the source shows the oldest event no more that a walk has read.
func (j *Job) oldestIsGone(ctx context.Context, figures *ledger.Audit) (bool, error) {
	all := begun(windowsOf(figures))
	if len(all) == 0 || !j.source.Windows() {
		return false, nil
	}
	oldest := all[0].Resume
	page, err := (&recognizer{source: j.source}).lookBelow(ctx, oldest.At.Add(time.Millisecond))
	if err != nil {
		return false, context.Cause(ctx)
	}
	return !slices.Contains(page, oldest), nil
}

// mostUnread is how many of the newest pages may hold nothing but what came since they were read.
const mostUnread = 20

// showsNoMore reports whether the source has no more events now than are accounted for, but for those that are newer than all that was
// read. Answer and total are of the same moment. What is missing below them is not excused: the source shows it.
func (j *Job) showsNoMore(ctx context.Context, accounted int64) (bool, error) {
	unread, pages := 0, 0
	for p, err := range j.source.Pages(ctx, shard.Position{End: shard.Future}) {
		if err != nil {
			return false, context.Cause(ctx)
		}
		ids := make([]uuid.UUID, 0, len(p.Events))
		for i := range p.Events {
			ids = append(ids, p.Events[i].ID)
		}
		known, err := j.store.Known(ctx, ids)
		if err != nil {
			return false, err
		}
		first := slices.IndexFunc(ids, func(id uuid.UUID) bool { return slices.Contains(known, id) })
		if first < 0 {
			first = len(ids)
		}
		if unread += first; len(known) > 0 {
			total, ok := j.source.Total()
			return ok && accounted >= total-int64(unread), nil
		}
		if pages++; pages == mostUnread {
			break
		}
	}
	return false, nil
}
