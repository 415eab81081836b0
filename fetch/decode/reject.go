package decode

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"sluice/shard"
)

// Reason says why a record could not become an event: one of a small closed set of words, fit for a metric's label.
type Reason string

// The reasons of this package. The sink adds "conflict" (the same id with other content) and "database" (PostgreSQL refused it).
const (
	ReasonSyntax        Reason = "syntax"         // not JSON
	ReasonUTF8          Reason = "utf8"           // invalid UTF-8
	ReasonSurrogate     Reason = "surrogate"      // half of a surrogate pair
	ReasonDuplicateName Reason = "duplicate-name" // one name twice in an object
	ReasonNUL           Reason = "nul"            // \u0000, which PostgreSQL does not store
	ReasonObject        Reason = "not-an-object"
	ReasonMissing       Reason = "missing"   // a field that ingested_events needs
	ReasonType          Reason = "type"      // a value of the wrong JSON type
	ReasonUUID          Reason = "uuid"      // not the 36-character form
	ReasonTimestamp     Reason = "timestamp" // unreadable, or outside 1970 to 2200
	ReasonTooLong       Reason = "too-long"  // more characters than the column holds
	ReasonNumber        Reason = "number"    // jsonb would overflow, or grow out of proportion
	ReasonDepth         Reason = "depth"
	ReasonTooLarge      Reason = "too-large" // more than 1 MiB
)

// MaxRecord is the size of the largest record that becomes an event, and the maximum that is kept of a reject, in bytes.
const MaxRecord = 1 << 20

// maxDetail is how much of an error's text is kept with a reject.
const maxDetail = 300

// reject keeps a record that could not become an event. raw is copied, because its body is reused.
func reject(raw []byte, id string, reason Reason, why error) shard.Reject {
	detail := why.Error()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	if len(id) > 64 {
		id = id[:64]
	}
	return shard.Reject{
		Raw:      bytes.Clone(raw[:min(len(raw), MaxRecord)]),
		RawBytes: len(raw),
		SHA256:   sha256.Sum256(raw),
		EventID:  id,
		Reason:   string(reason),
		Detail:   detail,
	}
}

// fault describes a fault in the content of a record that is sound JSON.
type fault struct {
	reason Reason
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

func faultf(reason Reason, format string, args ...any) *fault {
	return &fault{reason, fmt.Errorf(format, args...)}
}
