package main

import (
	"fmt"
	"strings"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/fetch/decode"
)

// replayed is what `sluice dead-letters replay --json` prints.
type replayed struct {
	Job     string       `json:"job"`
	DryRun  bool         `json:"dry_run"`
	Stored  int          `json:"stored"`
	Known   int          `json:"known"`   // the table had the same event
	Outside int          `json:"outside"` // not in the job's span
	Before  int          `json:"replayed_before"`
	Left    []leftLetter `json:"left"`
	Verdict string       `json:"verdict,omitempty"` // of the check afterwards

	mended map[int64][]byte
	seen   map[int64]bool
}

// leftLetter is a dead letter that stays one.
type leftLetter struct {
	ID     int64  `json:"id"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// over returns how many are dead letters no more.
func (all *replayed) over() int { return all.Stored + all.Known + all.Outside }

// decode returns those of a page of dead letters that are events now, and counts the others.
func (all *replayed) decode(letters []ledger.DeadLetter) (retries []ledger.Retry) {
	for i := range letters {
		d := &letters[i]
		all.seen[d.ID] = true
		raw, isMended := all.mended[d.ID]
		if !isMended {
			raw = d.Raw
		}
		if !d.ReplayedAt.IsZero() {
			all.count(ledger.Fate{ID: d.ID, Outcome: ledger.Before})
			continue
		}
		e, reject := decode.Record(raw)
		switch {
		case !isMended && d.RawBytes > int64(len(raw)):
			all.leave(d.ID, d.Reason, fmt.Sprintf("of its %d bytes only the first %d were kept: --from-file takes a smaller record", d.RawBytes, len(raw)))
		case reject != nil:
			all.leave(d.ID, reject.Reason, reject.Detail)
		case d.EventID != "" && !strings.EqualFold(d.EventID, e.ID.String()):
			all.leave(d.ID, d.Reason, fmt.Sprintf("it is the event %s, and the mended record is %s", d.EventID, e.ID))
		default:
			retries = append(retries, ledger.Retry{ID: d.ID, Event: e})
		}
	}
	return retries
}

func (all *replayed) leave(id int64, reason, detail string) {
	all.Left = append(all.Left, leftLetter{id, reason, detail})
}

// count adds what the database made of one.
func (all *replayed) count(fate ledger.Fate) {
	switch fate.Outcome {
	case ledger.Stored:
		all.Stored++
	case ledger.Known:
		all.Known++
	case ledger.Outside:
		all.Outside++
	case ledger.Before:
		all.Before++
	default:
		all.leave(fate.ID, string(fate.Outcome), fate.Detail)
	}
}

func (p *program) printReplayed(all *replayed, asJSON bool) error {
	if asJSON {
		return writeJSON(p.stdout, all)
	}
	out := &printer{w: p.stdout}
	if all.DryRun {
		out.line("nothing was changed; without --dry-run it would be:")
	}
	for _, one := range []struct {
		n    int
		text string
	}{
		{all.Stored, "stored"}, {all.Known, "known: the table has the same event"},
		{all.Outside, "outside the job's span"}, {all.Before, "replayed before"}, {len(all.Left), "left, and still dead letters"},
	} {
		out.line("%12s  %s", view.Number(int64(one.n)), one.text)
	}
	for _, left := range all.Left {
		out.line("%8d  %-15s %s", left.ID, left.Reason, short(left.Detail, 200))
	}
	if all.Verdict != "" {
		out.line("checked: %s", all.Verdict)
	}
	return out.err
}
