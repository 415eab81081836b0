package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/coordinator/job"
	"sluice/shard"
	"sluice/sink"
)

// TestEveryStatusHasItsExitCode: a script tells from nothing else whether the data are there, come with the next run, or are
// in doubt.
func TestEveryStatusHasItsExitCode(t *testing.T) {
	t.Parallel()
	for status, code := range map[job.Status]int{
		job.Complete: 0, job.Broken: 1, job.Misused: 2, job.Unreachable: 3, job.Refused: 3, job.Left: 4, job.Doubt: 5, job.Locked: 6,
	} {
		var coded *exitError
		err := verdictError(job.Verdict{Status: status, Text: "so it ended"})
		if code == 0 && err != nil || code != 0 && (!errors.As(err, &coded) || coded.code != code) {
			t.Errorf("%s: %v, want exit code %d", status, err, code)
		}
	}
}

// TestHintsNameWhatIsAtFault: the same error of the network has another cause for the database, for the API and for a proxy.
func TestHintsNameWhatIsAtFault(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		err  error
		want string
	}{
		{io.EOF, "what listens at API_BASE_URL does not speak http"},
		{refused, "nothing listens at API_BASE_URL"},
		{&net.OpError{Op: "proxyconnect", Err: refused}, "HTTP_PROXY"},
		{&sink.DatabaseError{Err: io.EOF}, "looks at the database"},
		{&shard.TransientError{Err: &sink.DatabaseError{Err: fmt.Errorf("take job: %w", context.DeadlineExceeded)}}, "looks at the database"},
		{&sink.ConnectError{Why: "away", Hint: "start it", Err: refused}, "start it"},
	} {
		if got := hintOf(fmt.Errorf("so: %w", c.err)); !strings.Contains(got, c.want) {
			t.Errorf("%#v: %q, want %q", c.err, got, c.want)
		}
	}
}

// TestCtrlCWhileThePrivateServerStarts ends with the code of a run that was stopped.
func TestCtrlCWhileThePrivateServerStarts(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, stop := context.WithCancelCause(t.Context())
	stop(&SignalError{syscall.SIGINT})
	p := &Program{Stdout: io.Discard, Stderr: terminal.NewConsole(io.Discard), Environ: noEnvironment}
	_, err := p.findDatabase(ctx, new(settings))
	var coded *exitError
	if !errors.As(err, &coded) || coded.code != ExitLeft || !strings.Contains(err.Error(), "Ctrl-C") {
		t.Errorf("got %v", err)
	}
}
