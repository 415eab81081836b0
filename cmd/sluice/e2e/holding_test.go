package e2e

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// holding is what this process holds at a moment: the program, and in tests the simulator beside it.
type holding struct {
	At         time.Duration
	Goroutines int64
	Files      int64
	Resident   int64 // bytes, as the kernel counts them
	Live       int64 // bytes of the objects in use
}

func holds(at time.Duration) holding {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holding{At: at, Goroutines: int64(runtime.NumGoroutine()), Files: openFiles(), Resident: resident(), Live: int64(m.HeapAlloc)}
}

func openFiles() int64 {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return int64(len(entries))
}

func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

func (h holding) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %.1f MiB resident, %.1f MiB in use",
		h.Goroutines, h.Files, float64(h.Resident)/(1<<20), float64(h.Live)/(1<<20))
}
