//go:build race

package job_test

// The race detector makes the simulation about six times slower: the rest is left to `make swarm`.
const (
	seedsByDefault   = 50
	repeatsByDefault = 8
	singleFaultBases = 1
)
