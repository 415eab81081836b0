package job

import (
	"context"
	"fmt"
	"strings"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// Replaying says which dead letters of a job to try again, and with which bytes.
type Replaying struct {
	IDs    []int64 // nil means any
	Reason string  // empty means any
	// Records are the bytes to take instead of the stored ones, by the ids of their dead letters. If there are any, IDs must be
	// those.
	Records map[int64][]byte
	Dry     bool // change nothing
	// Decode makes an event of a record, or says why it is none.
	Decode func(record []byte) (shard.Event, *shard.Reject)
}

// Replayed is what became of the dead letters that were tried again.
type Replayed struct {
	Job     string       `json:"job"`
	DryRun  bool         `json:"dry_run"`
	Stored  int          `json:"stored"`
	Known   int          `json:"known"`   // the table had the same event
	Outside int          `json:"outside"` // not in the job's span
	Before  int          `json:"replayed_before"`
	Left    []LeftLetter `json:"left"`
	Check   string       `json:"verdict,omitempty"` // of the check afterwards
	Unknown []int64      `json:"-"`                 // of the IDs asked for, those that are no dead letter of the job
}

// Settled is how many are dead letters no more.
func (r *Replayed) Settled() int { return r.Stored + r.Known + r.Outside }

// LeftLetter is a dead letter that stays one.
type LeftLetter struct {
	ID     int64  `json:"id"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// Replay decodes dead letters again, and stores the events of those that are sound now, each exactly once, however often it is
// called, killed, or run beside a load. The ledger follows. The table of a job that was verified before is checked, but the job's own
// verdict stays what it is: a run that holds the job may rely on it. It uses Name and Store of the configuration.
//
// Replayed is nil if not all were tried; the same call goes on with the rest.
func Replay(ctx context.Context, config Config, r Replaying) (*Replayed, Verdict) {
	config = config.withDefaults()
	job, err := namedJob(ctx, config)
	if err != nil {
		return nil, unstarted(ctx, err)
	}
	p := &replay{Replaying: r, Replayed: &Replayed{Job: job.Name, DryRun: r.Dry, Left: []LeftLetter{}}, seen: map[int64]bool{}}
	if err := p.run(ctx, config.Store, job); err != nil {
		return nil, Verdict{Status: Left, Text: err.Error(), Err: err}
	}
	for _, id := range r.IDs {
		if !p.seen[id] {
			p.Unknown = append(p.Unknown, id)
		}
	}
	return p.Replayed, p.check(ctx, config.Store, job)
}

type replay struct {
	Replaying
	*Replayed
	seen map[int64]bool
}

// run replays page by page, each in a transaction of its own.
func (p *replay) run(ctx context.Context, store ledger.Store, job *ledger.Job) error {
	const page = 50 // of at most 1 MiB each
	q := ledger.DeadLetterQuery{JobID: job.ID, IDs: p.IDs, Reason: p.Reason, Replayed: p.IDs != nil, Whole: true, Limit: page}
	for {
		letters, err := store.DeadLetters(ctx, q)
		if err != nil || len(letters) == 0 {
			return err
		}
		fates, err := store.Replay(ctx, job, p.decode(letters), p.Dry)
		if err != nil {
			return err
		}
		for _, fate := range fates {
			p.count(fate)
		}
		q.AfterID = letters[len(letters)-1].ID
	}
}

// decode returns the dead letters of a page that are events now, and counts the others.
func (p *replay) decode(letters []ledger.DeadLetter) (retries []ledger.Retry) {
	for i := range letters {
		d := &letters[i]
		p.seen[d.ID] = true
		raw, given := p.Records[d.ID]
		if !given {
			raw = d.Raw
		}
		if !d.ReplayedAt.IsZero() {
			p.count(ledger.Fate{ID: d.ID, Outcome: ledger.Before})
			continue
		}
		e, reject := p.Decode(raw)
		switch {
		case !given && d.RawBytes > int64(len(raw)):
			p.leave(d.ID, d.Reason, fmt.Sprintf("of its %d bytes only the first %d were kept: a smaller record must take its place", d.RawBytes, len(raw)))
		case reject != nil:
			p.leave(d.ID, reject.Reason, reject.Detail)
		case d.EventID != "" && !strings.EqualFold(d.EventID, e.ID.String()):
			p.leave(d.ID, d.Reason, fmt.Sprintf("it is the event %s, and the fixed record is %s", d.EventID, e.ID))
		default:
			retries = append(retries, ledger.Retry{ID: d.ID, Event: e})
		}
	}
	return retries
}

func (p *replay) leave(id int64, reason, detail string) {
	p.Left = append(p.Left, LeftLetter{id, reason, detail})
}

// count adds what became of one.
func (p *replay) count(fate ledger.Fate) {
	switch fate.Outcome {
	case ledger.Stored:
		p.Stored++
	case ledger.Known:
		p.Known++
	case ledger.Outside:
		p.Outside++
	case ledger.Before:
		p.Before++
	default:
		p.leave(fate.ID, string(fate.Outcome), fate.Detail)
	}
}

// check judges the table if something has changed. It writes nothing: the verdict is that of the run that holds the job.
func (p *replay) check(ctx context.Context, store ledger.Store, job *ledger.Job) Verdict {
	if p.Dry || p.Settled() == 0 || !job.Verified() {
		return Verdict{Status: Complete}
	}
	figures, err := store.Audit(ctx, job.ID)
	if err != nil {
		return failed(ctx, err)
	}
	doubts, err := store.Doubts(ctx, job.ID)
	if err != nil {
		return failed(ctx, err)
	}
	v := audit.Judge(figures, 0, 0) // the source's total is not news
	p.Check = v.Summary()
	verdict := judged(&figures, v)
	if found := newDoubts(v); verdict.Status == Doubt && len(found) > 0 {
		verdict.Err = &DoubtError{job.Name, job.Span, found}
	}
	verdict = doubted(verdict, job, doubts)
	if verdict.Status != Complete {
		verdict.Text = "after the replay: " + verdict.Text
	}
	return verdict
}
