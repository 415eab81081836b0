package cli

import (
	"fmt"
	"time"

	"sluice/fetch/apisim"
)

// printTruth prints what a table must hold after a right run that has read all that was there at an instant.
func (p *Program) printTruth(s *simulateSettings, sim *apisim.Server) error {
	start, end := int64(apisim.Past), int64(apisim.Future)
	if s.from.set {
		start = int64(s.from.at)
	}
	if s.to.set {
		end = int64(s.to.at)
	}
	at := time.Now()
	if s.at.set {
		at = s.at.at.Time()
	}
	sum := sim.Data().At(at).Truth(start, end)
	_, err := fmt.Fprintf(p.Stdout, "%d|%s\n", sum.Rows, sum.Hash)
	return err
}
