package cli

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/coordinator/job"
	"sluice/shard"
)

func (p *Program) backfillCommand() *cobra.Command {
	again := false
	cmd, s := p.ingesting(cobra.Command{
		Use:   "backfill --from TIME --to TIME",
		Short: "Ingest a span of event time again or anew, as a job of its own",
		Long: "Ingests what lies from --from to before --to, as a job of its own that is named after them. Each event is stored once,\n" +
			"whoever stores it: also while `sluice follow` runs beside it. Watermarks of other jobs are not touched. The same\n" +
			"command resumes; when it is done it says so, and with --again reads the span once more. --again without --from and --to\n" +
			"reads all of a job once more, whatever rounds followed its first load: what a doubt about missing events needs.\n\n" +
			"Times are RFC 3339, dates, or so long ago: -7d is the start of the day seven days ago in UTC, -12h that of an hour,\n" +
			"-90m that of a minute.",
		Example: "  sluice backfill --from=2026-01-01 --to=2026-02-01\n  sluice backfill --from=-7d --to=-1h\n  sluice backfill --again",
	}, func(j *job.Job, ctx context.Context) job.Verdict { return j.Backfill(ctx, again) })
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !again && (!s.from.set || !s.to.set) {
			return usage("--from and --to are needed; without them, --again reads the whole job once more")
		}
		if s.from.set && s.to.set && !s.given("job") {
			s.job = backfillName(s.span())
		}
		return nil
	}
	s.from.read, s.to.read = instantOrAgo, instantOrAgo
	for _, name := range []string{"from", "to"} {
		cmd.Flags().Lookup(name).Usage = "event time, RFC 3339, a date, or so long ago: -7d"
	}
	cmd.Flags().BoolVar(&again, "again", false, "read the span once more where that is done")
	return cmd
}

// backfillName names the job of a span after its edges, short where they are dates.
func backfillName(span shard.Window) string {
	return "backfill-" + edgeName(span.Start) + "-" + edgeName(span.End)
}

func edgeName(at shard.Instant) string {
	t := at.Time()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return strings.TrimSuffix(t.Format("20060102T150405.999999"), ".") + "Z"
}

var agoForm = regexp.MustCompile(`^-([0-9]{1,5})([dhm])$`)

// instantOrAgo reads an instant, or how long ago it is.
func instantOrAgo(s string) (shard.Instant, error) {
	if at, ok := ago(s, time.Now()); ok {
		return shard.InstantOf(at), nil
	}
	return readInstant(s)
}

// ago reads -7d: the start of the day, hour or minute so many of them ago, so that the same command means the same span for a
// while, and resumes.
func ago(s string, now time.Time) (time.Time, bool) {
	m := agoForm.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, false
	}
	n, _ := strconv.Atoi(m[1]) // five digits
	unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute}[m[2]]
	return now.UTC().Truncate(unit).Add(-time.Duration(n) * unit), true
}
