// Package doctor answers one question: is this PostgreSQL server fit for a run? Each probe asks the server one thing, changes
// nothing, and reports a [Finding] with a hint how to fix what is wrong.
//
// [Diagnose] runs all probes, for people. [Vital] runs those without which a run could end well and its data be wrong; every
// run asks them before its first row and again before it reports that all is well, because what an operator changes in between
// raises no error: a COPY writes jsonb as readily into a column that has become text.
//
// The package sees nothing but a connection; sink connects and hands it over, so that commands need not know the driver.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/migrations"
)

// Level is how bad a finding is.
type Level string

// The levels of a finding.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, but not as well or as safely as it could
	Fail Level = "fail" // a run would fail, or break a promise
)

// Finding is the result of one probe.
type Finding struct {
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // how to fix it; empty if nothing needs fixing
}

// Diagnose runs every probe. conns is the number of connections that a run opens. A probe that fails becomes a warning.
func Diagnose(ctx context.Context, conn *pgx.Conn, conns int) []Finding {
	all := slices.Concat([]probe{
		{"encryption", probeEncryption},
		{"pooler", probePooler},
		{"version", probeVersion},
		{"writable", probeWritable},
		{"schema", probeSchema},
		{"names", probeNames},
		{"privileges", probePrivileges},
	}, vital, []probe{
		{"connections", probeConnections(conns)},
		{"clock", probeClock},
		{"disk", probeDisk},
		{"standby", probeStandby},
		{"commit", probeCommit}, // the last one: if it takes too long, its session is lost
	})
	findings := make([]Finding, len(all))
	for i, probe := range all {
		f, err := probe.within(ctx, conn, patience)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			f = fail(fmt.Sprintf("no answer within %v", patience), "look at wait_event in pg_stat_activity: a lock, a disk, or SyncRep, a synchronous standby that is away")
		case errors.As(err, new(*migrations.ForeignError)):
			f = warn("not looked at: the tables are not ours", "see names")
		case hasCode(err, notPermitted):
			f = warn("not permitted: "+err.Error(), "see privileges")
		case err != nil:
			f = warn("could not be checked: "+err.Error(), "fix the findings above and run the check again")
		}
		f.Name = probe.name
		findings[i] = f
	}
	return findings
}

// Vital runs the probes that a run depends on and returns the findings that are not [OK].
func Vital(ctx context.Context, conn *pgx.Conn) (findings []Finding, err error) {
	for _, probe := range vital {
		f, err := probe.run(ctx, conn)
		if err != nil {
			return nil, err
		}
		if f.Name = probe.name; f.Level != OK {
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// Broken returns the first finding with which a run stores nothing: a table, a column or a privilege is gone.
func Broken(ctx context.Context, conn *pgx.Conn) (*Finding, error) {
	for _, probe := range append([]probe{{"privileges", probePrivileges}}, vital...) {
		f, err := probe.run(ctx, conn)
		if err != nil {
			return nil, err
		}
		if f.Name = probe.name; f.Level == Fail {
			return &f, nil
		}
	}
	return nil, nil
}

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

// probe asks the server one thing. Its finding has no name yet.
type probe struct {
	name string
	run  func(ctx context.Context, conn *pgx.Conn) (Finding, error)
}

// patience is how long a probe may take.
const patience = 10 * time.Second

func (p probe) within(ctx context.Context, conn *pgx.Conn, d time.Duration) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return p.run(ctx, conn)
}

func ok(detail string) Finding         { return Finding{Level: OK, Detail: detail} }
func warn(detail, hint string) Finding { return Finding{Level: Warn, Detail: detail, Hint: hint} }
func fail(detail, hint string) Finding { return Finding{Level: Fail, Detail: detail, Hint: hint} }

// SQLSTATEs (PostgreSQL manual, appendix A).
const (
	readOnly     = "25006"
	notPermitted = "42501"
)

func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}
