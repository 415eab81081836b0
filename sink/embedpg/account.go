package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// account is the system user that runs the server: ourselves, or, as PostgreSQL refuses to run as root, another one.
type account struct {
	uid, gid uint32
	other    bool // not ourselves
}

// accountFor is the owner of the cluster where root works on somebody's, and user postgres where root has one made.
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

// systemAccount looks a system user up, and creates it where the server's package did not.
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

// addSystemUser tries the two programs that systems have for it: that of shadow, and that of BusyBox.
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
// variables of our own environment, which would speak to it of some other server.
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
