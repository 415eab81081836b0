package embedpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// initialise makes the cluster under another name and renames it, so that an initdb that was killed leaves nothing that
// could be taken for a cluster. The password is kept first: a cluster without it would be of no use.
func (s *Server) initialise(ctx context.Context, bin programs, run account) error {
	s.config.Say(fmt.Sprintf("making a private PostgreSQL %d in %s", bin.major, s.home))
	addr := newAddress()
	if err := s.home.writeAddress(addr); err != nil {
		return err
	}
	fresh := s.home.data() + ".new"
	if err := emptyDir(fresh, run); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := s.initdb(ctx, bin, run, fresh, addr.password); err != nil {
		return err
	}
	if err := include(filepath.Join(fresh, "postgresql.conf"), "../"+filepath.Base(s.home.conf())); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return os.Rename(fresh, s.home.data())
}

func (s *Server) initdb(ctx context.Context, bin programs, run account, dir, password string) error {
	secret := filepath.Join(dir+".password", "password")
	if err := emptyDir(filepath.Dir(secret), run); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	defer os.RemoveAll(filepath.Dir(secret))
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	if err := run.own(secret); err != nil {
		return fmt.Errorf("hand the password to initdb: %w", err)
	}
	// Locale C sorts by bytes: the same on every system, and indexes survive an upgrade of its C library.
	args := []string{"-D", dir, "-U", superuser, "--pwfile=" + secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"}
	if s.config.NoSync {
		args = append(args, "--no-sync")
	}
	cmd := run.command(exec.CommandContext(ctx, bin.path("initdb"), args...), dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w\n%s", s.home, err, lastLines(string(out), 8))
	}
	return nil
}

// emptyDir makes a directory that belongs to the account, in place of whatever was left there.
func emptyDir(path string, run account) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return run.own(path)
}

// own gives a path to the account, where that is not ourselves.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// include lets a cluster's own configuration, with all that initdb found out about the system, end with ours.
func include(conf, ours string) error {
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\ninclude_if_exists = '%s'\n", ours)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// baseSettings fit a small machine that takes in much data. Whatever durability needs stays on. shared_buffers,
// wal_compression and larger ones of these gained nothing that could be measured; rare checkpoints did.
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
	if err := os.WriteFile(s.home.conf(), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the server's settings: %w", err)
	}
	if err := os.Chmod(s.home.conf(), 0o644); err != nil { // whatever the umask is: the server's user must read it
		return fmt.Errorf("write the server's settings: %w", err)
	}
	return s.home.give(s.home.conf())
}
