// Package hostile is a corpus of single records that an API might send: some can become no row, some are only odd. It is data
// for tests, and knows nothing of the decoder that it is thrown at.
package hostile
