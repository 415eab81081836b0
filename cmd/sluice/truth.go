package main

import (
	"fmt"

	"sluice/fetch/apisim"
)

// printTruth prints what a table must hold after a right run, and the SQL that says what it holds.
func (p *program) printTruth(s *simulateSettings, sim *apisim.Server) error {
	start, end := int64(apisim.Past), int64(apisim.Future)
	if s.from.set {
		start = int64(s.from.at)
	}
	if s.to.set {
		end = int64(s.to.at)
	}
	sum := sim.Data().Truth(start, end)
	_, err := fmt.Fprintf(p.stdout, "%d|%s\n", sum.Rows, sum.Hash)
	return err
}
