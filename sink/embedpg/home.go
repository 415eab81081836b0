package embedpg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// lastRun is a file with the name of the database of the last run.
func (h home) lastRun() string { return filepath.Join(string(h), "database") }

// initialised reports whether there is a cluster. The data directory gets its name only when initdb is through, so a
// half-made one does not count.
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

// create makes the directory, open to the server's user where that is not us. One that is there must be ours; root may work on
// a user's, whose checkout it is.
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
		return os.Chmod(string(h), mode) // whatever the umask is
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	return h.checkOwner()
}

// checkOwner refuses a directory that somebody else has made.
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

// give hands a file that root made to the owner of the home, so that he can use his server without root, too.
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

// homeOf is where the server of a checkout lives, or would live.
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

// point leaves the symbolic link that leads from the checkout to a home elsewhere. It is a signpost for people: root finds
// the home by the checkout's path alone, so a checkout that cannot be written is no error.
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
