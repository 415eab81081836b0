package embedpg

import (
	"os/exec"
	"strings"
	"testing"
)

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
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
	}
}
