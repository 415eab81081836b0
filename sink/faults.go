package sink

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes that are looked for by name (PostgreSQL manual, appendix A).
const (
	protocolViolation = "08P01"
	diskFull          = "53100"
	lockNotAvailable  = "55P03"
	uniqueViolation   = "23505"
	undefinedTable    = "42P01"
	readOnly          = "25006"
)

// passing are the codes of faults that pass by themselves.
var passing = map[string]bool{
	"25006": true, // read-only: a standby, or a primary being demoted
	"25P03": true, // we were idle in the transaction for too long: a paused process
	"25P04": true, // transaction timeout
	"40001": true, // serialization failure
	"40P01": true, // deadlock
	"55P03": true, // lock timeout
	"55006": true, // object in use
	"57014": true, // statement timeout, or cancelled by an operator; never of our own making, see copyStream
	"57P01": true, // admin shutdown, terminated backend
	"57P02": true, // another backend crashed
	"57P03": true, // starting up or shutting down
	"57P05": true, // idle session timeout
	"58030": true, // I/O error
}

// transient tells whether err passes by itself, so that the same batch may be tried again. What is not known to pass does not.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return passing[pg.Code] || inClass(pg, "08") && pg.Code != protocolViolation || inClass(pg, "53")
	}
	return lostLine(err)
}

// lostLine tells whether the connection broke or could not be made. The server has then said nothing; whether it had done what
// was asked is for settle to find out.
func lostLine(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), pgconn.SafeToRetry(err):
		return true
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

// refusesRows tells whether it is the rows themselves that the table does not take: a key that is there already, a value that
// does not fit, a constraint, an exception that a trigger raised.
func refusesRows(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (inClass(pg, "22") || inClass(pg, "23") || inClass(pg, "54") || pg.Code == "P0001")
}

func inClass(pg *pgconn.PgError, class string) bool { return strings.HasPrefix(pg.Code, class) }
