// Mutants breaks Sluice on purpose, in one way at a time, and demands that a named test sees it: a test that stays green while
// the code is wrong is worth nothing, and only this shows it.
//
// A mutant is a file in testdata: what is broken, in a user's words; the promise that this breaks; the check that must fail;
// and the patch. For each of them the patch is applied to a copy of the tree, the check is run there, and the patch is taken
// back. A mutant is killed where a named test fails. One that does not compile, or only runs into the time limit, is not.
//
//	go run ./cmd/mutants             # all of them, some minutes
//	go run ./cmd/mutants -run trim   # those whose name matches
//	go run ./cmd/mutants -list       # without running them; -markdown prints docs/mutants.md
//
// A mutant that no test can tell from the original has a line "survives:" that proves so, and a line "pair:" that names a
// mutant which breaks the layer behind too, and dies.
package main
