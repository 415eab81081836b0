package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/jackc/pgx/v5"
)

// boot starts the cluster on its old port, or on another where somebody else has taken that meanwhile: even between our look
// and the server's own.
func (s *Server) boot(ctx context.Context, bin programs, run account) error {
	addr, err := s.home.readAddress()
	if err != nil {
		return fmt.Errorf("%w; without them the data cannot be reached: remove %s to begin with an empty database", err, s.home)
	}
	for range 3 {
		if addr.port, err = choosePort(addr.port); err != nil {
			return err
		}
		if err = errors.Join(s.writeConf(addr.port), s.home.writeAddress(addr)); err != nil {
			return err
		}
		s.addr.Store(&addr)
		if err = s.launch(ctx, bin, run); err == nil || portFree(addr.port) {
			return err
		}
	}
	return err
}

// launch starts the postmaster in a session of its own and waits until it answers.
func (s *Server) launch(ctx context.Context, bin programs, run account) error {
	alive, err := s.home.take(ctx, s.home.alive()) // free as soon as the orphans of a killed postmaster are gone
	if err != nil {
		return err
	}
	defer alive.Close()
	s.clearStalePid()
	log, err := s.freshLog()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := run.command(exec.Command(bin.path("postgres"), "-D", s.home.data()), s.home.data())
	cmd.SysProcAttr.Setsid = true
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{alive} // inherited by all its processes: see doc.go
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	alive.Close() // from here on only the server holds it
	return errors.Join(cmd.Process.Release(), s.await(ctx))
}

// await waits until the server answers or ends.
func (s *Server) await(ctx context.Context) error {
	err := until(ctx, func() (bool, error) {
		if s.ping(ctx) == nil {
			return true, nil
		}
		if !locked(s.home.alive()) {
			return true, errors.New("it ended at once")
		}
		return false, nil
	})
	if err != nil {
		said, _ := os.ReadFile(s.home.log())
		return fmt.Errorf("start PostgreSQL in %s: %w; the end of its log:\n%s", s.home, err, lastLines(string(said), 6))
	}
	return nil
}

// freshLog keeps one log of the time before, so that logs don't grow for ever.
func (s *Server) freshLog() (*os.File, error) {
	_ = os.Rename(s.home.log(), s.home.log()+".1")
	f, err := os.OpenFile(s.home.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	return f, s.home.give(s.home.log())
}

const selectDataDirectory = `select current_setting('data_directory')`

// ping asks the server at our address whether it is ours: after a crash somebody else's may have taken the port, and a
// copied checkout has the address of its original.
func (s *Server) ping(ctx context.Context) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, selectDataDirectory).Scan(&dir); err != nil {
		return err
	}
	if !sameFile(dir, s.home.data()) {
		return fmt.Errorf("the server at port %d is another one", s.addr.Load().port)
	}
	return nil
}

func (s *Server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.URL(database))
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = connectTimeout
	return pgx.ConnectConfig(ctx, cfg)
}
