// Package page serves a run as one page: everything it needs is in it, it is whole without JavaScript, and with it follows
// the run by itself through server-sent events.
package page
