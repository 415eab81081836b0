package e2e

import "strings"

func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

func contains(s, part string) bool { return strings.Contains(s, part) }
