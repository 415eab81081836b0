// Package live is what a run looks like at one moment, for those who look at it from outside: the page and the metrics. The
// run publishes a View every second; whoever looks reads the newest one and never touches the run.
package live
