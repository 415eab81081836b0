package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// A source is the one that a job began with if it still shows what the job has read of it. It may have grown, and it may have lost
// its oldest events.

const (
	fewestKnown = 4   // events of a page that must have been read before; fewer are no evidence
	mostAsked   = 200 // events of a page whose ids are looked up
)

// recognizer compares pages of a source with what is stored.
type recognizer struct {
	store        ledger.Store
	source       shard.Source
	same, other  int // pages that are of the job's source, and of another one
	known, asked int // events of the last one of another
	strange      strangeness
}

// strangeness is the detail of a doubt about the source.
type strangeness struct {
	Ends  []shard.Instant `json:"ends"`  // pages below them were of another source: that they are known again lifts the doubt
	Mixed bool            `json:"mixed"` // the first load has read both
}

// compare looks up the events of a page that lie in what was read before. Of another source's nearly none are stored; of the same
// one's those that came late are not.
func (r *recognizer) compare(ctx context.Context, page []shard.Key, read func(shard.Instant) bool) error {
	var ids []uuid.UUID
	var newest shard.Instant
	for _, k := range page {
		if read(k.At) && len(ids) < mostAsked {
			ids, newest = append(ids, k.ID), max(newest, k.At)
		}
	}
	if len(ids) < fewestKnown {
		return nil
	}
	known, err := r.store.Known(ctx, ids)
	switch {
	case err != nil:
	case 4*len(known) >= len(ids):
		r.same++
	default:
		r.other, r.known, r.asked = r.other+1, len(known), len(ids)
		r.strange.Ends = append(r.strange.Ends, newest.Add(time.Millisecond))
	}
	return err
}

// compareBelow compares the page of what is older than an instant.
func (r *recognizer) compareBelow(ctx context.Context, end shard.Instant, read func(shard.Instant) bool) error {
	page, err := r.lookBelow(ctx, end)
	if err != nil {
		return err
	}
	return r.compare(ctx, page, read)
}

// lookBelow asks for the page of what is older than an instant. A source that fails gives no evidence.
func (r *recognizer) lookBelow(ctx context.Context, end shard.Instant) (page []shard.Key, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("no answer about the source within 5 minutes"))
	defer cancel()
	for p, err := range r.source.Pages(ctx, shard.Position{End: end}) {
		if err != nil {
			return nil, err
		}
		for i := range p.Events {
			page = append(page, p.Events[i].Key())
		}
		if p.Rest == 0 {
			break
		}
	}
	return page, nil
}

// readBefore returns whether an instant lies in what the shards have read; what is newer than newest may have come since.
func readBefore(all []shard.Checkpoint, newest shard.Instant) func(shard.Instant) bool {
	return func(at shard.Instant) bool {
		return at <= newest && slices.ContainsFunc(all, func(c shard.Checkpoint) bool {
			return c.Window.Contains(at) && (c.State == shard.Done || !c.Resume.IsZero() && at > c.Resume.At)
		})
	}
}

// newerEnds looks at the newer ends of the oldest and of the newest window that the first load has begun to read: what it read first.
func (r *recognizer) newerEnds(ctx context.Context, all []shard.Checkpoint, newest shard.Instant) error {
	if newest == 0 && len(all) > 0 { // not known: the newest window may have grown from its start on
		newest = all[len(all)-1].Window.Start
	}
	begun := begun(all)
	if len(begun) == 0 || !newest.Finite() {
		return nil
	}
	for _, n := range slices.Compact([]int{0, len(begun) - 1}) {
		if err := r.compareBelow(ctx, min(begun[n].Window.End, newest.Add(time.Millisecond)), readBefore(all, newest)); err != nil {
			return err
		}
	}
	return nil
}

// resumePoint looks for a record after which a shard resumes. A source that has it is the same, and the rows are gone.
func (r *recognizer) resumePoint(ctx context.Context, all []shard.Checkpoint) error {
	begun := begun(all)
	one := begun[len(begun)/2]
	page, err := r.lookBelow(ctx, one.Resume.At.Add(time.Millisecond))
	if slices.Contains(page, one.Resume) {
		r.same++
	}
	return err
}

func begun(all []shard.Checkpoint) []shard.Checkpoint {
	return slices.DeleteFunc(slices.Clone(all), func(c shard.Checkpoint) bool { return c.Resume.IsZero() })
}

// recognize keeps what looks at the source showed.
func (j *Job) recognize(ctx context.Context, r *recognizer, other bool) error {
	if !other {
		return nil
	}
	detail, err := json.Marshal(r.strange)
	if err != nil {
		return err
	}
	return j.raise(ctx, ledger.Doubt{
		Kind: ledger.DoubtSource, Amount: int64(r.asked - r.known), Detail: detail,
		Reason: fmt.Sprintf("the source shows other events than before: of %d in what was read already, %d are stored", r.asked, r.known),
	})
}

// stranger looks whether the source is still another one, if it was. Everything is read once more if the first load has read both.
func (j *Job) stranger(ctx context.Context) (other bool, err error) {
	d := ledger.OpenDoubt(j.doubts, ledger.DoubtSource)
	if d == nil {
		return false, nil
	}
	var strange strangeness
	if err := json.Unmarshal(d.Detail, &strange); err != nil {
		return true, err
	}
	r := &recognizer{store: j.store, source: j.source}
	for _, end := range strange.Ends {
		if err := r.compareBelow(ctx, end, j.job.Span.Contains); err != nil {
			return true, err
		}
	}
	if r.other > 0 || r.same == 0 {
		return true, nil
	}
	if strange.Mixed {
		if j.lock == nil { // a look: what it needs is a run
			return true, nil
		}
		if err := j.reopenAll(ctx); err != nil {
			return true, err
		}
	}
	return false, j.lift(ctx, ledger.DoubtSource, ledger.ByEvidence)
}

// lookAtSource looks whether the source is the one that the first load has read so far: before it goes on, and before it is judged,
// which must not take the data of two sources for those of one. A source that fails gives no evidence.
func (j *Job) lookAtSource(ctx context.Context, all []shard.Checkpoint, toJudge bool) (other bool, err error) {
	last, err := j.store.LastRound(ctx, j.job.ID)
	if err != nil {
		return false, err
	}
	r := &recognizer{store: j.store, source: j.source, strange: strangeness{Mixed: toJudge}}
	err = r.newerEnds(ctx, all, last.Newest)
	if other = r.other > 0 && (toJudge || r.same == 0); other && !toJudge && err == nil {
		err = r.resumePoint(ctx, all)
		other = r.same == 0
	}
	if err != nil {
		j.config.Log.Info("not checked", "why", fmt.Sprintf("whether the source is still the same: %v", err))
		return false, context.Cause(ctx)
	}
	return other, j.recognize(ctx, r, other)
}

// lookAtNewest looks whether the newest page is of the source that the rounds before have read. One that shows too little of that, or
// that is of another one, is followed by a look below the lookback.
func (j *Job) lookAtNewest(ctx context.Context, latest *shard.Latest) (other bool, err error) {
	if j.job.Watermark == 0 || ledger.OpenDoubt(j.doubts, ledger.DoubtTable) != nil {
		return false, nil
	}
	read := func(at shard.Instant) bool { return at <= j.job.Watermark && j.job.Span.Contains(at) }
	r := &recognizer{store: j.store, source: j.source}
	if err := r.compare(ctx, latest.Keys, read); err != nil {
		return false, err
	}
	if r.same == 0 && latest.Events > 0 && j.source.Windows() {
		if err := r.compareBelow(ctx, j.job.Watermark.Add(-j.config.Lookback), read); err != nil {
			return false, err
		}
	}
	if r.other == 0 || r.same > 0 {
		return false, nil
	}
	if err := j.lookAtTable(ctx); err != nil || ledger.OpenDoubt(j.doubts, ledger.DoubtTable) != nil {
		return false, err // rows have gone meanwhile, which tells nothing about the source
	}
	return true, j.recognize(ctx, r, true)
}
