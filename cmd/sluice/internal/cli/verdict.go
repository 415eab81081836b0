package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink"
	"sluice/sink/embedpg"
)

// exitCode is how a status is reported to the shell.
func exitCode(s job.Status) int {
	code, known := map[job.Status]int{
		job.Complete: ExitOK, job.Left: ExitLeft, job.Doubt: ExitDoubt, job.Locked: ExitLocked, job.Refused: ExitUnreachable,
		job.Unreachable: ExitUnreachable, job.Misused: ExitUsage,
	}[s]
	if !known {
		return ExitUnexpected
	}
	return code
}

// verdictError returns the error of a run that is not complete, with its exit code and what to do about it.
func verdictError(v job.Verdict) error {
	if v.Status == job.Complete {
		return nil
	}
	if coded, ok := errors.AsType[*exitError](v.Err); ok {
		return coded
	}
	hint := cmp.Or(v.Hint, hintOf(v.Err))
	if v.Status == job.Left {
		hint = cmp.Or(hint, resumeHint)
	}
	return fail(exitCode(v.Status), hint, errors.New(v.Text))
}

// asStart gives an error before a run its exit code.
func asStart(ctx context.Context, err error) error {
	if is[*exitError](err) {
		return err
	}
	if errors.Is(err, sink.ErrURL) {
		return fail(ExitUsage, startHint(err), err)
	}
	e := job.Classify(ctx, err)
	return fail(exitCode(e.Status), cmp.Or(e.Hint, hintOf(err)), err)
}

const resumeHint = "the same command resumes where this one stopped"

// hintOf is what to do about an error, in terms of commands and flags; empty if nothing better is known than what the exit code
// suggests.
func hintOf(err error) string {
	if panicked, ok := errors.AsType[*coordinator.PanicError](err); ok {
		return "this is a bug; the stack is in " + keepStack(panicked.Recovered.String())
	}
	if doubts, ok := errors.AsType[*job.DoubtError](err); ok {
		return doubtHint(doubts)
	}
	switch {
	case errors.Is(err, coordinator.ErrTooManyDeadLetters):
		return "look at `sluice dead-letters list`; `sluice dead-letters replay` tries them again, --max-dead-letters allows more; then " + resumeHint
	case errors.Is(err, job.ErrUnfinished):
		return "`sluice run` goes on with it"
	case is[*ledger.UnfitError](err):
		return "fix it as said above, and run the same command again"
	case is[*job.SourceError](err):
		return "use another --job for another source, or --source-moved if it is the same data at a new address"
	case is[*job.SpanError](err):
		return "use another --job for another span"
	}
	return startHint(err)
}

// commands returns the flags of commands about the job of a doubt: one that is there already, and one that may make it.
func commands(e *job.DoubtError) (of, flags string) {
	if e.Span != ledger.Everything || e.Job != "default" {
		of = " --job=" + embedpg.ShellWord(e.Job)
	}
	flags = of
	if e.Span.Start != shard.Past {
		flags += " --from=" + e.Span.Start.String()
	}
	if e.Span.End != shard.Future {
		flags += " --to=" + e.Span.End.String()
	}
	return of, flags
}

// doubtHint is what to do about the first of a job's doubts.
func doubtHint(e *job.DoubtError) string {
	of, flags := commands(e)
	switch e.Doubts[0].Kind {
	case ledger.DoubtSource:
		return "correct API_BASE_URL, then `sluice run" + flags + "`; other data are loaded by another --job"
	case ledger.DoubtMissing:
		return "`sluice backfill" + flags + " --again` reads everything once more: it finds the events, or shows that the API counts wrong"
	case ledger.DoubtForeign:
		return "delete the rows, or `sluice verify" + of + " --accept-foreign`; then `sluice run" + flags + "`"
	case ledger.DoubtLost:
		return "`sluice verify" + of + " --accept-lost` if they are gone for good; then `sluice run" + flags + "`"
	}
	return "`sluice verify" + of + " --repair`, then `sluice run" + flags + "`"
}

// runHint is what to do about windows that are open again.
func runHint(err error) string {
	flags := ""
	if e, ok := errors.AsType[*job.DoubtError](err); ok {
		_, flags = commands(e)
	}
	return "`sluice run" + flags + "` fetches the reopened shards again"
}

// startHint is what to do about an error that kept work from starting; "" where nothing better is known than what the exit code
// suggests.
func startHint(err error) string {
	if database, ok := errors.AsType[*sink.ConnectError](err); ok {
		return database.Hint
	}
	waited, _ := errors.AsType[net.Error](err)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case is[*sink.DatabaseError](err): // whatever follows is about the API
		return "`sluice doctor` looks at the database"
	case errors.Is(err, sink.ErrURL):
		return "correct DATABASE_URL; nothing of it is shown here, because it may hold a password"
	case op != nil && op.Op == "proxyconnect":
		return "the proxy that HTTP_PROXY or HTTPS_PROXY names was not reached: correct it, or except the API by NO_PROXY"
	case is[*net.DNSError](err):
		return "the host of API_BASE_URL is not known here: correct its name, or look after this machine's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at API_BASE_URL: correct host and port, or start the API"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "what answers speaks plain http: begin API_BASE_URL with http://"
	case is[x509.UnknownAuthorityError](err), is[x509.HostnameError](err):
		return "the API's certificate is not to be trusted: correct API_BASE_URL, or install the certificate's authority on this machine"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "what listens at API_BASE_URL does not speak http: correct its port, or begin it with https://"
	case waited != nil && waited.Timeout():
		return "the API does not answer: is it reachable from here?"
	}
	return ""
}

// is reports whether err is, or wraps, an error of that type.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// writable makes sure that a file can be made beside path: at the end of a run of hours it is too late to find that out.
func writable(path string) error {
	if path == "" {
		return nil
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".sluice-*")
	if err != nil {
		return fmt.Errorf("nothing can be written to %s: %w", filepath.Dir(path), errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
