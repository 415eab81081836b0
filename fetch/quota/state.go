package quota

import "time"

// State is what outlives the run, and what runs tell each other: a row of table api_quotas. With it the next run, a probe
// and a backfill spend the same quota, and nothing is learned twice. All its times are by the table's clock.
type State struct {
	Name      string         // of the quota
	Limit     Limit          // as announced or learned; zero: not known yet
	NotBefore time.Time      // no request earlier; zero: at once
	Sent      []time.Time    // requests that the server may still count, ascending, to the microsecond
	Runs      map[string]Run // who spends of it now
}

// keeps returns the limit that the others and the next run should know. What we were told, somebody may have meant for this run
// only.
func (q *quota) keeps() Limit {
	if q.known > Configured && q.sure && q.ceiling > 0 {
		return q.full()
	}
	return q.stored
}
