//go:build !race

package job_test

const (
	seedsByDefault   = 2000
	repeatsByDefault = 30
	singleFaultBases = 3
)
