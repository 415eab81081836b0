package embedpg

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	h := home(t.TempDir())
	want := address{port: 50123, password: "secret"}
	if err := h.writeAddress(want); err != nil {
		t.Fatal(err)
	}
	if got, err := h.readAddress(); err != nil || got != want {
		t.Errorf("read %+v, want %+v; error %v", got, want, err)
	}
	for _, bad := range []string{"", "127.0.0.1:x:*:sluice:y\n", "other:1:*:sluice:y\n"} {
		if err := os.WriteFile(h.pgpass(), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if a, err := h.readAddress(); err == nil {
			t.Errorf("%q was read as %+v", bad, a)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the file: %v", err)
		}
	}
}

func TestPSQL(t *testing.T) {
	t.Parallel()
	s := throwaway(t)
	cmd := s.PSQL("postgres")
	cmd.Args = append(cmd.Args, "-XAtc", "select current_user")
	out, err := cmd.CombinedOutput()
	if string(out) != "sluice\n" {
		t.Errorf("psql says %q, error %v", out, err)
	}
	line := s.PSQLLine("postgres")
	if strings.Contains(line, s.addr.Load().password) {
		t.Error("the line shows the password")
	}
	if out, err := exec.Command("sh", "-c", line+" -XAtc 'select 1'").CombinedOutput(); string(out) != "1\n" {
		t.Errorf("the line says %q, error %v", out, err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"/a/b-c_d.e": "/a/b-c_d.e", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "é": "'é'",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("ShellWord(%q) = %s, want %s", word, got, want)
		}
	}
}
