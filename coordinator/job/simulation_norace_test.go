//go:build !race

package job_test

const (
	seedsByDefault   = 2000
	singleFaultBases = 3
)
