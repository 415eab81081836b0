package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/sink/pgtest"
)

// crashMoments are the steps at which something happens to the database. The process is stopped there, so that the accident
// comes exactly then, and wakes to find out.
var crashMoments = []string{"body.part", "begin.sent", "checkpoint.moved", "copy.part", "counts.amended", "commit.sent"}

// crashServer is a server that can be broken.
type crashServer struct {
	*pgtest.Server
	t         *testing.T
	databases int
	keeper    *pgx.Conn
}

// keep holds a session: a server of tests ends itself when nobody has used it for a while, and a machine may be slow.
func (s *crashServer) keep(c *crashWorld) {
	s.t.Helper()
	if s.keeper != nil {
		_ = s.keeper.Close(context.Background())
	}
	c.ask(func(*pgx.Conn) (err error) {
		s.keeper, err = pgx.Connect(context.Background(), c.direct)
		return err
	})
}

// accidents are what can happen to a database.
func (s *crashServer) accidents() map[string]func(c *crashWorld) {
	return map[string]func(*crashWorld){
		"immediate stop, start": func(*crashWorld) { s.must(s.Crash(s.t.Context())) },
		"postmaster killed":     func(*crashWorld) { s.must(syscall.Kill(s.PID(), syscall.SIGKILL)) },
		"backend killed":        func(c *crashWorld) { s.must(syscall.Kill(c.backend(), syscall.SIGKILL)) },
		"session terminated":    func(c *crashWorld) { c.exec(`select pg_terminate_backend($1::integer)`, c.backend()) },
		"all terminated": func(c *crashWorld) {
			c.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'sluice/%'`)
		},
		"statement cancelled": func(c *crashWorld) { c.exec(`select pg_cancel_backend($1::integer)`, c.backend()) },
	}
}

func (s *crashServer) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// backend returns the server's process of a session of the run that writes, or of any that it has.
func (c *crashWorld) backend() (pid int) {
	c.t.Helper()
	c.query(`select pid from pg_stat_activity where application_name like 'sluice/%' and datname = current_database()
		order by backend_xid is null, random() limit 1`, nil, &pid)
	return pid
}

// world begins a job in a database of its own. It is planned already: a run that cannot start ends at once, by contract.
func (s *crashServer) world(seed uint64) *crashWorld {
	s.t.Helper()
	s.databases++
	name := fmt.Sprintf("crash_%d", s.databases)
	s.must(s.EnsureDatabase(s.t.Context(), name))
	c := newCrashWorldIn(s.t, seed, s.URL(name), nil)
	s.keep(c)
	c.begin().killed("job.created", "job.created:kill")
	return c
}

// TestCrashOfTheDatabase breaks the server at each of the moments, in each of the ways. The run must go on by itself.
func TestCrashOfTheDatabase(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, seed uint64) {
		if _, err := crashBinary(); err != nil { // before the server waits for somebody to use it
			t.Fatal(err)
		}
		s := &crashServer{Server: pgtest.NewServer(t, pgtest.Options{Sync: true}), t: t}
		c := s.world(seed)
		n := 0
		for what, accident := range s.accidents() {
			for m, moment := range crashMoments {
				if crashRuns(t) == 1 && m%6 != n%6 { // the short run takes each of the ways, and each of the moments
					continue
				}
				if c.done {
					c.end()
					c = s.world(c.rand.Uint64())
				}
				struck, sound := s.strike(c, what, moment, accident)
				crashes.add(what+" at "+moment, struck, sound)
			}
			n++
		}
		c.end()
	})
}

// strike lets an accident happen while the process is stopped at a moment, and wakes it. After some more commits it is killed.
func (s *crashServer) strike(c *crashWorld, what, moment string, accident func(*crashWorld)) (struck, sound bool) {
	p := c.launch(fmt.Sprintf("%s:stop@%d,memory.moved:kill@9", moment, 1+c.rand.IntN(3)))
	if !c.stops(p) {
		c.done = p.ProcessState.ExitCode() == cli.ExitOK
		return false, c.sound("a run without an accident")
	}
	accident(c)
	s.must(s.Start(context.Background()))
	s.keep(c)
	sound = c.sound(what + " at " + moment)
	c.wake(p)
	sound = c.goesOn(p, what+" at "+moment) && sound
	return true, c.sound("recovery from "+what+" at "+moment) && sound
}

// goesOn waits for the end of a run that is killed after some commits, unless it is complete before.
func (c *crashWorld) goesOn(p *process, after string) bool {
	c.t.Helper()
	code := p.code(c.t, 2*time.Minute)
	if c.done = code == cli.ExitOK; c.done || contains(p.out.String(), "fail point memory.moved\n") {
		return true
	}
	c.t.Errorf("after %s the run did not go on, exit code %d:\n%s", after, code, p.out.String())
	return false
}

// TestCrashOfTheLineAtCommit cuts the line to the database at a COMMIT in all three places, and in the middle of a COPY.
func TestCrashOfTheLineAtCommit(t *testing.T) {
	cuts := []struct {
		what string
		at   pgtest.Break
	}{
		{"line cut before the COMMIT", pgtest.BeforeCommit}, {"line cut, COMMIT late", pgtest.LateCommit},
		{"line cut after the COMMIT", pgtest.AfterCommit}, {"line cut in the COPY", pgtest.InCopy},
	}
	t.Parallel()
	crashRounds(t, func(t *testing.T, seed uint64) {
		c := newCrashWorld(t, seed, nil).begin()
		c.killed("job.created", "job.created:kill") // its COMMIT is not the one to cut
		for _, cut := range cuts {
			c.proxy = nil
			c.cut(cut.at)
			p := c.launch("memory.moved:kill@5")
			if cut.at == pgtest.LateCommit {
				c.release(p)
			}
			sound := c.goesOn(p, cut.what)
			crashes.add(cut.what, c.proxy.Cuts() == 1, c.sound(cut.what) && sound)
			if c.proxy.Cuts() != 1 {
				t.Errorf("%s: nothing was cut", cut.what)
			}
		}
		c.end()
	})
}

// release lets a late COMMIT through, when the batch has come again and waits for it; or when the other shards were so quick
// that the process was killed before: then the COMMIT of a dead process lands.
func (c *crashWorld) release(p *process) {
	c.t.Helper()
	defer c.proxy.Release()
	waits := 0
	for waits == 0 {
		select {
		case <-p.exited:
			return
		case <-time.After(2 * time.Millisecond):
		}
		c.query(`select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`, nil, &waits)
	}
}
