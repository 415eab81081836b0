package cli

import (
	"errors"
	"testing"

	"sluice/coordinator/job"
)

// TestEveryStatusHasItsExitCode: a script tells from nothing else whether the data are there, come with the next run, or are
// in doubt.
func TestEveryStatusHasItsExitCode(t *testing.T) {
	t.Parallel()
	for status, code := range map[job.Status]int{
		job.Complete: 0, job.Broken: 1, job.Misused: 2, job.Unreachable: 3, job.Refused: 3, job.Left: 4, job.Doubt: 5, job.Locked: 6,
	} {
		var coded *exitError
		err := verdictError(job.Verdict{Status: status, Text: "so it ended"})
		if code == 0 && err != nil || code != 0 && (!errors.As(err, &coded) || coded.code != code) {
			t.Errorf("%s: %v, want exit code %d", status, err, code)
		}
	}
}
