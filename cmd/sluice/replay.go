package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"sluice/coordinator/ledger"
	"sluice/sink/audit"
)

// replaySettings say which dead letters are tried again, and with which bytes.
type replaySettings struct {
	common
	ids    []int64
	reason string
	file   string
	dry    bool
}

func (p *program) deadLettersReplayCommand() *cobra.Command {
	var s replaySettings
	cmd := &cobra.Command{
		Use: "replay", Short: "Try them again, with this program's decoder or with mended records", Args: noArgs,
		Long: "Decodes the stored bytes again, and stores the events of those that are sound now: after an upgrade, or after a fix of the\n" +
			"table. Each is stored exactly once, however often this is run, killed or run beside `sluice run`; the ledger follows, so that\n" +
			"`sluice verify` stays true. What still cannot become a row stays a dead letter, and is listed with its reason.\n\n" +
			"--from-file reads mended records, one a line: {\"id\":17,\"record\":{…}}, where id is that of the dead letter. The bytes that\n" +
			"were received stay in dead_letters.",
		Example: "  sluice dead-letters replay --dry-run\n  sluice dead-letters replay --reason=too-long\n" +
			"  sluice dead-letters show 17 --raw | jq -c '{id: 17, record: (.timestamp = 1769541612369)}' > mended.jsonl\n" +
			"  sluice dead-letters replay --from-file=mended.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.replay(cmd.Context(), &s) },
	}
	s.common.bind(cmd.Flags())
	cmd.Flags().Int64SliceVar(&s.ids, "id", nil, "only these, from `sluice dead-letters list`")
	cmd.Flags().StringVar(&s.reason, "reason", "", "only those of this reason")
	cmd.Flags().StringVar(&s.file, "from-file", "", "take the records from this file of JSON lines, not from the stored bytes")
	cmd.Flags().BoolVar(&s.dry, "dry-run", false, "only say what would happen")
	return cmd
}

// replay tries dead letters again, page by page, each page in a transaction of its own.
func (p *program) replay(ctx context.Context, s *replaySettings) error {
	mended, err := s.mended()
	if err != nil {
		return err
	}
	r, err := p.openLedger(ctx, &s.common)
	if err != nil {
		return err
	}
	defer r.db.Close()
	all := &replayed{Job: r.job.Name, DryRun: s.dry, Left: []leftLetter{}, mended: mended, seen: map[int64]bool{}}
	if err := all.walk(ctx, r, s); err != nil {
		return fail(exitLeft, "the same command goes on with the rest; nothing is replayed twice", err)
	}
	doubt := all.check(ctx, r)
	if err := p.printReplayed(all, s.json); err != nil {
		return err
	}
	for _, id := range s.ids {
		if !all.seen[id] {
			return usage("job %q has no dead letter %d", r.job.Name, id)
		}
	}
	return doubt
}

// mended reads the records of --from-file; nil: the stored bytes are to be taken.
func (s *replaySettings) mended() (map[int64][]byte, error) {
	if s.file == "" {
		return nil, nil
	}
	if len(s.ids) > 0 || s.reason != "" {
		return nil, usage("--from-file names the dead letters itself: leave out --id and --reason")
	}
	mended, err := readMendedFile(s.file)
	if err != nil {
		return nil, usage("--from-file: %w", err)
	}
	s.ids = slices.Sorted(maps.Keys(mended))
	return mended, nil
}

// walk replays all that the settings choose.
func (all *replayed) walk(ctx context.Context, r *reader, s *replaySettings) error {
	const page = 50 // of at most 1 MiB each
	q := ledger.DeadLetterQuery{
		JobID: r.job.ID, IDs: s.ids, Reason: s.reason, Replayed: s.ids != nil, Whole: true, Limit: page,
	}
	for {
		letters, err := r.db.DeadLetters(ctx, q)
		if err != nil || len(letters) == 0 {
			return err
		}
		fates, err := r.db.Replay(ctx, r.job, all.decode(letters), s.dry)
		if err != nil {
			return err
		}
		for _, fate := range fates {
			all.count(fate)
		}
		q.AfterID = letters[len(letters)-1].ID
	}
}

// check judges the table again where that was done before: the verdict of a verified job shall speak of the table as it is now.
func (all *replayed) check(ctx context.Context, r *reader) error {
	if all.DryRun || all.over() == 0 || r.job.VerifiedAt.IsZero() {
		return nil
	}
	figures, err := r.db.Audit(ctx, r.job.ID)
	if err != nil {
		return err
	}
	judged := audit.Judge(figures, r.job.APITotal, 0)
	all.Verdict = judged.Summary()
	if err := r.db.SetVerdict(ctx, r.job.ID, all.Verdict, judged.OK); err != nil || judged.OK {
		return err
	}
	return fmt.Errorf("after the replay: %w", inDoubt(&figures, judged, false))
}
