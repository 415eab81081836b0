// Package view is the one read model of a job: what is shown of it, whether a run is at work on it or only its ledger is left. A run
// publishes a View every second; the terminal, the page and the metrics draw the newest one and never touch the run.
package view
