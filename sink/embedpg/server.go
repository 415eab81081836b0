package embedpg

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Config says which server is meant. The zero value means that of the checkout that we are in.
type Config struct {
	// Checkout is the directory whose .sluice the server belongs to. Default: the checkout that the program was built in, so
	// that it finds its server wherever it is called; else the nearest directory, from the current one upwards, that has a
	// .sluice or a go.mod; else the current one.
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

// ErrNone says that the checkout has no server yet.
var ErrNone = errors.New("there is no private PostgreSQL server here yet; `sluice run` or `sluice db start` makes one")

// What a start may take, with a package to install or a crash to recover from, and what a stop may, with its last checkpoint.
const (
	startTimeout = 10 * time.Minute
	stopTimeout  = 2 * time.Minute
)

// Server is a private PostgreSQL server, running or not. Its methods may be called by several goroutines and processes at
// once: whoever changes something holds the home's lock.
type Server struct {
	home     home
	checkout string // "" for a server outside of any
	config   Config
	addr     atomic.Pointer[address]
}

// Start returns the checkout's server, running: it is made on first use, adopted where it runs, and started where it does
// not, after a crash too. The server outlives the caller.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.start(ctx)
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

// locate says where the server is or would be, and touches nothing.
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

// Start starts a server that exists, if it does not run. (The function of the same name also makes one.)
func (s *Server) Start(ctx context.Context) error { return s.start(ctx) }

func (s *Server) start(ctx context.Context) error {
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

// adopt waits while the server lives, until it answers. False means that it does not live and may be started.
func (s *Server) adopt(ctx context.Context) bool {
	if s.load() != nil {
		return false
	}
	answers := false
	err := until(ctx, func() (bool, error) {
		if !s.lives() {
			return true, nil // and nobody asks a port that may be somebody else's by now
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

// load takes the address from its file.
func (s *Server) load() error {
	a, err := s.home.readAddress()
	if err == nil {
		s.addr.Store(&a)
	}
	return err
}

// URL is the connection string of a database on the server, with the password in it. It holds until the next start, which
// may have to take another port.
func (s *Server) URL(database string) string { return s.addr.Load().url(database) }
