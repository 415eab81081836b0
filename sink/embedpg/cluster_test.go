package embedpg

import (
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// As root the tests of the server run once more as user nobody. (As an ordinary user they already did.)
func TestAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	dir, err := os.MkdirTemp("/tmp", "embedpg-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, gid := idsOf(t, "nobody")
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "embedpg.test")
	copyProgram(t, os.Args[0], binary)
	cmd := exec.Command(binary, "-test.run=^(TestServerLife|TestServerOutlives.*|TestInterrupted.*|TestHomeOf|TestInstallServer)$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "REQUIRE_PG=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func idsOf(t *testing.T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}

// copyProgram copies without a fork meanwhile: see ETXTBSY.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// What root's sudo leaves in a user's own home must stay usable for him.
func TestRootStartsAUsersServer(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	uid, gid := idsOf(t, "nobody")
	dir := newDir(t)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	startedAt(t, dir)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, f := range files {
		st, err := os.Lstat(filepath.Join(dir, f.Name()))
		if err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("%s does not belong to the user; error %v", f.Name(), err)
		}
	}
}
