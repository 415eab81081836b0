// Package terminal shows how far a run is: bars where somebody looks, a line every 5 s where nobody does, a JSON object in its
// place where a script reads. It is told nothing; it asks for a View twice a second, and draws that. What the commands print
// for people is written with the same words, tables and colours.
package terminal
