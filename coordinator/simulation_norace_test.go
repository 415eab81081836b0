//go:build !race

package coordinator_test

const (
	seedsByDefault   = 2000
	singleFaultBases = 3
)
