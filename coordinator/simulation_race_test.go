//go:build race

package coordinator_test

// The race detector makes the simulation about six times slower.
const seedsByDefault = 250
