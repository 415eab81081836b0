package main

import (
	"context"
	"fmt"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard/failpoint"
	"sluice/sink/audit"
)

// check compares table, ledger and source, records the verdict, and names the shards to walk once more.
func (i *ingest) check(ctx context.Context) (verdict, []ledger.Reopening) {
	findings, err := i.db.Examine(ctx)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	if f, unfit := firstFault(findings); unfit {
		return unfitted(f), nil
	}
	figures, err := i.db.Audit(ctx, i.job.ID)
	if err != nil {
		return notChecked(ctx, err), nil
	}
	failpoint.Hit("windows.compared")
	atEnd, err := i.totalNow(ctx)
	if err != nil {
		i.log.Warn("the source did not say how many events it has now", "err", err)
	}
	judged := audit.Judge(figures, i.job.APITotal, atEnd)
	i.logSkipped(judged)
	if err := i.db.SetVerdict(ctx, i.job.ID, judged.Summary(), judged.OK); err != nil {
		return notChecked(ctx, err), nil
	}
	failpoint.Hit("verdict.written")
	if judged.OK {
		return verdict{text: judged.Summary(), findings: judged.Findings}, nil
	}
	return verdict{
		code: exitDoubt, text: "the check failed: " + judged.Summary(), findings: judged.Findings,
		hint: "`sluice verify` shows the figures, `sluice verify --repair` opens what falls short, and a run walks it again",
	}, judged.Reopen
}

// firstFault returns the first finding with which a run must not go on.
func firstFault(findings []ledger.Finding) (ledger.Finding, bool) {
	for _, f := range findings {
		if f.Unfit {
			return f, true
		}
	}
	return ledger.Finding{}, false
}

// unfitted: the tables were changed during the run, so that rows may be spoiled although their number is right.
func unfitted(f ledger.Finding) verdict {
	return verdict{
		code: exitDoubt, text: fmt.Sprintf("the check failed: the database was changed during the run: %s: %s", f.Name, f.Detail),
		hint: "mend it, rows written since may be spoiled: " + f.Hint,
	}
}

// notChecked: everything was read, but a stop or the database kept the check from being made. It is what is left to do.
func notChecked(ctx context.Context, err error) verdict {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return verdict{code: exitLeft, text: "all windows are walked, but the check could not be made: " + err.Error(), hint: resumeHint}
}

func (i *ingest) logSkipped(v audit.Verdict) {
	for _, f := range v.NotApplied {
		i.log.Info("not checked", "why", f)
	}
}

// totalNow returns how many events the source has, by its last answer; a run that asked nothing asks once.
func (i *ingest) totalNow(ctx context.Context) (int64, error) {
	if n, ok := i.client.Total(); ok {
		return n, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("no answer about the total within 2 minutes"))
	defer cancel()
	return i.client.AskTotal(ctx)
}
