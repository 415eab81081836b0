package ledger

import (
	"encoding/json"
	"time"
)

// DoubtKind is what a doubt is about.
type DoubtKind string

// The kinds of doubt. A job has at most one open doubt of a kind.
const (
	DoubtMissing DoubtKind = "missing" // the source counts more events than there are
	DoubtTable   DoubtKind = "table"   // rows are gone from the table
	DoubtSource  DoubtKind = "source"  // the source is another one
	DoubtForeign DoubtKind = "foreign" // the table has rows that no job has stored
	DoubtLost    DoubtKind = "lost"    // events that were stored are gone, and reading their windows again did not bring them back
	DoubtWitness DoubtKind = "witness" // a record that one shard left to its neighbour was stored by neither
	// DoubtTotal is lifted as soon as it is raised: the source's total was contradicted, and counts no more.
	DoubtTotal DoubtKind = "total"
)

// Doubt is a reason why a job's data may not be complete. It stays until it is lifted, whatever runs come in between.
type Doubt struct {
	Kind     DoubtKind
	Reason   string          // for people: whole, without an advice
	Amount   int64           // of events or rows; 0 if it is not known
	Detail   json.RawMessage // what lifting it needs to know, by its kind; {} if nothing
	Since    time.Time       // of the first time it was raised
	LiftedAt time.Time       // zero while it is open
	LiftedBy string          // ByEvidence, or the decision, such as the flag that was given
}

// ByEvidence is the LiftedBy of a doubt that a check has lifted. Everything else is a decision.
const ByEvidence = "evidence"

// The decisions of an operator, each with an amount, that an audit takes into account.
const (
	AcceptForeign = "--accept-foreign" // rows that no job has stored
	AcceptLost    = "--accept-lost"    // events that are gone
)

// Open reports whether the doubt stands.
func (d *Doubt) Open() bool { return d.LiftedAt.IsZero() }

// OpenDoubt returns the open doubt of a kind; nil if there is none.
func OpenDoubt(all []Doubt, kind DoubtKind) *Doubt {
	for i := range all {
		if all[i].Kind == kind && all[i].Open() {
			return &all[i]
		}
	}
	return nil
}
