package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Level is how bad a finding is.
type Level int

// The levels of a finding.
const (
	OK   Level = iota
	Warn       // works, but not as well or as safely as it could
	Fail       // a run would fail, or lose what it promises
)

func (l Level) String() string { return [...]string{"ok", "warn", "fail"}[l] }

// Finding is the answer of one probe.
type Finding struct {
	Name   string
	Level  Level
	Detail string
	Hint   string // what to do about it; empty where all is well
}

// Diagnose looks at the database before anything is written to it. It changes nothing. Where the database cannot be reached,
// that is the only finding.
func Diagnose(ctx context.Context, config Config) []Finding {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return []Finding{{"connect", Fail, err.Error(), "set DATABASE_URL"}}
	}
	pool, err := config.pool()
	if err != nil {
		return []Finding{{"connect", Fail, err.Error(), "correct DATABASE_URL"}}
	}
	began := time.Now()
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return []Finding{refusal(pool.ConnConfig, err)}
	}
	defer conn.Close(context.WithoutCancel(ctx))
	detail := fmt.Sprintf("%s on %s, in %v", pool.ConnConfig.Database, pool.ConnConfig.Host, time.Since(began).Round(time.Millisecond))
	findings := []Finding{{"connect", OK, detail, ""}}
	for _, probe := range probes(config) {
		findings = append(findings, probe.ask(ctx, conn))
	}
	return findings
}

// Examine asks again what would make a run lose or spoil what it writes: before the first row, and once more when a run says
// that all is well, because what an operator changes in between raises no error. A COPY writes jsonb as readily into a column
// that is text by now. Only what is not well is returned.
func (p *Postgres) Examine(ctx context.Context) (findings []Finding, err error) {
	err = p.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		for _, probe := range vital {
			level, detail, hint, err := probe.run(ctx, conn.Conn())
			if err != nil {
				return err
			}
			if level != OK {
				findings = append(findings, Finding{probe.name, level, detail, hint})
			}
		}
		return nil
	})
	if err != nil {
		return nil, ledgerError(err, "look at the tables")
	}
	return findings, nil
}

// vital are the probes without which a run could end well and the data be wrong.
var vital = []probe{
	{"encoding", probeEncoding},
	{"durability", probeDurability},
	{"tables", probeMissing},
	{"events table", probeEvents},
	{"logged tables", probeLogged},
	{"triggers", probeTriggers},
	{"rules", probeRules},
	{"row security", probeRowSecurity},
}

func refusal(at *pgx.ConnConfig, err error) Finding {
	if hasCode(err, protocolViolation) {
		return Finding{"connect", Fail, fmt.Sprintf("%v (%v)", ErrPooler, err), "give the address of PostgreSQL itself"}
	}
	why := connectError(at.Host, at.Port, err)
	return Finding{"connect", Fail, why.Why, why.Hint}
}

// probe asks the server one thing.
type probe struct {
	name string
	run  func(ctx context.Context, conn *pgx.Conn) (level Level, detail, hint string, err error)
}

func (p probe) ask(ctx context.Context, conn *pgx.Conn) Finding {
	level, detail, hint, err := p.run(ctx, conn)
	if hasCode(err, notPermitted) {
		return Finding{p.name, Warn, "may not be asked: " + err.Error(), "see privileges"}
	}
	if err != nil {
		return Finding{p.name, Warn, "could not be asked: " + err.Error(), "mend what is said above, and ask again"}
	}
	return Finding{p.name, level, detail, hint}
}

// probes in the order in which they are shown.
func probes(config Config) []probe {
	return slices.Concat([]probe{
		{"line", probeLine},
		{"pooler", probePooler},
		{"version", probeVersion},
		{"writable", probeWritable},
		{"schema", probeSchema},
		{"privileges", probePrivileges},
	}, vital, []probe{
		{"connections", probeConnections(config.Writers + spareConns + 1)}, // one for the lock
		{"commit", probeCommit},
		{"clock", probeClock},
		{"disk", probeDisk},
	})
}

func probePooler(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	err := refusePooler(ctx, conn)
	if errors.Is(err, ErrPooler) {
		return Fail, err.Error(), "give the address of PostgreSQL itself", nil
	}
	return OK, "sessions are the server's own", "", err
}

func probeVersion(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var text string
	var number int
	err := conn.QueryRow(ctx, selectServerVersion).Scan(&text, &number)
	switch {
	case err == nil && number < 120000:
		return Fail, text, "Sluice needs PostgreSQL 12, and is tested with 15 and later", nil
	case err == nil && number < 140000:
		return Warn, text, "Sluice is tested with PostgreSQL 15 and later", nil
	}
	return OK, text, "", err
}

const selectServerVersion = `select current_setting('server_version'), current_setting('server_version_num')::int`

func probeEncoding(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var encoding string
	err := conn.QueryRow(ctx, selectEncoding).Scan(&encoding)
	if err == nil && encoding != "UTF8" {
		return Fail, encoding, "events are Unicode: create the database with encoding 'UTF8' template template0", nil
	}
	return OK, encoding, "", err
}

const selectEncoding = `select current_setting('server_encoding')`

func probeWritable(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var recovering, readOnly bool
	err := conn.QueryRow(ctx, selectWritable).Scan(&recovering, &readOnly)
	switch {
	case err == nil && recovering:
		return Fail, "the server is a standby", "give the address of the primary", nil
	case err == nil && readOnly:
		return Fail, "default_transaction_read_only is on", "switch it off for this role or database", nil
	}
	return OK, "takes writes", "", err
}

const selectWritable = `select pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean`

func probeDurability(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var fsync, pages bool
	var commit string
	err := conn.QueryRow(ctx, selectDurability).Scan(&fsync, &pages, &commit)
	switch {
	case err == nil && (!fsync || !pages):
		return Warn, fmt.Sprintf("fsync %t, full_page_writes %t", fsync, pages), "a crash of the machine may destroy the database: switch both on", nil
	case err == nil && commit == "off":
		return Warn, "synchronous_commit off", "a crash may take the last commits back; rows and checkpoints stay equal, and a rerun fetches them again", nil
	}
	return OK, "what is committed stays", "", err
}

const selectDurability = `
select current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean, current_setting('synchronous_commit')`
