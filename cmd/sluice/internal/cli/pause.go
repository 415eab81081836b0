package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// pausable lets SIGUSR1 pause and resume the run. It also logs when the run is suspended by Ctrl-Z and when it is resumed (fg): a
// suspended process is silent.
func (i *ingest) pausable() (release func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGCONT)
	if !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(signals, syscall.SIGTSTP)
	}
	go i.guarded(func() { i.handleSignals(signals) })()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// handleSignals handles signals until the channel is closed, and refreshes viewers during a pause: the run may be where it publishes
// nothing by itself.
func (i *ingest) handleSignals(signals <-chan os.Signal) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	var suspended time.Time
	for {
		select {
		case s, ok := <-signals:
			switch {
			case !ok:
				return
			case s == syscall.SIGUSR1:
				i.togglePause()
			case s == syscall.SIGTSTP:
				suspended = time.Now()
				i.suspend()
			case !suspended.IsZero(): // systemd sends a SIGCONT beside every SIGTERM
				i.resume(suspended)
				suspended = time.Time{}
			}
		case <-tick.C:
			if _, paused := i.pause.Paused(); paused {
				i.showPause()
			}
		}
	}
}

// togglePause begins or ends a pause.
func (i *ingest) togglePause() {
	since, _ := i.pause.Paused()
	if i.pause.Toggle() {
		i.log.Warn("paused by you: no new pages are requested, pages in flight are committed", "to_resume", goOn(), "to_stop", "SIGTERM")
	} else {
		i.log.Warn("the pause is over, the run resumes", "paused_for", time.Since(since).Round(time.Second))
	}
	i.showPause()
}

// showPause publishes the last view again, with or without the pause, so that viewers need not wait for the next step of the run.
func (i *ingest) showPause() {
	if !i.published() {
		return
	}
	v, _ := i.board.View()
	if v.Phase == view.Ended {
		return
	}
	v.At = time.Now()
	i.setPause(&v)
	i.board.Publish(v)
}

// suspend stops the process as the terminal would have.
func (i *ingest) suspend() {
	i.Stderr.Leave()
	i.log.Warn("suspended by Ctrl-Z until `fg` or `bg`; to pause only the run: " + goOn())
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		i.log.Warn("the process cannot be suspended", "err", err)
	}
}

func (i *ingest) resume(suspended time.Time) {
	i.Stderr.Return()
	i.log.Warn("the run resumes after Ctrl-Z", "suspended_for", time.Since(suspended).Round(time.Second))
}

// goOn returns the command that ends a pause. A process that Docker has started, itself or under its init, is signalled by the container's
// name, since its number is not visible outside.
func goOn() string {
	host, err := os.Hostname()
	if _, inDocker := os.Stat("/.dockerenv"); inDocker == nil && err == nil && os.Getppid() <= 1 {
		return "docker kill --signal=USR1 " + host
	}
	return fmt.Sprintf("kill -USR1 %d", os.Getpid())
}

// setPause sets or clears the pause of v.
func (i *ingest) setPause(v *view.View) {
	v.Paused, v.GoOn = nil, ""
	if v.Limit == view.YouPaused {
		v.Limit = ""
	}
	if since, paused := i.pause.Paused(); paused {
		v.Paused, v.GoOn, v.Limit = &since, goOn(), view.YouPaused
	}
}
