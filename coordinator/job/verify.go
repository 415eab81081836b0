package job

import (
	"context"
	"errors"
	"fmt"
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

	start, now int64 // the totals, if they are trusted
}

// Verifying is what Verify does beside looking.
type Verifying struct {
	Repair bool // reopen incomplete windows, for the next Load
	// Decisions of an operator. They are recorded with their amounts, and every later check takes them into account.
	AcceptForeign bool // rows that nobody stored may stay
	AcceptLost    bool // events that are gone from the table are gone for good
}

// Verify compares the rows of every window with what its shard counted, and all of them with what the source counts now, if
// Config.Connect is set. It works beside a run; with Repair it takes the job first, as a run does. It uses Name, SourceName, Store,
// Connect, IgnoreTotal and Run of the configuration.
func Verify(ctx context.Context, config Config, how Verifying) (v Verification) {
	config = config.withDefaults()
	if v.TotalNow, v.TotalErr = askTotal(ctx, config); isRefusal(v.TotalErr) {
		v.Verdict = unstarted(ctx, v.TotalErr)
		return v
	}
	work := func(ctx context.Context) error { return v.run(ctx, &config, how) }
	var err error
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

func (v *Verification) run(ctx context.Context, config *Config, how Verifying) error {
	store := config.Store
	job, found, err := store.Job(ctx, config.Name)
	if err == nil && !found {
		err = misuse("", ErrNoJob)
	}
	if err != nil {
		return err
	}
	v.TotalStart = job.APITotal
	findings, err := store.Examine(ctx)
	if err != nil {
		return err
	}
	if f, unfit := firstUnfit(findings); unfit {
		v.Verdict = Verdict{Status: Doubt, Hint: f.Hint, Err: &explained{fmt.Sprintf("the data are in doubt: %s: %s", f.Name, f.Detail), ErrTables}}
		v.Text = v.Err.Error()
		return nil
	}
	if err := v.look(ctx, config, job); err != nil {
		return err
	}
	if how.AcceptForeign || how.AcceptLost {
		if err := v.accept(ctx, store, job, how); err != nil {
			return err
		}
		if err := v.look(ctx, config, job); err != nil {
			return err
		}
	}
	if how.Repair {
		if err := v.repair(ctx, store, job); err != nil {
			return err
		}
	}
	doubts, err := store.Doubts(ctx, job.ID)
	if err != nil {
		return err
	}
	v.Verdict = judged(v.Audit, v.Judged)
	switch v.Status {
	case Complete:
		v.Verdict = doubted(v.Verdict, job, doubts)
	case Doubt:
		found := v.found()
		text, findings := v.Text, v.Findings
		v.Verdict = doubted(Verdict{}, job, append(found, doubts...))
		v.Text, v.Findings = text, findings
	}
	return nil
}

// found is what the audit found, as doubts.
func (v *Verification) found() (all []ledger.Doubt) {
	for _, d := range append(tableDoubts(v.Judged), ledger.Doubt{Kind: ledger.DoubtMissing, Amount: v.Judged.Missing}) {
		if d.Kind == ledger.DoubtMissing && d.Amount > 0 {
			d.Reason = v.Judged.Summary()
		}
		if d.Reason != "" {
			all = append(all, d)
		}
	}
	return all
}

// look audits the job.
func (v *Verification) look(ctx context.Context, config *Config, job *ledger.Job) error {
	figures, err := config.Store.AuditByDay(ctx, job.ID)
	if err != nil {
		return err
	}
	doubts, err := config.Store.Doubts(ctx, job.ID)
	if err != nil {
		return err
	}
	v.Audit = &figures
	if v.start, v.now = v.TotalStart, v.TotalNow; !trustsTotal(config, doubts) {
		v.start, v.now = 0, 0
	}
	if v.Judged = audit.Judge(figures, v.start, v.now); v.Judged.Excess > 0 { // a source may forget
		why := fmt.Sprintf("the source's total at the end, %d: it is less than what is stored", v.now)
		v.now, v.Judged = 0, audit.Judge(figures, v.start, 0)
		v.Judged.NotApplied = append(v.Judged.NotApplied, why)
	}
	return nil
}

// accept records decisions. It needs no lock: the rows of the shards are locked while their counts change, and no window is opened.
func (v *Verification) accept(ctx context.Context, store ledger.Store, job *ledger.Job, how Verifying) error {
	if how.AcceptForeign && v.Judged.Foreign > 0 {
		if err := decide(ctx, store, job, ledger.DoubtForeign, v.Judged, v.Judged.Foreign, ledger.AcceptForeign); err != nil {
			return err
		}
	}
	if !how.AcceptLost || !v.Judged.Short && v.Judged.Lost == 0 {
		return nil
	}
	var lost int64
	err := store.Reopen(ctx, job.ID, func(a ledger.Audit) (r ledger.Reopening) {
		r, lost = audit.Accept(&a)
		return r
	})
	if err == nil {
		err = decide(ctx, store, job, ledger.DoubtLost, v.Judged, lost, ledger.AcceptLost)
	}
	if err == nil {
		err = store.Lift(ctx, job.ID, ledger.DoubtTable, ledger.ByEvidence) // that of the rows, as they are counted now
	}
	return err
}

func decide(ctx context.Context, store ledger.Store, job *ledger.Job, kind ledger.DoubtKind, v audit.Verdict, amount int64, by string) error {
	if err := store.Raise(ctx, job.ID, ledger.Doubt{Kind: kind, Reason: v.Summary(), Amount: amount}); err != nil {
		return err
	}
	return store.Lift(ctx, job.ID, kind, by)
}

// isRefusal reports whether the key was refused. After all other faults of the source, table and ledger can still be compared.
func isRefusal(err error) bool {
	var stop *shard.StopError
	return errors.As(err, &stop) && stop.Reason == shard.Refused
}

func askTotal(ctx context.Context, config Config) (int64, error) {
	if config.Connect == nil {
		return 0, nil
	}
	source, err := config.Connect(ctx)
	if err != nil {
		return 0, err
	}
	if source.Join(ctx, config.Store, config.SourceName, config.Run) == nil { // older tables keep no quotas
		defer func() {
			ctx, cancel := lastWrite(ctx)
			defer cancel()
			_ = source.Leave(ctx) // one request more or less
		}()
	}
	return source.AskTotal(ctx)
}

// repair opens the windows that fall short, and lifts the doubts about the table that the audit does not share. The table is judged once
// more, in the transaction that opens them.
func (v *Verification) repair(ctx context.Context, store ledger.Store, job *ledger.Job) error {
	for _, d := range tableDoubts(v.Judged) {
		if d.Reason == "" {
			if err := store.Lift(ctx, job.ID, d.Kind, ledger.ByEvidence); err != nil {
				return err
			}
		}
	}
	if len(v.Judged.Reopen) == 0 {
		return nil
	}
	// In this order: a job that still counts as verified would not look at windows that are open again.
	if err := store.SetVerdict(ctx, job.ID, v.Judged.Summary(), false); err != nil {
		return err
	}
	return store.Reopen(ctx, job.ID, func(a ledger.Audit) ledger.Reopening {
		r := audit.Recount(&a, audit.Judge(a, v.start, v.now).Reopen)
		for _, s := range r.Shards {
			if s.Walk {
				v.Reopened++
			}
		}
		return r
	})
}

// judged is the verdict on an audit. A job that is not finished is not in doubt.
func judged(a *ledger.Audit, v audit.Verdict) Verdict {
	status, text, kind := Doubt, "the data are in doubt: ", ErrCheck
	for i := range a.Windows {
		if a.Windows[i].Proof == "" {
			status, text, kind = Left, "the job is not finished: ", ErrUnfinished
		}
	}
	text += v.Summary()
	if v.OK {
		return Verdict{Text: v.Summary()}
	}
	return Verdict{Status: status, Text: text, Findings: v.Findings, Err: &explained{text, kind}}
}
