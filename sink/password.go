package sink

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// errPassword: the command that prints the password has failed. What it printed is not repeated.
var errPassword = errors.New("DATABASE_PASSWORD_COMMAND printed no password")

// passwordPatience is how long the command may take.
const passwordPatience = 20 * time.Second

// renew reads the password and the certificates again for each session: the passfile, or a certificate, may have been replaced, and
// what the command prints may live for minutes only.
func (c Config) renew(ctx context.Context, conn *pgx.ConnConfig) error {
	now, err := parseURL(c.URL)
	if err != nil {
		return err
	}
	conn.Password, conn.TLSConfig, conn.Fallbacks = now.ConnConfig.Password, now.ConnConfig.TLSConfig, now.ConnConfig.Fallbacks
	if c.PasswordCommand != "" {
		conn.Password, err = printed(ctx, c.PasswordCommand)
	}
	return err
}

// printed returns the first line that a shell command prints.
func printed(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, passwordPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	out, err := cmd.Output()
	line, _, _ := strings.Cut(string(out), "\n")
	switch line = strings.TrimSuffix(line, "\r"); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%w: %w", errPassword, context.Cause(ctx))
	case err != nil:
		return "", fmt.Errorf("%w: %w", errPassword, err)
	case line == "":
		return "", errPassword
	}
	return line, nil
}
