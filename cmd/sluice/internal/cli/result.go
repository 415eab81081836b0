package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/cmd/sluice/internal/view"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/fetch/datasync"
	"sluice/shard"
	"sluice/sink/embedpg"
)

// Result is what `sluice run --json` prints: the summary of a run. Its figures come from the ledger, not from what the process remembers.
type Result struct {
	Job      string         `json:"job"`
	Source   string         `json:"source"`
	ExitCode int            `json:"exit_code"`
	Verdict  string         `json:"verdict"`
	Findings []string       `json:"findings,omitempty"`
	Hint     string         `json:"hint,omitempty"`
	*Stored                 // nil if the database could not be asked
	Shards   int            `json:"shards"`
	Seconds  float64        `json:"seconds"`
	WentBack int64          `json:"rows_went_back,omitempty"` // that this run had committed and the database lost; they were read again
	Round    *round         `json:"round,omitempty"`          // the last one after the first
	Requests *requests      `json:"requests,omitempty"`
	Fetchers []view.Fetcher `json:"fetchers,omitempty"`
}

// Stored is what a job has, by the ledger.
type Stored struct {
	shard.Counts
	Done int   `json:"shards_done"`
	New  int64 `json:"events_this_run"`
}

// requests are those of this run, and the shares of the quotas that it used.
type requests struct {
	view.Requests
	ListUsed   float64 `json:"list_quota_used"`
	StreamUsed float64 `json:"stream_quota_used"`
}

// round is the last round, as `sluice sync --json` prints it.
type round struct {
	Number    int         `json:"number"`
	Start     string      `json:"start"`
	New       int64       `json:"new_events"`
	Late      ledger.Late `json:"late"`
	Missing   int64       `json:"missing"`
	Watermark *time.Time  `json:"watermark,omitempty"`
}

// ending is how a run ended, as it is shown.
type ending struct {
	code       int
	text, hint string
	findings   []string
}

// endingOf adds the exit code and the hint of an error to a verdict.
func endingOf(v job.Verdict, err error) ending {
	end := ending{text: v.Text, findings: v.Findings}
	if coded, ok := errors.AsType[*exitError](err); ok {
		end.code, end.hint = coded.code, coded.hint
	} else if err != nil {
		end.code = ExitUnexpected
	}
	return end
}

// resultOf sums up a run that has ended.
func resultOf(v *view.View, end ending) *Result {
	r := &Result{
		Job: v.Job, Source: v.Source, ExitCode: end.code, Verdict: end.text, Findings: end.findings, Hint: end.hint,
		Shards: len(v.Shards), Seconds: v.At.Sub(v.Started).Seconds(), WentBack: v.WentBack,
	}
	if !v.Unread {
		r.Stored = &Stored{Counts: v.Counts, Done: v.Count("done"), New: max(0, v.Counts.Events-v.Before)}
	}
	return r
}

// notStarted publishes and returns the end of a run that ended before there was anything to sum up.
func (i *ingest) notStarted(err error) *Result {
	end := endingOf(job.Verdict{Text: err.Error()}, err)
	if is[*exitError](err) {
		end.hint = i.inSchema(cmp.Or(end.hint, exits[end.code].advice))
	}
	v := i.ended(end, nil)
	i.publishEnd(v)
	return resultOf(&v, end)
}

// conclude publishes and prints the end of a run, and returns the error that carries the exit code.
func (i *ingest) conclude(verdict job.Verdict) error {
	err := verdictError(verdict)
	end := endingOf(verdict, err)
	end.hint = i.inSchema(end.hint)
	v := i.ended(end, verdict.Figures)
	i.publishTables(context.Background())
	i.publishEnd(v)
	printed := i.print(i.summarize(&v, end, verdict.Figures), &v, verdict.Figures)
	return cmp.Or(err, printed)
}

// summarize sums up a run whose job is known.
func (i *ingest) summarize(v *view.View, end ending, f *job.Figures) *Result {
	r := resultOf(v, end)
	r.Shards = cmp.Or(r.Shards, f.Shards)
	for _, s := range f.Fetchers {
		r.Fetchers = append(r.Fetchers, view.FetcherOf(s))
	}
	if f.Round != nil {
		r.Round = &round{
			Number: f.Round.Number, Start: f.Round.Span.Start.String(), New: f.Round.Counts.Events, Late: f.Round.Late,
			Missing: f.Round.Missing, Watermark: view.PointInTime(f.Watermark),
		}
	}
	if i.source.client == nil {
		return r
	}
	r.Requests = &requests{Requests: v.Requests}
	for k := range v.Quotas {
		switch q := &v.Quotas[k]; q.Endpoint {
		case string(datasync.List):
			r.Requests.ListUsed = q.Used
		case string(datasync.Stream):
			r.Requests.StreamUsed = q.Used
		}
	}
	return r
}

// print writes the summary, for people or as JSON. "ingestion complete" is the last line but one, and only there with exit code 0.
func (i *ingest) print(r *Result, v *view.View, f *job.Figures) error {
	if i.json {
		return writeLine(i.Stdout, r)
	}
	out := i.paper()
	out.Line("job %s, source %s", r.Job, r.Source)
	i.printStored(out, r, v)
	if q := r.Requests; q != nil {
		out.Line("%s requests to the list (%d refused), %s to the stream (%d refused), %d repeated, %d answered from the API's cache",
			view.Number(q.List), q.ListRefused, view.Number(q.Stream), q.StreamRefused, q.Retries, q.Cached)
		if q.ListUsed > 0 || q.StreamUsed > 0 {
			out.Line("quota used: %s", quotasUsed(v))
		}
	}
	if len(f.Fetchers) > 0 {
		out.Line("%s", view.FetchersLine(f.Fetchers))
	}
	if r.Round != nil {
		out.Line("%s", r.Round)
	}
	for _, f := range r.Findings {
		out.Line("found: %s", f)
	}
	out.Line("%s in %s", r.Verdict, view.Short(time.Duration(r.Seconds*float64(time.Second))))
	if i.database.private != nil {
		out.Line("query the rows with: %s", i.database.private.PSQLLine(i.database.name))
		out.Line("PostgreSQL keeps running; stop it with: %s db stop", embedpg.ShellWord(os.Args[0]))
	}
	if r.ExitCode == ExitOK {
		out.Line("ingestion complete")
		out.Line("exit code 0: everything is stored and verified, nothing is left to do")
	}
	return out.Err()
}

// printStored writes what the job has. Not known is not zero.
func (i *ingest) printStored(out *terminal.Paper, r *Result, v *view.View) {
	switch {
	case r.Stored != nil:
		out.Line("%s events stored (%s in this run), %d of %d shards done", view.Number(r.Events), view.Number(r.New), r.Done, r.Shards)
		out.Line("%s records received: %s duplicates, %s of other windows, %s dead letters, %s out of order",
			view.Number(r.Received), view.Number(r.Duplicates), view.Number(r.OutOfWindow), view.Number(r.DeadLetters), view.Number(r.OutOfOrder))
	case v.Stored > 0:
		out.Line("how much is stored is not known, the database could not be asked; %s events were when it last took a commit", view.Number(v.Stored))
	default:
		out.Line("how much is stored is not known, the database could not be asked")
	}
	if r.WentBack > 0 {
		out.Line("%s rows of this run were lost by the database, as in a failover to a standby that was behind, and were read again", view.Number(r.WentBack))
	}
}

// quotasUsed returns the share of each quota that was used since its limit is known.
func quotasUsed(v *view.View) string {
	var parts []string
	for k := range v.Quotas {
		switch q := &v.Quotas[k]; {
		case q.Used > 0:
			parts = append(parts, fmt.Sprintf("%s %.1f%%", q.Endpoint, 100*q.Used))
		case q.Limit > 0:
			parts = append(parts, q.Endpoint+" learned too late to measure")
		default:
			parts = append(parts, q.Endpoint+" without a known limit")
		}
	}
	return strings.Join(parts, ", ")
}

func (r *round) String() string {
	text := fmt.Sprintf("round %d from %s: %s new events", r.Number, r.Start, view.Number(r.New))
	if n := r.Late.Total(); n > 0 {
		text += fmt.Sprintf(", %s of them late, the oldest by %s", view.Number(n), view.Short(r.Late.Most))
	}
	if r.Watermark != nil {
		text += fmt.Sprintf("; all events are stored up to %s", r.Watermark.Format(time.RFC3339Nano))
	}
	return text
}

// writeLine writes a JSON object in one line.
func writeLine(w io.Writer, v any) error {
	return encode(w, "", v)
}

func writeJSON(w io.Writer, v any) error { return encode(w, "  ", v) }

func encode(w io.Writer, indent string, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", indent)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
