package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of the times in /proc: USER_HZ is 100 on every Linux.
const tick = time.Second / 100

// familyCPU is what a process, its living children and those that it has buried have used: with the postmaster's pid, all of
// PostgreSQL. Of no process, and where there is no /proc, it is 0.
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
			sum += p.own + p.buried
		case p.parent == pid:
			sum += p.own
		}
	}
	return sum
}

// processStat is what /proc/<pid>/stat says of CPU.
type processStat struct {
	pid, parent int
	own, buried time.Duration // of the process, of its children that have ended
}

// parseStat reads "4711 (name) S 1 …". The name may hold anything, blanks and brackets too.
func parseStat(text []byte) (p processStat, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, fmt.Errorf("%q is no process", text)
	}
	words := bytes.Fields(text[end+1:])
	if len(words) < 15 {
		return p, fmt.Errorf("%q is too short for a process", text)
	}
	number := func(b []byte) (n int) {
		n, wrong := strconv.Atoi(string(bytes.TrimSpace(b)))
		if wrong != nil {
			err = wrong
		}
		return n
	}
	p.pid, p.parent = number(text[:open]), number(words[1])
	p.own = time.Duration(number(words[11])+number(words[12])) * tick
	p.buried = time.Duration(number(words[13])+number(words[14])) * tick
	return p, err
}

// machineCPU is what all processes have used, and what the machine was kept from using by others above it (steal). Where there
// is no /proc it is 0.
func machineCPU() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	return parseBusy(text)
}

// parseBusy reads "cpu user nice system idle iowait irq softirq steal guest guest_nice"; the guests are in user already.
func parseBusy(text []byte) time.Duration {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) < 9 || string(words[0]) != "cpu" {
		return 0
	}
	var ticks int
	for i, word := range words[1:9] {
		if i == 3 || i == 4 { // idle, waiting for a disk
			continue
		}
		n, _ := strconv.Atoi(string(word))
		ticks += n
	}
	return time.Duration(ticks) * tick
}
