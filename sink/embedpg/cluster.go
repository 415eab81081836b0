package embedpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// initialise makes the cluster under another name and renames it, so that a killed initdb leaves nothing that could be mistaken
// for a cluster. The password is written first: a cluster without it would be useless.
func (s *Server) initialise(ctx context.Context, bin programs, run account) error {
	s.config.Say(fmt.Sprintf("making a private PostgreSQL %d in %s", bin.major, s.home))
	addr := address{password: rand.Text()} // the port comes later, when the server starts
	if err := s.home.writeAddress(addr); err != nil {
		return err
	}
	if err := s.initdb(ctx, bin, run, addr.password); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w", s.home, err)
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, bin programs, run account, password string) error {
	temp := s.home.data() + ".new" // replaces what a killed initdb has left
	defer os.RemoveAll(temp)
	if err := errors.Join(os.RemoveAll(temp), os.Mkdir(temp, 0o700), run.own(temp)); err != nil {
		return err
	}
	fresh, secret := filepath.Join(temp, "data"), filepath.Join(temp, "password")
	if err := errors.Join(os.WriteFile(secret, []byte(password+"\n"), 0o600), run.own(secret)); err != nil {
		return err
	}
	// Locale C sorts by bytes: the same on every system, and indexes survive an upgrade of its C library.
	args := []string{"-D", fresh, "-U", superuser, "--pwfile=" + secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"}
	if s.config.NoSync {
		args = append(args, "--no-sync")
	}
	cmd := run.command(exec.CommandContext(ctx, bin.path("initdb"), args...), temp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(string(out), 8))
	}
	// Our settings come after the cluster's own, which initdb has fitted to the system.
	conf := filepath.Join(fresh, "postgresql.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		return err
	}
	text = fmt.Appendf(text, "\ninclude_if_exists = '../%s'\n", filepath.Base(s.home.conf()))
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, s.home.data())
}

// own gives a path to the account, unless that is our own.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// baseSettings suit a small machine that takes in much data. Everything that durability needs stays on. More shared_buffers,
// wal_compression, and larger values of the others gained nothing measurable; rare checkpoints did.
const baseSettings = `listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 256MB
maintenance_work_mem = 128MB
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
wal_level = minimal
max_wal_senders = 0
jit = off
log_checkpoints = off
log_line_prefix = '%m [%p] %q%a '
lc_messages = 'C'
timezone = 'UTC'
`

const noSyncSettings = `fsync = off
synchronous_commit = off
full_page_writes = off
`

// writeConf writes our settings; of two lines of one name PostgreSQL takes the later.
func (s *Server) writeConf(port int) error {
	text := baseSettings
	if s.config.NoSync {
		text += noSyncSettings
	}
	text += fmt.Sprintf("port = %d\n%s\n", port, strings.Join(s.config.Settings, "\n"))
	err := errors.Join(os.WriteFile(s.home.conf(), []byte(text), 0o644),
		os.Chmod(s.home.conf(), 0o644), // regardless of the umask: the server's user must read it
		s.home.give(s.home.conf()))
	if err != nil {
		return fmt.Errorf("write the server's settings: %w", err)
	}
	return nil
}

// account is the system user that runs the server: our own, or another one if we are root, as PostgreSQL refuses to run as root.
type account struct {
	uid, gid uint32
	other    bool // not our own
}

// accountFor returns our own account. For root it is the owner of an existing cluster, or user postgres for a new one.
func accountFor(ctx context.Context, h home) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, dir := range []string{h.data(), string(h)} {
		if uid, gid, err := owner(dir); err == nil && uid != 0 {
			return account{uid: uid, gid: gid, other: true}, nil
		}
	}
	return systemAccount(ctx, "postgres")
}

// systemAccount looks a system user up, and creates it if the server's package did not.
func systemAccount(ctx context.Context, name string) (account, error) {
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		if err := addSystemUser(ctx, name); err != nil {
			return account{}, err
		}
		u, err = user.Lookup(name)
	}
	if err != nil {
		return account{}, fmt.Errorf("look up the system user that runs PostgreSQL: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	return account{uid: uint32(uid), gid: uint32(gid), other: true}, errors.Join(uidErr, gidErr)
}

// addSystemUser tries the two programs that systems have for it: shadow's, and BusyBox's.
func addSystemUser(ctx context.Context, name string) error {
	var errs []error
	for _, line := range []string{"useradd --system --user-group --no-create-home --shell /bin/false ", "adduser -S -D -H -s /bin/false "} {
		words := strings.Fields(line + name)
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w: %s", words[0], err, strings.TrimSpace(string(out))))
	}
	return fmt.Errorf("create system user %s, because PostgreSQL refuses to run as root: %w", name, errors.Join(errs...))
}

// command prepares a program of PostgreSQL to run as this account, in a directory that it can enter, and without the PG*
// variables of our environment, which may point to another server.
func (a account) command(cmd *exec.Cmd, dir string) *exec.Cmd {
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR":
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}
