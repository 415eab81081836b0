package embedpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// PSQL is a psql on a database of the server, without the password on its command line. The caller gives it a terminal.
func (s *Server) PSQL(database string) *exec.Cmd {
	cmd := exec.Command(psqlProgram(), s.psqlArgs(database)...)
	cmd.Env = append(os.Environ(), "PGPASSFILE="+s.home.pgpass())
	return cmd
}

// PSQLLine is what a person types in a shell to look into a database of the server. It holds no secret.
func (s *Server) PSQLLine(database string) string {
	line := "PGPASSFILE=" + quote(s.home.pgpass())
	for _, word := range append([]string{psqlProgram()}, s.psqlArgs(database)...) {
		line += " " + quote(word)
	}
	return line
}

// psqlProgram is psql itself where PATH has it, else that of the server's installation.
func psqlProgram() string {
	if _, err := exec.LookPath("psql"); err == nil {
		return "psql"
	}
	for _, p := range findPrograms(context.Background(), "/") {
		if path := p.path("psql"); executable(path) {
			return path
		}
	}
	return "psql"
}

func (s *Server) psqlArgs(database string) []string {
	return []string{"-h", "127.0.0.1", "-p", fmt.Sprint(s.addr.Load().port), "-U", superuser, database}
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// quote makes one word of a POSIX shell's line.
func quote(word string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("-_./:=@%+,", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
