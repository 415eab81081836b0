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
}

// Verify compares the rows of every window with what its shard counted, and all of them with what the source counts now, if
// Config.Connect is set. It works beside a run. With repair it takes the job first, as a run does, and reopens incomplete windows;
// the next Load walks them again. It uses Name, SourceName, Store, Connect and Run of the configuration.
func Verify(ctx context.Context, config Config, repair bool) (v Verification) {
	config = config.withDefaults()
	if v.TotalNow, v.TotalErr = askTotal(ctx, config); isRefusal(v.TotalErr) {
		v.Verdict = unstarted(ctx, v.TotalErr)
		return v
	}
	work := func(ctx context.Context) error { return v.run(ctx, config, repair) }
	var err error
	if repair {
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

func (v *Verification) run(ctx context.Context, config Config, repair bool) error {
	job, found, err := config.Store.Job(ctx, config.Name)
	if err == nil && !found {
		err = misuse("", ErrNoJob)
	}
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
	figures, err := config.Store.AuditByDay(ctx, job.ID)
	if err != nil {
		return err
	}
	v.Audit, v.Judged = &figures, audit.Judge(figures, job.APITotal, v.TotalNow)
	if repair && len(v.Judged.Reopen) > 0 {
		if err := v.reopen(ctx, config.Store, job); err != nil {
			return err
		}
	}
	v.Verdict = judged(&figures, v.Judged)
	return nil
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

// reopen opens the windows that fall short. The table is judged once more, in the transaction that opens them.
func (v *Verification) reopen(ctx context.Context, store ledger.Store, job *ledger.Job) error {
	// In this order: a job that still counts as verified would not look at windows that are open again.
	if err := store.SetVerdict(ctx, job.ID, v.Judged.Summary(), false); err != nil {
		return err
	}
	return store.Reopen(ctx, job.ID, func(a ledger.Audit) ledger.Reopening {
		r := audit.Recount(&a, audit.Judge(a, v.TotalStart, v.TotalNow).Reopen)
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
