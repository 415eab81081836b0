package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mistypedFlag explains a flag that is not there, or whose value is not what it wants.
func mistypedFlag(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` shows the settings and examples", cmd.CommandPath())
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		err = fmt.Errorf("%s has no setting --%s%s", cmd.CommandPath(), unknown.GetSpecifiedName(), nearestFlag(cmd, unknown.GetSpecifiedName()))
	case errors.As(err, &invalid) && errors.As(err, new(*strconv.NumError)):
		err = fmt.Errorf("--%s %q: it must be a whole number", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "duration":
		err = fmt.Errorf("--%s %q: it must be a duration such as 90s, 15m or 2h", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid):
		err = fmt.Errorf("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return fail(ExitUsage, hint, err)
}

// nearestFlag suggests the flag that was meant.
func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", 3 // more changes than two make another word
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean --%s?", best)
}

// distance is how many letters must be changed, added, left out or swapped with their neighbour to make one word of the other.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// mistypedCommand explains a command that is not there.
func mistypedCommand(root *cobra.Command, word string) error {
	err := fmt.Errorf("%s is no command of sluice", wordOf(word))
	if near := root.SuggestionsFor(word); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	return fail(ExitUsage, "`sluice --help` shows the commands", err)
}
