// Package terminal shows how far a run is: a bar where somebody looks, a line every 5 s where nobody does. It is told nothing;
// it asks for a View twice a second, and draws that.
package terminal
