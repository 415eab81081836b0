package embedpg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// rootBase holds the servers that root starts: user postgres can enter it, unlike /root.
const rootBase = "/var/lib/sluice"

// home is the directory of one server; see the package's documentation for what is in it.
type home string

func (h home) data() string   { return filepath.Join(string(h), "data") }
func (h home) conf() string   { return filepath.Join(string(h), "sluice.conf") }
func (h home) pgpass() string { return filepath.Join(string(h), "pgpass") }
func (h home) log() string    { return filepath.Join(string(h), "log") }
func (h home) lock() string   { return filepath.Join(string(h), "lock") }
func (h home) alive() string  { return filepath.Join(string(h), "alive") }

// lastRun is the file that Remember writes.
func (h home) lastRun() string { return filepath.Join(string(h), "database") }

// initialised reports whether there is a cluster. The data directory gets its name only when initdb is done, so a half-made one
// does not count.
func (h home) initialised() (bool, error) {
	_, err := os.Stat(filepath.Join(h.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return false, fmt.Errorf("look into %s: it belongs to another user; run as that user, or set DATABASE_URL: %w", h, err)
	}
	return err == nil, err
}

// create makes the directory, open to the server's user if that is another one. An existing one must be ours; root may also use
// that of the user whose checkout it is.
func (h home) create() error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(string(h)), mode); err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	switch err := os.Mkdir(string(h), mode); {
	case err == nil:
		return os.Chmod(string(h), mode) // regardless of the umask
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	return h.checkOwner()
}

// checkOwner refuses a directory that another user has made.
func (h home) checkOwner() error {
	uid, _, err := owner(string(h))
	if err == nil && int(uid) != os.Geteuid() {
		err = fmt.Errorf("it belongs to another user (uid %d): run as that user, or set DATABASE_URL", uid)
	}
	if err != nil {
		return fmt.Errorf("use the server in %s: %w", h, err)
	}
	return nil
}

// give hands a file that root made to the owner of the home, who can then use the server without root, too.
func (h home) give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := owner(string(h))
	if err != nil {
		return err
	}
	return os.Chown(path, int(uid), int(gid))
}

// homeOf returns where the server of a checkout lives, or would live.
func homeOf(checkout string) (home, error) {
	link := filepath.Join(checkout, ".sluice", "pg")
	if there, err := filepath.EvalSymlinks(link); err == nil {
		return home(there), nil
	}
	if os.Geteuid() != 0 {
		return home(link), nil
	}
	path, err := filepath.EvalSymlinks(checkout)
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	sum := sha256.Sum256([]byte(path))
	return home(filepath.Join(rootBase, hex.EncodeToString(sum[:6]))), nil
}

// point makes the symbolic link from the checkout to a home elsewhere. It is for people: root finds the home by the checkout's
// path alone, so a checkout that cannot be written is no error.
func point(checkout string, h home) {
	link := filepath.Join(checkout, ".sluice", "pg")
	if link == string(h) || os.MkdirAll(filepath.Dir(link), 0o755) != nil {
		return
	}
	if old, err := os.Readlink(link); err == nil && old != string(h) {
		_ = os.Remove(link)
	}
	_ = os.Symlink(string(h), link)
}

func owner(path string) (uid, gid uint32, err error) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.IsDir() {
		return 0, 0, fmt.Errorf("%s is not a directory", path)
	}
	return sys.Uid, sys.Gid, nil
}

// checkoutOf returns the absolute path of the checkout that a Config selects.
func checkoutOf(cfg Config) (string, error) {
	if cfg.Checkout != "" {
		return filepath.Abs(cfg.Checkout)
	}
	if dir := checkoutOfProgram(); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	return checkoutAround(dir), err
}

// checkoutOfProgram returns the checkout that holds this program as .sluice/bin/… or bin/…, or "".
func checkoutOfProgram() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return checkoutOfBinary(path)
}

func checkoutOfBinary(path string) string {
	dir, in := filepath.Split(filepath.Dir(path))
	dir = filepath.Clean(dir)
	if in != "bin" {
		return ""
	}
	if filepath.Base(dir) == ".sluice" {
		return filepath.Dir(dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return dir
	}
	return ""
}

// checkoutAround returns the nearest directory, from dir upwards, that has a .sluice or a go.mod, else dir itself.
func checkoutAround(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		for _, mark := range []string{".sluice", "go.mod"} {
			if _, err := os.Stat(filepath.Join(at, mark)); err == nil {
				return at
			}
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// Remember writes the name of a run's database into the server's home, for later commands.
func (s *Server) Remember(database string) error {
	path := s.home.lastRun()
	if err := os.WriteFile(path, []byte(database+"\n"), 0o600); err != nil {
		return err
	}
	return s.home.give(path)
}

// Remembered returns the database of the last run; empty if there was none.
func (s *Server) Remembered() string {
	text, err := os.ReadFile(s.home.lastRun())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
