package main

import (
	"fmt"

	"sluice/shard"
)

// fetcher is what one fetcher did while the windows were walked. The shares sum up to 1.
type fetcher struct {
	Seconds  float64 `json:"seconds"`
	Reading  float64 `json:"reading"`  // a page was on its way
	Quota    float64 `json:"quota"`    // waiting for it
	Pausing  float64 `json:"pausing"`  // between two tries of a request
	Held     float64 `json:"held"`     // the operator had paused the run
	Database float64 `json:"database"` // waiting for it, or for the memory that it frees
	Idle     float64 `json:"idle"`     // without a shard
}

func fetchersOf(spent []shard.Spent) (all []fetcher) {
	for _, s := range spent {
		all = append(all, fetcher{
			Seconds: s.Total().Seconds(), Reading: s.Share(shard.Fetching), Quota: s.Share(shard.Pacing),
			Pausing: s.Share(shard.BackingOff), Held: s.Share(shard.Paused), Database: s.Share(shard.Queueing), Idle: s.Share(shard.Idle),
		})
	}
	return all
}

// fetchersLine says what all of them did, and how idle the idlest was.
func fetchersLine(spent []shard.Spent) string {
	var sum shard.Spent
	idlest := 0.0
	for _, s := range spent {
		sum, idlest = sum.Add(s), max(idlest, s.Share(shard.Idle))
	}
	line := fmt.Sprintf("%d fetchers: reading %.1f%%, waiting for quota %.1f%%, for the database %.1f%%, between tries %.1f%%, "+
		"idle %.1f%% (the idlest %.1f%%)", len(spent), 100*sum.Share(shard.Fetching), 100*sum.Share(shard.Pacing),
		100*sum.Share(shard.Queueing), 100*sum.Share(shard.BackingOff), 100*sum.Share(shard.Idle), 100*idlest)
	if held := sum.Share(shard.Paused); held > 0 {
		line += fmt.Sprintf(", paused by you %.1f%%", 100*held)
	}
	return line
}

// addSpent adds what the fetchers of a second walk did.
func addSpent(a, b []shard.Spent) []shard.Spent {
	if len(a) < len(b) {
		a, b = b, a
	}
	for n := range b {
		a[n] = a[n].Add(b[n])
	}
	return a
}
