package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/shard"
)

// result is the summary of a run. Its figures come from the ledger, not from what the process remembers.
type result struct {
	Job        string         `json:"job"`
	Source     string         `json:"source"`
	ExitCode   int            `json:"exit_code"`
	Verdict    string         `json:"verdict"`
	Findings   []string       `json:"findings,omitempty"`
	Hint       string         `json:"hint,omitempty"`
	Events     int64          `json:"events"`
	Received   int64          `json:"received"`
	Duplicates int64          `json:"duplicates"`
	OutOfWin   int64          `json:"out_of_window"`
	Dead       int64          `json:"dead_letters"`
	OutOfOrder int64          `json:"out_of_order"`
	Shards     int            `json:"shards"`
	Done       int            `json:"shards_done"`
	Seconds    float64        `json:"seconds"`
	New        int64          `json:"events_this_run"`
	Round      *round         `json:"round,omitempty"` // the last one after the first
	Requests   *requests      `json:"requests,omitempty"`
	Fetchers   []view.Fetcher `json:"fetchers,omitempty"`
}

// requests are what this run asked of the API.
type requests struct {
	view.Requests
	ListUsed   float64 `json:"list_quota_used"`
	StreamUsed float64 `json:"stream_quota_used"`
}

func requestsOf(v *view.View) *requests {
	r := &requests{Requests: v.Requests.Requests}
	for i := range v.Quotas {
		switch q := &v.Quotas[i]; q.Endpoint {
		case string(shard.List):
			r.ListUsed = q.Used
		case string(shard.Stream):
			r.StreamUsed = q.Used
		}
	}
	return r
}

// notStarted is the result of a run that ended before there was anything to summarize.
func (i *ingest) notStarted(err error) *result {
	r := &result{
		Job: i.settings.job, Source: i.source.name, ExitCode: exitUnexpected, Verdict: err.Error(),
		Seconds: time.Since(i.started).Seconds(),
	}
	var coded *exitError
	if errors.As(err, &coded) {
		r.ExitCode, r.Hint = coded.code, coded.advice()
	}
	return r
}

// conclude prints the summary, and returns the error that carries the exit code.
func (i *ingest) conclude(ctx context.Context, v verdict) error {
	i.concluded = true
	r, ledger, err := i.summarize(ctx, v)
	if err != nil {
		i.log.Warn("the summary is incomplete", "err", err)
	}
	i.publishEnd(r, ledger)
	if i.json {
		err = writeLine(i.stdout, r)
	} else {
		err = i.print(r)
	}
	if v.code == exitOK {
		return err
	}
	return fail(v.code, v.hint, errors.New(v.text))
}

// summarize reads the ledger, and returns it beside its summary.
func (i *ingest) summarize(ctx context.Context, v verdict) (*result, []shard.Checkpoint, error) {
	r := &result{
		Job: i.job.Name, Source: i.job.Source, ExitCode: v.code, Verdict: v.text, Findings: v.findings, Hint: v.hint,
		Shards: i.job.Shards, Seconds: time.Since(i.started).Seconds(),
	}
	if i.client != nil {
		v := i.snapshot(view.Ended)
		r.Requests = requestsOf(&v)
	}
	for _, s := range i.spent {
		r.Fetchers = append(r.Fetchers, view.FetcherOf(s))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	checkpoints, err := i.db.Load(ctx, i.job.ID)
	if err != nil {
		return r, nil, err
	}
	sum, err := i.db.Earlier(ctx, i.job.ID)
	for _, cp := range checkpoints {
		sum = sum.Add(cp.Counts)
		if cp.State == shard.Done {
			r.Done++
		}
	}
	r.Shards = len(checkpoints)
	r.Events, r.Received, r.Duplicates = sum.Events, sum.Received, sum.Duplicates
	r.OutOfWin, r.Dead, r.OutOfOrder = sum.OutOfWindow, sum.DeadLetters, sum.OutOfOrder
	r.New = sum.Events - i.before
	r.Round = i.describeRound()
	return r, checkpoints, err
}

// print writes the summary for people. "ingestion complete" is the last line but one, and only there with exit code 0.
func (i *ingest) print(r *result) error {
	out := &printer{w: i.stdout}
	out.line("job %s, source %s", r.Job, r.Source)
	out.line("%s events stored (%s in this run), %d of %d shards done", view.Number(r.Events), view.Number(r.New), r.Done, r.Shards)
	out.line("%s records received: %s duplicates, %s of other windows, %s dead letters, %s out of order",
		view.Number(r.Received), view.Number(r.Duplicates), view.Number(r.OutOfWin), view.Number(r.Dead),
		view.Number(r.OutOfOrder))
	if q := r.Requests; q != nil {
		out.line("%d requests to the list (%d refused), %d to the stream (%d refused), %d repeated, %d answered from the API's cache",
			q.List, q.ListRefused, q.Stream, q.StreamRefused, q.Retries, q.Cached)
		if q.ListUsed > 0 || q.StreamUsed > 0 {
			out.line("quota used: %.1f%% of the list's, %.1f%% of the stream's, since they were known", 100*q.ListUsed, 100*q.StreamUsed)
		}
	}
	if len(i.spent) > 0 {
		out.line("%s", view.FetchersLine(i.spent))
	}
	if r.Round != nil {
		out.line("%s", r.Round)
	}
	for _, f := range r.Findings {
		out.line("found: %s", f)
	}
	out.line("%s in %s", r.Verdict, view.Short(time.Duration(r.Seconds*float64(time.Second))))
	if i.database.private != nil {
		out.line("look at the rows: %s", i.database.private.PSQLLine(i.database.name))
		out.line("PostgreSQL stays up; to stop it: %s db stop", shellWord(self()))
	}
	if r.ExitCode == exitOK {
		out.line("ingestion complete")
		out.line("exit code 0: everything is stored and verified, nothing is left to do")
	}
	return out.err
}

// self returns how this program can be called again from the current directory.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return "sluice"
	}
	cwd, err := os.Getwd()
	if err != nil {
		return exe
	}
	if rel, err := filepath.Rel(cwd, exe); err == nil && len(rel) < len(exe) {
		return rel
	}
	return exe
}

// shellWord quotes a path for a shell, where it needs that.
func shellWord(s string) string {
	if strings.ContainsAny(s, " \t'\"$\\`*?[]()&;<>|#~") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// printer writes lines and remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// writeLine writes a JSON object in one line.
func writeLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
