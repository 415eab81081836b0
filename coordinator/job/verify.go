package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// Verification is what Verify found.
type Verification struct {
	Verdict
	Audit      *ledger.Audit // nil if it could not be made
	Judged     audit.Verdict
	TotalStart int64 // events that the source counted at the start; 0 if it gave no number
	TotalNow   int64 // 0 if it was not asked, or gave no number
	TotalErr   error // why the source gave none
	Reopened   int   // windows that were reopened
}

// Verifying is what Verify does beside looking.
type Verifying struct {
	Repair bool // reopen incomplete windows, for the next Load
	// Decisions of an operator. They are recorded with their amounts, and every later check takes them into account.
	AcceptForeign bool // rows that no job has stored may stay
	AcceptLost    bool // events that are gone from the table are gone for good
}

// Verify compares the rows of every window with what its shard counted, and all of them with what the source counts now, if
// Config.Connect is set; two more pages show whether the source is still the same. It works beside a run; with Repair it takes the
// job first, as a run does. It uses Name, SourceName, Moved, Store, Connect, IgnoreTotal and Run of the configuration.
func Verify(ctx context.Context, config Config, how Verifying) (v Verification) {
	config = config.withDefaults()
	source, leave, err := v.ask(ctx, config)
	defer leave()
	if err != nil {
		v.Verdict = unstarted(ctx, err)
		return v
	}
	work := func(ctx context.Context) error { return v.run(ctx, config, source, how) }
	if how.Repair {
		err = holding(ctx, config, work)
	} else {
		err = work(ctx)
	}
	if err != nil {
		v.Audit, v.Verdict = nil, unstarted(ctx, err)
	}
	return v
}

// ask connects to the source, if there is one, and asks for its total. After all faults of the source but a refused key, table and
// ledger can still be compared.
func (v *Verification) ask(ctx context.Context, config Config) (source Source, leave func(), err error) {
	leave = func() {}
	if config.Connect == nil {
		return nil, leave, nil
	}
	job, err := namedJob(ctx, config)
	if err != nil {
		return nil, leave, err
	}
	if job.Source != config.SourceName && !config.Moved(job.Source) {
		return nil, leave, misuse("", &SourceError{job.Name, job.Source, config.SourceName})
	}
	if source, v.TotalErr = config.Connect(ctx); v.TotalErr != nil {
		return nil, leave, refusal(v.TotalErr)
	}
	if source.Join(ctx, config.Store, config.SourceName, config.Run) == nil { // older tables keep no quotas
		leave = func() {
			ctx, cancel := lastWrite(ctx)
			defer cancel()
			_ = source.Leave(ctx) // one request more or less
		}
	}
	v.TotalNow, v.TotalErr = source.AskTotal(ctx)
	return source, leave, refusal(v.TotalErr)
}

// refusal returns the error of a key that was refused.
func refusal(err error) error {
	if stop, ok := errors.AsType[*shard.StopError](err); ok && stop.Reason == shard.Refused {
		return err
	}
	return nil
}

// namedJob reads the job that the configuration names.
func namedJob(ctx context.Context, config Config) (*ledger.Job, error) {
	job, found, err := config.Store.Job(ctx, config.Name)
	if err == nil && !found {
		err = misuse("", ErrNoJob)
	}
	return job, err
}

// holding works while this run holds the job.
func holding(ctx context.Context, config Config, work func(context.Context) error) error {
	lock, err := config.Store.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close(ctx)
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var beside sync.WaitGroup
	beside.Go(config.Guard(keepLock(working, lock, stop)))
	err = work(working)
	stop(nil)
	beside.Wait()
	return err
}

func (v *Verification) run(ctx context.Context, config Config, source Source, how Verifying) error {
	job, err := namedJob(ctx, config)
	if err != nil {
		return err
	}
	v.TotalStart = job.APITotal
	findings, err := config.Store.Examine(ctx)
	if err != nil {
		return err
	}
	if f, unfit := firstUnfit(findings); unfit {
		v.Verdict = Verdict{Status: Doubt, Hint: f.Hint, Err: &explained{fmt.Sprintf("the data are in doubt: %s: %s", f.Name, f.Detail), ErrTables}}
		v.Text = v.Err.Error()
		return nil
	}
	j := &Job{config: config, store: config.Store, job: job, source: source}
	if err := v.judge(ctx, j); err != nil {
		return err
	}
	if accepted, err := v.accept(ctx, j, how); err != nil {
		return err
	} else if accepted {
		if err := v.judge(ctx, j); err != nil {
			return err
		}
	}
	open := job.Verified() && slices.ContainsFunc(v.Audit.Windows, func(w ledger.AuditWindow) bool { return w.State != shard.Done })
	if how.Repair && (len(v.Judged.Reopen) > 0 || open) {
		if err := v.reopen(ctx, j); err != nil {
			return err
		}
	}
	found := judged(v.Audit, v.Judged)
	if found.Status != Doubt {
		v.Verdict = j.concede(ctx, found)
		return nil
	}
	v.Verdict = j.concede(ctx, Verdict{Status: Complete})
	if v.Status == Complete {
		v.Verdict = found // no doubt says it
	}
	if !onlyMissing(v.Judged) || v.Reopened > 0 {
		v.Text, v.Findings = found.Text, found.Findings
	}
	return nil
}

// accept records decisions. It needs no lock: the rows of the shards are locked while their counts change, and no window is opened.
func (v *Verification) accept(ctx context.Context, j *Job, how Verifying) (accepted bool, err error) {
	foreign := how.AcceptForeign && v.Judged.Foreign > 0
	if foreign {
		err = j.decide(ctx, ledger.DoubtForeign, v.Judged.Summary(), v.Judged.Foreign, ledger.AcceptForeign)
	}
	if err != nil || !how.AcceptLost || !v.Judged.Short && v.Judged.Lost == 0 {
		return foreign, err
	}
	var lost int64
	err = j.store.Reopen(ctx, j.job.ID, func(a ledger.Audit) (r ledger.Reopening) {
		r, lost = audit.Accept(&a)
		return r
	})
	if err == nil {
		err = j.decide(ctx, ledger.DoubtLost, v.Judged.Summary(), lost, ledger.AcceptLost)
	}
	return true, err
}

// judge counts the table and compares it with the ledger and the source.
func (v *Verification) judge(ctx context.Context, j *Job) error {
	if err := j.recall(ctx); err != nil {
		return err
	}
	table, _, err := j.store.TableState(ctx, j.job.ID)
	if err != nil {
		return err
	}
	figures, err := j.store.AuditByDay(ctx, j.job.ID)
	if err != nil {
		return err
	}
	v.Audit, v.Judged = &figures, audit.Judge(figures, 0, 0)
	if judged(&figures, v.Judged).Status != Left {
		if err := j.weighTable(ctx, v.Judged, ""); err != nil {
			return err
		}
	}
	if v.Judged.OK {
		if err := j.store.KeepTableState(ctx, j.job.ID, table, figures.Windows); err != nil {
			return err
		}
		other, err := j.strange(ctx, &figures)
		if err != nil || other {
			return err
		}
	}
	v.Judged, err = j.weigh(ctx, &figures, v.TotalNow)
	return err
}

// strange reports whether the source is not the one whose data the table has.
func (j *Job) strange(ctx context.Context, figures *ledger.Audit) (bool, error) {
	if j.source == nil {
		return false, nil
	}
	if other, err := j.stranger(ctx); other || err != nil {
		return other, err
	}
	return j.lookAtSource(ctx, windowsOf(figures), false)
}

// reopen opens the windows that fall short. The table is judged once more, in the transaction that opens them.
func (v *Verification) reopen(ctx context.Context, j *Job) error {
	// In this order: a job that still counts as verified would not look at windows that are open again.
	if err := j.store.SetVerdict(ctx, j.job.ID, v.Judged.Summary(), false); err != nil {
		return err
	}
	start, now := v.TotalStart, v.TotalNow
	if !trustsTotal(&j.config, j.doubts) {
		start, now = 0, 0
	}
	return j.store.Reopen(ctx, j.job.ID, func(a ledger.Audit) ledger.Reopening {
		r := audit.Recount(&a, audit.Judge(a, start, now).Reopen)
		for _, s := range r.Shards {
			if s.Walk {
				v.Reopened++
			}
		}
		v.Reopened += len(r.Filled)
		return r
	})
}

// judged is the verdict on an audit. A job that is not finished is not in doubt.
func judged(a *ledger.Audit, v audit.Verdict) Verdict {
	status, text, kind := Doubt, "the data are in doubt: ", ErrCheck
	for i := range a.Windows {
		if w := &a.Windows[i]; w.Proof == "" && a.Gap(w.ID) == nil {
			status, text, kind = Left, "the job is not finished: ", ErrUnfinished
		}
	}
	text += v.Summary()
	if v.OK {
		return Verdict{Status: Complete, Text: v.Summary()}
	}
	return Verdict{Status: status, Text: text, Findings: v.Findings, Err: &explained{text, kind}}
}
