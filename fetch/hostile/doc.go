// Package hostile is a test kit: a corpus of single records that an API might send. Some of them can't become a row, some are only
// odd. It knows nothing of the decoder under test, and no production package imports it.
package hostile
