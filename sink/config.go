package sink

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// Config selects a database, and the job and run on whose behalf it is written to. Zero values mean the defaults.
type Config struct {
	URL             string        // of PostgreSQL, password included
	PasswordCommand string        // of a shell: it prints the password, for each session anew; default: that of URL, or of its passfile
	Schema          string        // that all tables are in; default "public". It is made if there is none
	Job             string        // name of the job; default "default"
	Run             uuid.UUID     // of this run of the program; default: a new one
	Writers         int           // concurrent commits; default 2: more are no faster on two cores
	Timeout         time.Duration // of one attempt to commit, and of a query of the ledger; default 60 s
	Pause           *shard.Pause  // the operator holds the run while it is shut, which the lock of the job shows; default: never
	Log             *slog.Logger  // default: slog.Default

	pooled bool // sessions are those of a pooler
}

func (c Config) withDefaults() Config {
	c.Schema = cmp.Or(c.Schema, publicSchema)
	c.Job = cmp.Or(c.Job, "default")
	if c.Run == uuid.Nil {
		c.Run = uuid.New()
	}
	c.Writers = cmp.Or(c.Writers, 2)
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

func (c Config) validate() error {
	var faults []error
	if c.URL == "" {
		faults = append(faults, errors.New("Config.URL is empty: it must lead to a PostgreSQL database"))
	}
	if err := CheckSchema(c.Schema); err != nil {
		faults = append(faults, fmt.Errorf("Config.Schema: %w", err))
	}
	if c.Writers < 1 {
		faults = append(faults, fmt.Errorf("Config.Writers is %d: at least 1", c.Writers))
	}
	if c.Timeout < time.Second {
		faults = append(faults, fmt.Errorf("Config.Timeout is %v: at least 1s", c.Timeout))
	}
	return errors.Join(faults...)
}

const publicSchema = "public"

// CheckSchema reports why no schema of ours can have that name.
func CheckSchema(name string) error {
	const longest = 63 // bytes: PostgreSQL cuts what is longer
	switch {
	case name == "", len(name) > longest, !utf8.ValidString(name), strings.ContainsRune(name, 0):
		return fmt.Errorf("the name of a schema has from 1 to %d bytes of UTF-8", longest)
	case strings.HasPrefix(name, "pg_"), name == "information_schema", name == "$user":
		return fmt.Errorf("schema %s is PostgreSQL's own", name)
	}
	return nil
}

// QuoteName writes a name as SQL does.
func QuoteName(name string) string { return pgx.Identifier{name}.Sanitize() }

// spareConns are connections beside those of the writers: for ledger, quotas, status.
const spareConns = 3

// pool returns the settings of the connection pool. Those of the session are part of the startup packet, or are made before a
// connection is used, so that none is ever without them.
func (c Config) pool() (*pgxpool.Config, error) {
	pool, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	pool.MaxConns = int32(c.Writers) + spareConns
	pool.BeforeConnect = c.renew
	conn := pool.ConnConfig
	if conn.ValidateConnect == nil && len(hostsOf(conn)) > 1 && !strings.Contains(c.URL, "target_session_attrs") {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several servers one is the primary
	}
	for _, ours := range libpqOnly {
		delete(conn.RuntimeParams, ours)
	}
	conn.ConnectTimeout = cmp.Or(conn.ConnectTimeout, 5*time.Second)
	dial := (&net.Dialer{Control: limitUnanswered, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	dial = failpoint.Sent(dial, "c\x00\x00\x00\x04", "copy.ended")      // the message CopyDone
	conn.DialFunc = failpoint.Sent(dial, "; commit\x00", "commit.sent") // of batches alone, see finish
	conn.OnNotice = c.onNotice
	if c.pooled {
		conn.AfterConnect = c.applySettings
		return pool, nil
	}
	for name, value := range c.session() {
		conn.RuntimeParams[name] = value
	}
	return pool, nil
}

// libpqOnly are parameters of libpq that the driver would send to the server, which knows none of them. Keepalives are always on.
var libpqOnly = []string{"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "gssencmode", "sslcompression",
	"requiressl", "sslcrl", "fallback_application_name"}

// statementTimeout is the server's bound on each of our statements.
const statementTimeout = "30s"

// session returns the settings of every session: nothing waits for ever for us or for a lock, and a connection whose other end is
// gone is noticed within half a minute.
func (c Config) session() map[string]string {
	return map[string]string{
		"application_name":                    c.applicationName(),
		"search_path":                         QuoteName(c.Schema), // no statement names a schema
		"client_encoding":                     "UTF8",
		"timezone":                            "UTC",
		"lock_timeout":                        "5s",
		"statement_timeout":                   statementTimeout,
		"idle_in_transaction_session_timeout": "15s",
		"tcp_keepalives_idle":                 "10",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    "20s",
	}
}

// applicationName is sluice/<job>/<run>, as pg_stat_activity shows it. PostgreSQL cuts it after 63 bytes and replaces other
// characters than ASCII, so a long or non-ASCII job name is shortened, with a hash that keeps names apart; the run is shortened,
// too.
func (c Config) applicationName() string { return c.jobPrefix() + c.Run.String()[:8] }

// scope names a job among those of all schemas: they share the server's locks and its list of sessions.
func (c Config) scope(job string) string {
	if c.Schema == publicSchema {
		return job
	}
	return job + "\x00" + c.Schema
}

func (c Config) jobPrefix() string {
	const longest = 40
	job := c.scope(c.Job)
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '/' {
			return '_'
		}
		return r
	}, job)
	if name != job || len(name) > longest {
		hash := fnv.New32a()
		hash.Write([]byte(job))
		name = fmt.Sprintf("%.30s~%08x", name, hash.Sum32())
	}
	return "sluice/" + name + "/"
}
