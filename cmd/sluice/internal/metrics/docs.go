package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Table is the list of all metrics, in Markdown: what docs/metrics.md has.
func Table() string {
	return "| metric | kind | labels | what it says |\n|---|---|---|---|\n" + strings.Join(docs, "")
}

func document(kind prometheus.ValueType, name, help string, labels []string) string {
	is := "gauge"
	if kind == prometheus.CounterValue {
		is = "counter"
	}
	return fmt.Sprintf("| `sluice_%s` | %s | %s | %s |\n", name, is, strings.Join(labels, ", "), help)
}
