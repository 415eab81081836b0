package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/coordinator/job"

	"github.com/spf13/cobra"
)

func (p *Program) runCommand() *cobra.Command {
	cmd, _ := p.ingesting(cobra.Command{
		Use:   "run",
		Short: "Ingest every event, or resume where the last run stopped",
		Long: "Ingests every event of the source into ingested_events, exactly once, and checks the result. Running it again\n" +
			"resumes unfinished work; once everything is stored and verified, it returns at once.\n\n" +
			"The first Ctrl-C finishes the pages in flight (exit code 4), the second exits at once.\n" +
			"SIGUSR1 pauses and resumes the run: no new pages are requested, pages in flight are committed. Ctrl-Z and fg suspend\n" +
			"and resume the process.\n\n" +
			"On a terminal there is a bar for each shard and one for all; elsewhere a line every 5 s. With --json the result is one JSON\n" +
			"object on stdout, and each line of stderr is one: log, messages, and every 5 s the progress (\"msg\":\"progress\").",
		Example: "  sluice run --shards=8\n  sluice run --listen 127.0.0.1:8080 --linger 10m\n  sluice run --json 2> log.jsonl | jq .verdict\n" +
			"  sluice run --shards=32 --fetchers=16 --memory=256MiB\n" +
			"  sluice run --job=january --from=2026-01-01 --to=2026-02-01",
	}, (*job.Job).Load)
	return cmd
}

// ingesting makes a command that does a job's work, and returns its settings: some have more flags.
func (p *Program) ingesting(cmd cobra.Command, work func(*job.Job, context.Context) job.Verdict) (*cobra.Command, *settings) {
	s := new(settings)
	s.bind(cmd.Flags())
	s.bindWatch(cmd.Flags())
	cmd.Args, cmd.Annotations = noArgs, map[string]string{asLines: "yes"}
	cmd.RunE = p.stoppably(s, func(ctx context.Context, s *settings) error {
		return p.ingest(ctx, s, func(ctx context.Context, j *job.Job) job.Verdict { return work(j, ctx) })
	})
	return &cmd, s
}

// stoppably makes a command of something that takes the settings and that a signal stops.
func (p *Program) stoppably(s *settings, do func(context.Context, *settings) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := s.load(p); err != nil {
			return err
		}
		if p.LimitHeap != nil {
			p.LimitHeap(s.memory.value + besidePages)
		}
		ctx, release := p.stoppable(cmd.Context())
		defer release()
		return do(ctx, s)
	}
}

// SignalError is the cause of a stop by the operator.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "stopped by " + signalNames[e.Signal] }

// signalNames are what people call the signals that stop a run.
var signalNames = map[os.Signal]string{syscall.SIGINT: "Ctrl-C", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}

// stoppable returns a context that the first SIGINT, SIGTERM or SIGHUP ends; the second ends the process at once, with the
// shell's code for that signal. Only a hangup never does: the terminal is gone, and nobody is there to be impatient.
func (p *Program) stoppable(ctx context.Context) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // a closed terminal stops, too, unless nohup has taken that away
		signal.Notify(signals, syscall.SIGHUP)
	}
	go p.guarded(func() {
		first, ok := <-signals
		if !ok {
			return
		}
		p.say("%s: finishing pages in flight; once more to exit at once", signalNames[first])
		stop(&SignalError{first})
		if second, ok := patiently(signals); ok {
			code := 128 + int(second.(syscall.Signal))
			p.say("exit code %d (left at once): run the same command to resume", code)
			p.Exit(code)
		}
	})()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		stop(nil)
	}
}

// OneSignal is the time in which a signal that comes again is the same one: timeout(1) sends it to the process, and then to
// the group that the process is in.
const OneSignal = 500 * time.Millisecond

// patiently waits for a signal that is not an echo of the one before.
func patiently(signals <-chan os.Signal) (os.Signal, bool) {
	first := time.Now()
	for s := range signals {
		if s != syscall.SIGHUP && time.Since(first) > OneSignal {
			return s, true
		}
	}
	return nil, false
}
