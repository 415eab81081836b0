package embedpg

import (
	"os"
	"strings"
)

// Remember notes the database of a run in the server's home, for the commands that look at it later.
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
