package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// holdable lets SIGUSR1 pause the run and go on with it. It also says when the run is stopped by Ctrl-Z, and when it goes on (fg):
// a process that is stopped says nothing.
func (i *ingest) holdable() (release func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGCONT)
	if !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(signals, syscall.SIGTSTP)
	}
	go i.guarded(func() { i.obey(signals) })()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// obey does what the signals say until there are no more, and keeps those who look up to date in a pause: the run may stand where
// it shows nothing by itself.
func (i *ingest) obey(signals <-chan os.Signal) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	var stopped time.Time
	for {
		select {
		case s, ok := <-signals:
			switch {
			case !ok:
				return
			case s == syscall.SIGUSR1:
				i.turn()
			case s == syscall.SIGTSTP:
				stopped = time.Now()
				i.freeze()
			case !stopped.IsZero(): // systemd sends a SIGCONT beside every SIGTERM
				i.thaw(stopped)
				stopped = time.Time{}
			}
		case <-tick.C:
			if _, paused := i.pause.Paused(); paused {
				i.showPause()
			}
		}
	}
}

// turn shuts the gate or opens it.
func (i *ingest) turn() {
	since, _ := i.pause.Paused()
	if i.pause.Toggle() {
		i.log.Warn("paused by you: nothing new is asked for, what is under way is committed", "to_go_on", goOn(), "to_stop", "SIGTERM")
	} else {
		i.log.Warn("the pause is over, the run goes on", "paused_for", time.Since(since).Round(time.Second))
	}
	i.showPause()
}

// showPause shows what was seen last, with the pause or without: who looks shall not wait for the next step of the run.
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

// freeze stops the process as the terminal would have.
func (i *ingest) freeze() {
	i.console.Leave()
	i.log.Warn("stopped by you: nothing goes on until `fg` or `bg`; to pause it only: " + goOn())
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		i.log.Warn("the process cannot be stopped", "err", err)
	}
}

func (i *ingest) thaw(stopped time.Time) {
	i.console.Return()
	i.log.Warn("the run goes on: it had been stopped", "stopped_for", time.Since(stopped).Round(time.Second))
}

// goOn is the command that ends a pause. What Docker has started, itself or under its init, is signalled by the container's name,
// since nobody outside sees its number.
func goOn() string {
	host, err := os.Hostname()
	if _, inDocker := os.Stat("/.dockerenv"); inDocker == nil && err == nil && os.Getppid() <= 1 {
		return "docker kill --signal=USR1 " + host
	}
	return fmt.Sprintf("kill -USR1 %d", os.Getpid())
}

// setPause puts the pause on v, or takes it off.
func (i *ingest) setPause(v *view.View) {
	v.Paused, v.GoOn = nil, ""
	if v.Limit == view.YouPaused {
		v.Limit = ""
	}
	if since, paused := i.pause.Paused(); paused {
		v.Paused, v.GoOn, v.Limit = &since, goOn(), view.YouPaused
	}
}
