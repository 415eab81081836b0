// Package metrics shows a run to Prometheus. Every sample is made from one View when it is asked for: nothing is counted
// twice, and a counter of rows moves only with their commit. No label holds a cursor, an id or an address.
package metrics
