package main

import "time"

// load is one way of the rows into the table, measured.
type load struct {
	rows                        int64
	wall                        time.Duration // of the whole process
	ingest                      time.Duration // from the first attempt of a shard to its last commit
	client, simulator, postgres time.Duration // CPU
	peak                        int64         // bytes of memory of the client
	commits                     int64
	others                      float64 // CPU of the machine that others had meanwhile, in cores
	asked                       requests
}

func (l load) thousands() float64 { return float64(l.rows) / l.wall.Seconds() / 1000 }
func (l load) ingested() float64  { return float64(l.rows) / l.ingest.Seconds() / 1000 }
func (l load) mebibytes() float64 { return float64(l.peak) / (1 << 20) }
func (l load) rowsACommit() float64 {
	return float64(l.rows) / float64(max(l.commits, 1))
}

// micros is CPU a row in µs, which is also CPU seconds per million rows.
func (l load) micros(cpu time.Duration) float64 { return cpu.Seconds() * 1e6 / float64(l.rows) }

// watch is the CPU that the server, a simulator and the whole machine had used when a load began.
type watch struct {
	server, simulator, machine time.Duration
	serverPID, simulatorPID    int
}

// watch begins to count. Where there is no simulator it is nil.
func (s *stand) watch(sim *simulator) watch {
	w := watch{serverPID: s.server.PID()}
	if sim != nil {
		w.simulatorPID = sim.cmd.Process.Pid
	}
	w.server, w.simulator, w.machine = familyCPU(w.serverPID), familyCPU(w.simulatorPID), machineCPU()
	return w
}

// read adds to a load that has ended what was used meanwhile, by whom.
func (w watch) read(l *load) {
	l.postgres = familyCPU(w.serverPID) - w.server
	l.simulator = familyCPU(w.simulatorPID) - w.simulator
	others := machineCPU() - w.machine - l.postgres - l.client - l.simulator
	l.others = max(0, others.Seconds()/l.wall.Seconds())
}
