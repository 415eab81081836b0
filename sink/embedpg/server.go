package embedpg

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Config selects a server. The zero value means that of the current checkout.
type Config struct {
	// Checkout is the directory whose .sluice the server belongs to. Default: the checkout that the program was built in, so
	// that it finds its server wherever it is called from; else the nearest directory, from the current one upwards, that has
	// a .sluice or a go.mod; else the current one.
	Checkout string
	// Say gets a line about each step that takes a while or changes the system, such as an installed package or a new cluster.
	// Default: none.
	Say func(line string)
	// NoSync switches fsync off: a crash of the machine may cost all data. For tests.
	NoSync bool
	// Settings are further lines of postgresql.conf.
	Settings []string
	// Booted, if set, is called after each start that did not adopt a running server, while other starters wait.
	Booted func(context.Context, *Server) error
}

// ErrNone means that the checkout has no server yet.
var ErrNone = errors.New("there is no private PostgreSQL server here yet; `sluice run` or `sluice db start` makes one")

const (
	startTimeout = 10 * time.Minute // with a package to install, or a crash to recover from
	stopTimeout  = 2 * time.Minute  // with a last checkpoint
)

// Server is a private PostgreSQL server, running or not. It is safe for concurrent use, by several processes too: changes are
// made under the home's lock.
type Server struct {
	home     home
	checkout string // "" for a server outside of any
	config   Config
	addr     atomic.Pointer[address]
}

// Start returns the checkout's server, running: it is made on first use, adopted if it runs, and started otherwise, also after
// a crash. The server outlives the caller.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

// Find returns the checkout's server, which may be stopped, or [ErrNone]. It changes nothing.
func Find(cfg Config) (*Server, error) {
	s, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	switch made, err := s.home.initialised(); {
	case err != nil:
		return nil, err
	case !made:
		return nil, ErrNone
	}
	return s, s.load()
}

// At returns the server whose home is dir, outside of any checkout. Dir is made if it does not exist. One that belongs to
// another user is refused, even by root: its name may have been foreseen.
func At(dir string, cfg Config) (*Server, error) {
	s := newServer(home(dir), "", cfg)
	if err := s.home.create(); err != nil {
		return nil, err
	}
	return s, s.home.checkOwner()
}

// locate returns the server where it is or would be, and touches nothing.
func locate(cfg Config) (*Server, error) {
	checkout, err := checkoutOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("find the checkout: %w", err)
	}
	h, err := homeOf(checkout)
	if err != nil {
		return nil, err
	}
	return newServer(h, checkout, cfg), nil
}

func newServer(h home, checkout string, cfg Config) *Server {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	s := &Server{home: h, checkout: checkout, config: cfg}
	s.addr.Store(&address{})
	return s
}

// Start starts the server if it is not running, and makes its cluster if there is none.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it took longer than %v", startTimeout))
	defer cancel()
	if err := s.home.create(); err != nil {
		return err
	}
	held, err := s.home.take(ctx, s.home.lock())
	if err != nil {
		return err
	}
	defer held.Close()
	if s.adopt(ctx) {
		return nil
	}
	if err := s.bringUp(ctx); err != nil || s.config.Booted == nil {
		return err
	}
	return s.config.Booted(ctx, s)
}

// adopt waits while the server is alive, until it answers. False means that it is not alive and may be started.
func (s *Server) adopt(ctx context.Context) bool {
	if s.load() != nil {
		return false
	}
	answers := false
	err := until(ctx, func() (bool, error) {
		if !s.lives() {
			return true, nil // without a connection to a port that may be another server's by now
		}
		answers = s.ping(ctx) == nil
		return answers, nil
	})
	return err == nil && answers
}

// bringUp makes the cluster if there is none, and starts it.
func (s *Server) bringUp(ctx context.Context) error {
	all, err := ensurePrograms(ctx, s.config.Say)
	if err != nil {
		return err
	}
	bin, err := choose(all, s.home)
	if err != nil {
		return err
	}
	run, err := accountFor(ctx, s.home)
	if err != nil {
		return err
	}
	made, err := s.home.initialised()
	if err == nil && !made {
		err = s.initialise(ctx, bin, run)
	}
	if err != nil {
		return err
	}
	if s.checkout != "" {
		point(s.checkout, s.home)
	}
	return s.boot(ctx, bin, run)
}

// load reads the address from its file.
func (s *Server) load() error {
	a, err := s.home.readAddress()
	if err == nil {
		s.addr.Store(&a)
	}
	return err
}

// URL returns the connection string of a database on the server, password included. It is valid until the next start, which
// may have to take another port.
func (s *Server) URL(database string) string { return s.addr.Load().url(database) }

const selectDatabase = `select exists (select from pg_catalog.pg_database where datname = $1)`

// EnsureDatabase creates the database unless it exists, or another session creates it at the same moment (42P04, or 23505 from
// the catalogue's index).
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, selectDatabase, name).Scan(&there); err != nil || there {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	var pg *pgconn.PgError
	if err == nil || errors.As(err, &pg) && (pg.Code == "42P04" || pg.Code == "23505") {
		return nil
	}
	return fmt.Errorf("create database %s: %w", name, err)
}

// Status describes a server, for people.
type Status struct {
	Running bool
	Port    int
	Dir     string // its home
	Version string // of the running server; empty if it is stopped
}

const showVersion = `show server_version`

// Status returns what can be seen of the server.
func (s *Server) Status(ctx context.Context) Status {
	st := Status{Dir: string(s.home), Port: s.addr.Load().port}
	if !s.lives() || s.ping(ctx) != nil {
		return st
	}
	st.Running = true
	if conn, err := s.connect(ctx, "postgres"); err == nil {
		defer conn.Close(ctx)
		_ = conn.QueryRow(ctx, showVersion).Scan(&st.Version)
	}
	return st
}
