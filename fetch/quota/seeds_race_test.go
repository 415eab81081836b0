//go:build race

package quota

// The race detector makes the simulated hours about six times slower: `make swarm` has all of their seeds.
func seeds(n uint64) uint64 { return (n + 3) / 4 }
