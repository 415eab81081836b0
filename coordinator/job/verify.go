package job

import (
	"context"
	"errors"
	"fmt"

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
// Config.Connect is set. It works beside a run. With repair it reopens incomplete windows, which needs the job's lock, and the
// next Load walks them again. It uses Name, SourceName, Store, Connect and Run of the configuration.
func Verify(ctx context.Context, config Config, repair bool) (v Verification) {
	config = config.withDefaults()
	job, found, err := config.Store.Job(ctx, config.Name)
	if err == nil && !found {
		err = misuse("", ErrNoJob)
	}
	if err != nil {
		return Verification{Verdict: unstarted(ctx, err)}
	}
	v.TotalStart = job.APITotal
	if v.TotalNow, v.TotalErr = askTotal(ctx, config); isRefusal(v.TotalErr) {
		v.Verdict = unstarted(ctx, v.TotalErr)
		return v
	}
	findings, err := config.Store.Examine(ctx)
	if err != nil {
		v.Verdict = unstarted(ctx, err)
		return v
	}
	if f, unfit := firstUnfit(findings); unfit {
		v.Verdict = Verdict{Status: Doubt, Hint: f.Hint, Err: &explained{fmt.Sprintf("the data are in doubt: %s: %s", f.Name, f.Detail), ErrTables}}
		v.Text = v.Err.Error()
		return v
	}
	figures, err := config.Store.AuditByDay(ctx, job.ID)
	if err != nil {
		v.Verdict = unstarted(ctx, err)
		return v
	}
	v.Audit, v.Judged = &figures, audit.Judge(figures, job.APITotal, v.TotalNow)
	if repair && len(v.Judged.Reopen) > 0 {
		if err := reopen(ctx, config.Store, job, v.Judged); err != nil {
			return Verification{Verdict: unstarted(ctx, err)}
		}
		v.Reopened = len(v.Judged.Reopen)
	}
	v.Verdict = judged(&figures, v.Judged)
	return v
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

// reopen makes the windows that fall short suspect. It needs the job for itself, as a run does.
func reopen(ctx context.Context, store ledger.Store, job *ledger.Job, v audit.Verdict) error {
	lock, err := store.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close(ctx)
	// In this order: a job that still counts as verified would not look at windows that are open again.
	if err := store.SetVerdict(ctx, job.ID, v.Summary(), false); err != nil {
		return err
	}
	return store.Reopen(ctx, v.Reopen)
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
