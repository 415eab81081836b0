package cli

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/ledger"
	"sluice/sink"
)

func (p *Program) deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "Look at the records that could not become rows, and try them again", Args: noArgs,
		Long: "A record that cannot become a row lies in dead_letters as it was received, with the reason. Too many of them stop a run\n" +
			"with exit code 5 (--max-dead-letters).",
		Example: "  sluice dead-letters list --reason=timestamp\n  sluice dead-letters show 17\n  sluice dead-letters replay --dry-run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.deadLettersListCommand(), p.deadLettersShowCommand(), p.deadLettersReplayCommand())
	return cmd
}

func (p *Program) deadLettersListCommand() *cobra.Command {
	var c common
	var q ledger.DeadLetterQuery
	cmd := &cobra.Command{
		Use: "list", Short: "List them, oldest first", Args: noArgs,
		Long:    "Counts the dead letters of a job by reason, and lists them, oldest first. What an API sent is quoted.",
		Example: "  sluice dead-letters list\n  sluice dead-letters list --reason=timestamp --limit=10\n  sluice dead-letters list --json | jq -r .[].raw",
		PreRunE: func(*cobra.Command, []string) error {
			if q.Limit < 1 || q.Limit > 100_000 {
				return usage("--limit %d: it must be from 1 to 100,000", q.Limit)
			}
			return nil
		},
		RunE: p.reading(&c, func(ctx context.Context, r *reader) error { return p.listDeadLetters(ctx, r, q, c.json) }),
	}
	c.bind(cmd.Flags())
	cmd.Flags().StringVar(&q.Reason, "reason", "", "only those of this reason")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many at most")
	cmd.Flags().BoolVar(&q.Replayed, "replayed", false, "those that were replayed too")
	cmd.Flags().Int64Var(&q.AfterID, "after", 0, "only those after this id, for the next page")
	return cmd
}

func (p *Program) deadLettersShowCommand() *cobra.Command {
	var c common
	var raw bool
	var id int64
	cmd := &cobra.Command{
		Use: "show <id>", Short: "Show one, with its bytes",
		Example: "  sluice dead-letters show 17\n  sluice dead-letters show 17 --raw | jq .",
		Args: func(_ *cobra.Command, args []string) (err error) {
			if len(args) != 1 {
				return usage("sluice dead-letters show takes one id, from `sluice dead-letters list`")
			}
			if id, err = strconv.ParseInt(args[0], 10, 64); err != nil {
				return usage("%q is no id of a dead letter", args[0])
			}
			return nil
		},
		RunE: p.reading(&c, func(ctx context.Context, r *reader) error { return p.showDeadLetter(ctx, r, id, raw, c.json) }),
	}
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&raw, "raw", false, "print its bytes and nothing else")
	return cmd
}

// DeadLetter is a dead letter as JSON. Its bytes are text where they are UTF-8, base64 otherwise.
type DeadLetter struct {
	ID         int64     `json:"id"`
	Shard      int       `json:"shard"`
	Reason     string    `json:"reason"`
	Detail     string    `json:"detail"`
	EventID    string    `json:"event_id,omitempty"`
	Endpoint   string    `json:"endpoint"`
	SHA256     string    `json:"sha256"`
	RawBytes   int64     `json:"raw_bytes"`
	ReceivedAt time.Time `json:"received_at"`
	ReplayedAt time.Time `json:"replayed_at,omitzero"`
	Raw        string    `json:"raw,omitempty"`
	RawBase64  string    `json:"raw_base64,omitempty"`
}

func describeLetter(d *ledger.DeadLetter) DeadLetter {
	shown := DeadLetter{
		ID: d.ID, Shard: d.Shard, Reason: d.Reason, Detail: d.Detail, EventID: d.EventID, Endpoint: d.Endpoint,
		SHA256: hex.EncodeToString(d.SHA256), RawBytes: d.RawBytes, ReceivedAt: d.ReceivedAt,
		ReplayedAt: d.ReplayedAt,
	}
	if utf8.Valid(d.Raw) {
		shown.Raw = string(d.Raw)
	} else {
		shown.RawBase64 = base64.StdEncoding.EncodeToString(d.Raw)
	}
	return shown
}

func (p *Program) listDeadLetters(ctx context.Context, r *reader, q ledger.DeadLetterQuery, asJSON bool) error {
	q.JobID = r.job.ID
	letters, err := r.db.DeadLetters(ctx, q)
	if err != nil {
		return err
	}
	if asJSON {
		shown := make([]DeadLetter, 0, len(letters))
		for i := range letters {
			shown = append(shown, describeLetter(&letters[i]))
		}
		return writeJSON(p.Stdout, shown)
	}
	reasons, err := r.db.DeadLetterReasons(ctx, r.job.ID)
	if err != nil {
		return err
	}
	return p.printLetters(letters, reasons, len(letters) == q.Limit)
}

func (p *Program) printLetters(letters []ledger.DeadLetter, reasons []sink.ReasonCount, more bool) error {
	out := p.paper()
	if len(reasons) == 0 {
		out.Line("there are none")
	}
	counts := terminal.Table{Heads: []string{">count", "reason"}}
	for _, r := range reasons {
		counts.Add(terminal.Number(r.Count), terminal.Text("%s", r.Reason))
	}
	out.Table(counts)
	if len(letters) == 0 {
		return out.Err()
	}
	out.Line("")
	out.Table(lettersTable(letters))
	last := letters[len(letters)-1].ID
	out.Line("")
	if more {
		out.Line("the next ones: sluice dead-letters list --after=%d", last)
	}
	out.Line("one with its bytes: sluice dead-letters show %d; to try them again: sluice dead-letters replay --dry-run", last)
	return out.Err()
}

func lettersTable(letters []ledger.DeadLetter) terminal.Table {
	t := terminal.Table{Heads: []string{">id", ">shard", "reason", "what is wrong", "record"}}
	for i := range letters {
		d := &letters[i]
		// Quoted: what an API sent must not reach a terminal as it is.
		t.Add(
			terminal.Text("%d", d.ID), terminal.Text("%d", d.Shard), terminal.Notice(d.Reason), terminal.Text("%s", short(d.Detail, 60)),
			terminal.Faint("%s", short(string(d.Raw), 80)),
		)
	}
	return t
}

// short quotes a text and cuts it off.
func short(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

func (p *Program) showDeadLetter(ctx context.Context, r *reader, id int64, raw, asJSON bool) error {
	d, err := r.db.DeadLetter(ctx, r.job.ID, id)
	switch {
	case err != nil:
		return err
	case d == nil:
		return usage("job %q has no dead letter %d", r.job.Name, id)
	case raw:
		_, err := p.Stdout.Write(d.Raw)
		return err
	case asJSON:
		return writeJSON(p.Stdout, describeLetter(d))
	}
	out := p.paper()
	out.Fact("id", "%d (shard %d, batch %d)", d.ID, d.Shard, d.Seq)
	out.Fact("reason", "%s: %q", d.Reason, d.Detail)
	out.Fact("event", "%q", d.EventID)
	out.Fact("received", "%s from the %s", d.ReceivedAt.UTC().Format(time.RFC3339), d.Endpoint)
	if !d.ReplayedAt.IsZero() {
		out.Fact("replayed", "%s", d.ReplayedAt.UTC().Format(time.RFC3339))
	}
	out.Fact("sha256", "%x", d.SHA256)
	out.Fact("bytes", "%s (sluice dead-letters show %d --raw prints them as they are)", view.Number(d.RawBytes), d.ID)
	out.Line("%q", d.Raw)
	return out.Err()
}
