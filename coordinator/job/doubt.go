package job

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// DoubtError: doubts about the job's data are open, whatever this run itself found.
type DoubtError struct {
	Job    string
	Span   shard.Window
	Doubts []ledger.Doubt // the one that counts most first
}

func (e *DoubtError) Error() string {
	text := "the data are in doubt: " + e.Doubts[0].Reason
	if more := len(e.Doubts) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more doubts)", more)
	}
	return text
}

// Is makes a doubt about the number of events an ErrMissing, and every other one an ErrCheck.
func (e *DoubtError) Is(target error) bool {
	if e.Doubts[0].Kind == ledger.DoubtMissing {
		return target == ErrMissing
	}
	return target == ErrCheck
}

// weightOf says which doubt is to be looked at first: as long as it is open, the others may be its consequences.
var weightOf = []ledger.DoubtKind{
	ledger.DoubtSource, ledger.DoubtTable, ledger.DoubtWitness, ledger.DoubtLost, ledger.DoubtForeign, ledger.DoubtMissing,
}

// doubted is the verdict v on a job, unless doubts are open although it is complete.
func doubted(v Verdict, of *ledger.Job, all []ledger.Doubt) Verdict {
	open := openDoubts(all)
	if v.Status != Complete || len(open) == 0 {
		return v
	}
	err := &DoubtError{of.Name, of.Span, open}
	v.Status, v.Text, v.Err = Doubt, err.Error(), err
	for _, d := range open {
		v.Findings = append(v.Findings, d.Reason)
	}
	return v
}

// openDoubts are those that are open, the one that counts most first.
func openDoubts(all []ledger.Doubt) []ledger.Doubt {
	open := slices.DeleteFunc(slices.Clone(all), func(d ledger.Doubt) bool { return !d.Open() })
	slices.SortStableFunc(open, func(a, b ledger.Doubt) int {
		return cmp.Compare(slices.Index(weightOf, a.Kind), slices.Index(weightOf, b.Kind))
	})
	return open
}

// readDoubts reads what is open, and what was decided.
func (j *Job) readDoubts(ctx context.Context) error {
	all, err := j.store.Doubts(ctx, j.job.ID)
	if err == nil {
		j.note(func() { j.doubts = all })
	}
	return err
}

// concede is the verdict v, unless doubts are open although it is complete: those of other commands, too.
func (j *Job) concede(ctx context.Context, v Verdict) Verdict {
	if v.Status != Complete {
		return v
	}
	if err := j.readDoubts(ctx); err != nil {
		return failed(ctx, err)
	}
	return doubted(v, j.job, j.doubts)
}

// raise opens a doubt, or brings the open one of its kind up to date.
func (j *Job) raise(ctx context.Context, d ledger.Doubt) error {
	open := ledger.OpenDoubt(j.doubts, d.Kind)
	if open != nil && open.Reason == d.Reason && string(open.Detail) == string(d.Detail) {
		return nil
	}
	j.config.Log.Warn("the data are in doubt", "kind", d.Kind, "why", d.Reason)
	if err := j.store.Raise(ctx, j.job.ID, d); err != nil {
		return err
	}
	return j.readDoubts(ctx)
}

// lift ends an open doubt.
func (j *Job) lift(ctx context.Context, kind ledger.DoubtKind, by string) error {
	if ledger.OpenDoubt(j.doubts, kind) == nil {
		return nil
	}
	j.config.Log.Info("a doubt is lifted", "kind", kind, "by", by)
	if err := j.store.Lift(ctx, j.job.ID, kind, by); err != nil {
		return err
	}
	return j.readDoubts(ctx)
}

// decide records a doubt that a decision ends in the same moment: either of the two alone would stay for ever.
func (j *Job) decide(ctx context.Context, kind ledger.DoubtKind, reason string, amount int64, by string) error {
	return j.store.Raise(ctx, j.job.ID, ledger.Doubt{Kind: kind, Reason: reason, Amount: amount, LiftedBy: by})
}

// contradicted is the LiftedBy of a DoubtTotal.
const contradicted = "contradicted"

// byIgnoring is the LiftedBy of a doubt about the number of events that ends with [Config.IgnoreTotal].
const byIgnoring = "--ignore-total"

// trustsTotal reports whether the source's total is evidence for a job: not if it was contradicted once, or is to be ignored.
func trustsTotal(config *Config, all []ledger.Doubt) bool {
	return !config.IgnoreTotal && !slices.ContainsFunc(all, func(d ledger.Doubt) bool { return d.Kind == ledger.DoubtTotal })
}

// recall reads the doubts at the beginning of a step. One that rests on a total that is ignored ends, also if the run that found the total
// contradicted was killed before it could lift it.
func (j *Job) recall(ctx context.Context) error {
	err := j.readDoubts(ctx)
	switch {
	case err != nil, trustsTotal(&j.config, j.doubts):
		return err
	case j.config.IgnoreTotal:
		return j.lift(ctx, ledger.DoubtMissing, byIgnoring)
	}
	return j.lift(ctx, ledger.DoubtMissing, contradicted)
}

// distrust records that the source's total was contradicted: it counts no more for this job.
func (j *Job) distrust(ctx context.Context, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	j.config.Log.Warn("the source's total is wrong, and is ignored from now on", "why", why)
	if err := j.decide(ctx, ledger.DoubtTotal, why, 0, contradicted); err != nil {
		return err
	}
	return j.lift(ctx, ledger.DoubtMissing, contradicted)
}

// rereading is the detail of a doubt about the number of events: how often everything was read once more because of it.
type rereading struct {
	Times  int   `json:"times"`
	Open   bool  `json:"open"`   // the last time is not judged yet
	Events int64 `json:"events"` // rows and dead letters when it began, of all windows that have an end
	Newest int64 `json:"newest"` // and of those that have none
	Total  int64 `json:"total"`  // what the source counted before it

	Oldest shard.Instant `json:"oldest"` // how far the reading before it had come
}

// rereadings returns the open doubt about the number of events, and its detail; nil if there is none.
func (j *Job) rereadings() (missing *ledger.Doubt, r rereading) {
	if missing = ledger.OpenDoubt(j.doubts, ledger.DoubtMissing); missing != nil {
		_ = json.Unmarshal(missing.Detail, &r) // whatever cannot be read is as if it never was
	}
	return missing, r
}

// maxRereadings is how often everything is read once more for a total. What is found each time may as well be events that come late.
const maxRereadings = 2

// weigh judges an audit together with the source's totals. They are evidence, not proof: one that is lower than the rows, or that no
// reading of everything reaches, is contradicted, and a shortage is a doubt until then.
func (j *Job) weigh(ctx context.Context, figures *ledger.Audit, atEnd int64) (audit.Verdict, error) {
	alone := audit.Judge(*figures, 0, 0)
	if !trustsTotal(&j.config, j.doubts) {
		return alone, nil
	}
	judged := audit.Judge(*figures, j.job.APITotal, atEnd)
	if !alone.OK {
		return judged, nil
	}
	if judged.Missing > 0 || judged.Excess > 0 {
		forgotten, err := j.forgotten(ctx, figures, &judged, atEnd)
		if err != nil {
			return judged, err
		}
		if forgotten {
			j.config.Log.Warn("the source has forgotten events", "at_the_start", j.job.APITotal, "now", atEnd, "never_shown", judged.Missing,
				"stored_and_gone", judged.Excess)
			return alone, j.lift(ctx, ledger.DoubtMissing, ledger.ByEvidence)
		}
	}
	_, reading := j.rereadings()
	switch {
	case judged.Excess > 0:
		return alone, j.distrust(ctx, "it counts %d events, %d fewer than are stored", atEnd, judged.Excess)
	case !judged.Counted:
		return judged, nil
	case judged.Missing == 0 && reading.Open && reading.foundNothing(windowsOf(figures), atEnd): // nor does it count them now
		return alone, j.distrust(ctx, "it counted events that a second reading of everything did not find")
	case judged.Missing == 0:
		return judged, j.lift(ctx, ledger.DoubtMissing, ledger.ByEvidence)
	case reading.Open && (reading.Times >= maxRereadings || reading.foundNothing(windowsOf(figures), atEnd)):
		return alone, j.distrust(ctx, "it counts %d events more than a second reading of everything found", judged.Missing)
	}
	reading.Open, reading.Total = false, atEnd
	return judged, j.raise(ctx, j.shortage(judged.Missing, reading))
}

// onlyMissing reports whether a check found nothing but that the source counts more events.
func onlyMissing(v audit.Verdict) bool { return v.Missing > 0 && len(v.Findings) == 1 }

// shortage is the doubt about events that the source counts and that nothing accounts for.
func (j *Job) shortage(missing int64, reading rereading) ledger.Doubt {
	detail, _ := json.Marshal(reading)
	return ledger.Doubt{
		Kind: ledger.DoubtMissing, Amount: missing, Detail: detail,
		Reason: fmt.Sprintf("the source counts %s events more than rows and dead letters account for", number(missing)),
	}
}

func windowsOf(a *ledger.Audit) []shard.Checkpoint {
	all := make([]shard.Checkpoint, len(a.Windows))
	for i := range a.Windows {
		all[i] = a.Windows[i].Checkpoint
	}
	return all
}

// foundNothing reports whether reading everything once more brought nothing new, although it came as far as the reading before. A source
// that grows adds to the windows that have no end, whatever was missing there.
func (r *rereading) foundNothing(all []shard.Checkpoint, total int64) bool {
	events, newest := recordsOf(all)
	return events <= r.Events && (newest <= r.Newest || total != r.Total) && oldestRead(all) <= r.Oldest
}

// oldestRead returns the oldest event that the walks have come to.
func oldestRead(all []shard.Checkpoint) shard.Instant {
	oldest := shard.Future
	for i := range all {
		if at := all[i].Resume; !at.IsZero() {
			oldest = min(oldest, at.At)
		}
	}
	return oldest
}

// recordsOf counts the rows and dead letters of the windows that have an end, and of those that have none.
func recordsOf(all []shard.Checkpoint) (events, newest int64) {
	for i := range all {
		if n := all[i].Counts.Events + all[i].Counts.DeadLetters; all[i].Window.End == shard.Future {
			newest += n
		} else {
			events += n
		}
	}
	return events, newest
}

// rereadForTotal opens everything once more if the number of events is in doubt, and the whole first load has been read: either the
// events are found then, or the number is contradicted.
func (j *Job) rereadForTotal(ctx context.Context) error {
	missing, reading := j.rereadings()
	if missing == nil || reading.Open {
		return nil
	}
	all, err := j.store.Load(ctx, j.job.ID)
	if err != nil || slices.ContainsFunc(all, func(c shard.Checkpoint) bool { return c.State != shard.Done }) {
		return err
	}
	j.config.Log.Info("everything is read once more, because the source counts more events", "missing", missing.Amount)
	return j.reopenAll(ctx)
}

// noteRereading keeps in a doubt about the number of events that everything is being read once more, and how far it was read. It follows the reopening: a run
// that ends between the two reads once more for nothing.
func (j *Job) noteRereading(ctx context.Context, oldest shard.Instant) error {
	missing, reading := j.rereadings()
	if missing == nil {
		return nil
	}
	all, err := j.store.Load(ctx, j.job.ID)
	if err != nil {
		return err
	}
	d := *missing
	reading.Times, reading.Open, reading.Oldest = reading.Times+1, true, oldest
	reading.Events, reading.Newest = recordsOf(all)
	d.Detail, _ = json.Marshal(reading)
	return j.raise(ctx, d)
}

// weighTable keeps as doubts what a check found about the rows of the table, with what is known of it.
func (j *Job) weighTable(ctx context.Context, v audit.Verdict, known string) error {
	var errs []error
	for _, d := range tableDoubts(v) {
		if d.Reason != "" {
			d.Reason = known + d.Reason
			errs = append(errs, j.raise(ctx, d))
		} else {
			errs = append(errs, j.lift(ctx, d.Kind, ledger.ByEvidence))
		}
	}
	return errors.Join(errs...)
}

// tableDoubts are the kinds of doubt about the rows of the table; those without a reason are lifted.
func tableDoubts(v audit.Verdict) []ledger.Doubt {
	all := []ledger.Doubt{
		{Kind: ledger.DoubtTable}, {Kind: ledger.DoubtWitness, Amount: v.Unmet}, {Kind: ledger.DoubtForeign, Amount: v.Foreign},
		{Kind: ledger.DoubtLost, Amount: v.Lost},
	}
	for i, open := range []bool{v.Short, v.Unmet > 0, v.Foreign > 0, v.Lost > 0} {
		if open {
			all[i].Reason = v.Summary()
		}
	}
	return all
}

// newDoubts are the doubts about the rows of the table that a check has found.
func newDoubts(v audit.Verdict) []ledger.Doubt {
	return openDoubts(slices.DeleteFunc(tableDoubts(v), func(d ledger.Doubt) bool { return d.Reason == "" }))
}

// lookAtTable compares the table with what it was when it was verified, without reading it. If rows were changed or deleted since,
// or it is another table, they are counted.
func (j *Job) lookAtTable(ctx context.Context) error {
	now, kept, err := j.store.TableState(ctx, j.job.ID)
	if err != nil || now == kept {
		return err
	}
	figures, err := j.store.Audit(ctx, j.job.ID)
	if err != nil {
		return err
	}
	if err := j.weighTable(ctx, audit.Judge(figures, 0, 0), "since it was verified, the table has changed: "); err != nil {
		return err
	}
	return j.store.KeepTableState(ctx, j.job.ID, now, nil)
}
