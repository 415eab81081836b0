package sink

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrURL marks a DATABASE_URL that cannot be read. Its text repeats no part of the URL: if the URL does not parse as its writer
// meant, any part of it may be a piece of the password.
var ErrURL = errors.New("DATABASE_URL cannot be read")

const urlForm = "write it as postgres://user:password@host:5432/database"

// parseURL reads a connection string, a URL or keyword/value pairs. The driver's words about it are repeated only if they hold
// for the same string without its password.
func parseURL(s string) (*pgxpool.Config, error) {
	withoutPassword, err := splitURL(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	if _, err := pgxpool.ParseConfig(withoutPassword); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	config, err := pgxpool.ParseConfig(s)
	if err != nil {
		return nil, fmt.Errorf("%w: the password is not written as the URL demands; percent-encode every character of it but letters and digits", ErrURL)
	}
	return config, nil
}

// CheckURL reports why a connection string cannot be read; the error is an ErrURL.
func CheckURL(s string) error {
	_, err := parseURL(s)
	return err
}

// splitURL returns s without its password, or why it is ambiguous where the password ends.
func splitURL(s string) (withoutPassword string, err error) {
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case !isURL:
		return splitPairs(s)
	case scheme != "postgres" && scheme != "postgresql":
		return "", errors.New("it does not begin with postgres:// or postgresql://; " + urlForm + ", without quotes")
	}
	for _, c := range []struct{ char, code string }{{" ", "%20"}, {"\t", "%09"}, {"\n", "%0A"}, {"#", "%23"}} {
		if strings.Contains(rest, c.char) {
			return "", fmt.Errorf("it contains %q; in a password that character is written %s", c.char, c.code)
		}
	}
	if badPercent.MatchString(rest) {
		return "", errors.New("it contains a % that is not followed by two hexadecimal digits; in a password % is written %25")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	switch at := strings.Count(authority, "@"); {
	case at > 1 || at == 1 && strings.Contains(tail, "@"):
		return "", errors.New("it contains more than one @; in a user name, a password or a parameter @ is written %40")
	case strings.Contains(tail, "@"):
		return "", fmt.Errorf("it contains %q before the @; in a password / is written %%2F and ? is written %%3F", tail[:1])
	}
	user, hosts, hasUser := strings.Cut(authority, "@")
	if !hasUser {
		user, hosts = "", user
	}
	for _, host := range strings.Split(hosts, ",") {
		if _, port, ok := cutPort(host); ok && !isPort(port) {
			return "", errors.New("the port after the host is not a number; " + urlForm)
		}
	}
	if _, parameters, ok := strings.Cut(tail, "?"); ok {
		for parameter := range strings.SplitSeq(parameters, "&") {
			if name, _, _ := strings.Cut(parameter, "="); strings.EqualFold(name, "schema") || name == "currentSchema" {
				return "", fmt.Errorf("%s is no parameter of PostgreSQL's; --schema says where the tables are", name)
			}
			if !namedValue.MatchString(parameter) {
				return "", errors.New("a parameter after the ? is not of the form name=value; in a value & is written %26 and ? is written %3F")
			}
		}
	}
	if name, _, ok := strings.Cut(user, ":"); ok {
		user = name + ":x"
	}
	if hasUser {
		user += "@"
	}
	return scheme + "://" + user + hosts + secretParameter.ReplaceAllString(tail, "${1}x"), nil
}

var (
	badPercent      = regexp.MustCompile(`%(?:$|.$|[^0-9A-Fa-f]|.[^0-9A-Fa-f])`)
	namedValue      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*=[^?]*$`)
	secretParameter = regexp.MustCompile(`([?&](?:ssl)?password=)[^&]*`)
	pairs           = regexp.MustCompile(`^\s*(?:[a-z_]+\s*=\s*(?:'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?:\s+|$))*$`)
	secretPair      = regexp.MustCompile(`((?:^|\s)(?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)`)
)

// splitPairs does the same for keyword/value pairs.
func splitPairs(s string) (string, error) {
	if !pairs.MatchString(s) {
		return "", errors.New(urlForm + ", or as host=… user=… password='…', with \\ before ' and \\ in a value")
	}
	return secretPair.ReplaceAllString(s, "${1}x"), nil
}

// cutPort splits a port off a host, which may be an IPv6 address in brackets.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndex(s, ":")
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// DescribeURL returns the hosts and the database of a connection string, never its user or password; "" if it cannot be read.
func DescribeURL(s string) string {
	config, err := parseURL(s)
	if err != nil {
		return ""
	}
	return strings.Join(hostsOf(config.ConnConfig), ",") + "/" + config.ConnConfig.Database
}

// hostsOf returns the addresses of all servers that are tried.
func hostsOf(conn *pgx.ConnConfig) []string {
	hosts := []string{net.JoinHostPort(conn.Host, strconv.Itoa(int(conn.Port)))}
	for _, f := range conn.Fallbacks {
		if at := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(hosts, at) { // each is listed with and without TLS
			hosts = append(hosts, at)
		}
	}
	return hosts
}
