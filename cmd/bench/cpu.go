package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// watch is the time, and the CPU that the server, a simulator and the whole machine had used, when a load began.
type watch struct {
	started                    time.Time
	server, simulator, machine time.Duration
	serverPID, simulatorPID    int
}

// startWatch begins to count. The simulator's pid is 0 if there is none.
func (r *rig) startWatch(simulator int) watch {
	w := watch{serverPID: r.server.PID(), simulatorPID: simulator}
	w.server, w.simulator, w.machine = familyCPU(w.serverPID), familyCPU(w.simulatorPID), machineCPU()
	w.started = time.Now()
	return w
}

// stop adds the time, and the CPU that was used meanwhile, to a load whose client's CPU is known.
func (w watch) stop(l *load) {
	l.wall = time.Since(w.started)
	l.postgres = familyCPU(w.serverPID) - w.server
	l.simulator = familyCPU(w.simulatorPID) - w.simulator
	others := machineCPU() - w.machine - l.postgres - l.client - l.simulator
	l.others = max(0, others.Seconds()/l.wall.Seconds())
}

// tick is the unit of the times in /proc: USER_HZ is 100 on every Linux.
const tick = time.Second / 100

// familyCPU is what a process, its living children and those that it has reaped have used: with the postmaster's pid, all of
// PostgreSQL. It is 0 for no process, and where there is no /proc.
func familyCPU(pid int) time.Duration {
	var sum time.Duration
	if pid == 0 {
		return sum
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended; its parent counts it now
		}
		p, err := parseStat(text)
		switch {
		case err != nil:
		case p.pid == pid:
			sum += p.own + p.reaped
		case p.parent == pid:
			sum += p.own
		}
	}
	return sum
}

// processStat is what /proc/<pid>/stat says about CPU.
type processStat struct {
	pid, parent int
	own, reaped time.Duration // of the process, and of its children that have ended
}

// parseStat reads "4711 (name) S 1 …". The name may hold anything, even blanks and brackets.
func parseStat(text []byte) (p processStat, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, fmt.Errorf("%q is not a process", text)
	}
	words := bytes.Fields(text[end+1:])
	if len(words) < 15 {
		return p, fmt.Errorf("%q is too short for a process", text)
	}
	number := func(b []byte) int {
		n, atoiErr := strconv.Atoi(string(bytes.TrimSpace(b)))
		if atoiErr != nil {
			err = atoiErr
		}
		return n
	}
	p.pid, p.parent = number(text[:open]), number(words[1])
	p.own = time.Duration(number(words[11])+number(words[12])) * tick
	p.reaped = time.Duration(number(words[13])+number(words[14])) * tick
	return p, err
}

// machineCPU is what all processes have used, and what other virtual machines have taken (steal). It is 0 where there is no /proc.
func machineCPU() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	return parseBusy(text)
}

// parseBusy reads "cpu user nice system idle iowait irq softirq steal guest guest_nice"; user includes the guests.
func parseBusy(text []byte) time.Duration {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) < 9 || string(words[0]) != "cpu" {
		return 0
	}
	var ticks int
	for i, word := range words[1:9] {
		if i == 3 || i == 4 { // idle, iowait
			continue
		}
		n, _ := strconv.Atoi(string(word))
		ticks += n
	}
	return time.Duration(ticks) * tick
}
