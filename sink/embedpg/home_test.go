package embedpg

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheckoutAround(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := checkoutAround(deep); got != deep {
		t.Errorf("without a mark: %s", got)
	}
	if err := os.WriteFile(filepath.Join(top, "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := checkoutAround(deep); got != top {
		t.Errorf("below a go.mod: %s", got)
	}
	if err := os.Mkdir(filepath.Join(top, "a", ".sluice"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := checkoutAround(deep), filepath.Join(top, "a"); got != want {
		t.Errorf("below a .sluice: %s", got)
	}
}

// The program finds its checkout wherever it is called, as `sluice db stop` is from anywhere.
func TestCheckoutOfBinary(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for path, want := range map[string]string{
		".sluice/bin/sluice": top,
		"bin/sluice":         "", // /usr/local/bin is no checkout
		"b001/sluice.test":   "",
	} {
		if got := checkoutOfBinary(filepath.Join(top, path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := checkoutOfBinary(filepath.Join(top, "bin", "sluice")); got != top {
		t.Errorf("bin/sluice beside a go.mod: %q", got)
	}
}

func TestHomeOf(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	h, err := homeOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, ".sluice", "pg")
	if os.Geteuid() != 0 {
		if string(h) != link {
			t.Errorf("home %s, want %s", h, link)
		}
		return
	}
	if filepath.Dir(string(h)) != rootBase {
		t.Errorf("home %s, want one in %s", h, rootBase)
	}
	// The link leads back to the home, also from a checkout that was moved, and is no loss if it is removed.
	elsewhere := home(t.TempDir())
	point(dir, elsewhere)
	moved := dir + " moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if got, err := homeOf(moved); err != nil || got != elsewhere {
		t.Errorf("moved: %s, want %s; error %v", got, elsewhere, err)
	}
	point(moved, h)
	if got, err := os.Readlink(filepath.Join(moved, ".sluice", "pg")); err != nil || got != string(h) {
		t.Errorf("the link leads to %s, want %s; error %v", got, h, err)
	}
}

// A directory in /tmp that another user has prepared is not used, not even by root.
func TestCheckOwner(t *testing.T) {
	t.Parallel()
	ours := home(t.TempDir())
	if err := ours.checkOwner(); err != nil {
		t.Error(err)
	}
	other := home("/") // root's
	if os.Geteuid() == 0 {
		other = home(t.TempDir())
		if err := os.Chown(string(other), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	link := home(filepath.Join(t.TempDir(), "link"))
	if err := os.Symlink(string(ours), string(link)); err != nil {
		t.Fatal(err)
	}
	for _, h := range []home{other, link} {
		if h.checkOwner() == nil {
			t.Errorf("%s is taken for ours", h)
		}
	}
}
