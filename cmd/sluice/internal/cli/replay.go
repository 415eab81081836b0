package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/fetch/decode"

	"github.com/spf13/cobra"
)

// replaySettings say which dead letters are tried again, and with which bytes.
type replaySettings struct {
	common
	ids    []int64
	reason string
	file   string
	dry    bool
}

func (p *Program) deadLettersReplayCommand() *cobra.Command {
	var s replaySettings
	cmd := &cobra.Command{
		Use: "replay", Short: "Try them again, with this program's decoder or with fixed records", Args: noArgs,
		Long: "Decodes the stored bytes again, and stores the events of those that are sound now: after an upgrade, or after a fix of the\n" +
			"table. Each is stored exactly once, however often this is run, killed or run beside `sluice run`; the ledger follows, so that\n" +
			"`sluice verify` stays true. What still cannot become a row stays a dead letter, and is listed with its reason.\n\n" +
			"--from-file reads fixed records, one a line: {\"id\":17,\"record\":{…}}, where id is that of the dead letter. The bytes that\n" +
			"were received stay in dead_letters.",
		Example: "  sluice dead-letters replay --dry-run\n  sluice dead-letters replay --reason=too-long\n" +
			"  sluice dead-letters show 17 --raw | jq -c '{id: 17, record: (.timestamp = 1769541612369)}' > fixed.jsonl\n" +
			"  sluice dead-letters replay --from-file=fixed.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.replay(cmd.Context(), &s) },
	}
	s.common.bind(cmd.Flags())
	cmd.Flags().Int64SliceVar(&s.ids, "id", nil, "only these, from `sluice dead-letters list`")
	cmd.Flags().StringVar(&s.reason, "reason", "", "only those of this reason")
	cmd.Flags().StringVar(&s.file, "from-file", "", "take the records from this file of JSON lines, not from the stored bytes")
	cmd.Flags().BoolVar(&s.dry, "dry-run", false, "only say what would happen")
	return cmd
}

// replay tries dead letters again.
func (p *Program) replay(ctx context.Context, s *replaySettings) error {
	records, err := s.records()
	if err != nil {
		return err
	}
	r, err := p.openLedger(ctx, &s.common)
	if err != nil {
		return err
	}
	defer r.db.Close()
	all, v := job.Replay(ctx, job.Config{Name: s.job, Store: r.db}, job.Replaying{
		IDs: s.ids, Reason: s.reason, Records: records, Dry: s.dry, Decode: decode.Record,
	})
	if all == nil {
		hint := "the same command goes on with the rest; nothing is replayed twice"
		if is[*ledger.UnfitError](v.Err) {
			hint = hintOf(v.Err)
		}
		return fail(ExitLeft, hint, v.Err)
	}
	if err := p.printReplayed(all, s.json); err != nil {
		return err
	}
	if len(all.Unknown) > 0 {
		return usage("job %q has no dead letter %d", r.job.Name, all.Unknown[0])
	}
	return verdictError(v)
}

// records reads the records of --from-file; nil means that the stored bytes are taken.
func (s *replaySettings) records() (map[int64][]byte, error) {
	if s.file == "" {
		return nil, nil
	}
	if len(s.ids) > 0 || s.reason != "" {
		return nil, usage("--from-file names the dead letters itself: leave out --id and --reason")
	}
	file, err := os.Open(s.file)
	if err != nil {
		return nil, usage("--from-file: %w", err)
	}
	defer file.Close()
	records, err := readFixed(file)
	if err != nil {
		return nil, usage("--from-file: %s: %w", s.file, err)
	}
	s.ids = slices.Sorted(maps.Keys(records))
	return records, nil
}

func (p *Program) printReplayed(all *job.Replayed, asJSON bool) error {
	if asJSON {
		return writeJSON(p.Stdout, all)
	}
	out := p.paper()
	if all.DryRun {
		out.Line("nothing was changed; without --dry-run it would be:")
	}
	for _, one := range []struct {
		n    int
		text string
	}{
		{all.Stored, "stored"}, {all.Known, "known: the table has the same event"},
		{all.Outside, "outside the job's span"}, {all.Before, "replayed before"}, {len(all.Left), "left, and still dead letters"},
	} {
		out.Line("%12s  %s", view.Number(int64(one.n)), one.text)
	}
	for _, left := range all.Left {
		out.Line("%8d  %-15s %s", left.ID, left.Reason, short(left.Detail, 200))
	}
	if all.Check != "" {
		out.Line("checked: %s", all.Check)
	}
	return out.Err()
}

// fixedLine is one line of a file of fixed records.
type fixedLine struct {
	ID     int64           `json:"id"` // of the dead letter
	Record json.RawMessage `json:"record"`
}

// maxFixedLine is more than any record that becomes an event has.
const maxFixedLine = 2 << 20

// readFixed reads fixed records, one a line, by the ids of their dead letters. Empty lines are allowed.
func readFixed(r io.Reader) (map[int64][]byte, error) {
	fixed := map[int64][]byte{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxFixedLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		one, err := readFixedLine(lines.Bytes())
		if err == nil && fixed[one.ID] != nil {
			err = fmt.Errorf("the dead letter %d is there twice", one.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		fixed[one.ID] = one.Record
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(fixed) == 0 {
		return nil, errors.New("there is no record in it")
	}
	return fixed, nil
}

func readFixedLine(line []byte) (one fixedLine, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err = dec.Decode(&one)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	switch {
	case err != nil:
		return one, fmt.Errorf(`it is not {"id":17,"record":{…}}: %w`, err)
	case one.ID <= 0:
		return one, fmt.Errorf("%d is not a dead-letter id", one.ID)
	case len(one.Record) == 0:
		return one, errors.New("it has no record")
	}
	return one, nil
}
