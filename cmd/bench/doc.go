// Bench measures Sluice, and prints one table of ratios. `make bench` runs it; it takes 17 minutes, some sections alone
// a minute or two, and wants a machine with nothing else to do.
//
// Seconds say little: the same code on the same machine is a quarter slower an hour later. So every speed stands beside a
// floor that was measured in the same minutes, before and after it, and what is kept and compared from run to run are the
// ratios, and the CPU a row.
//
// A run brings up a stand (stand.go): the program, freshly built; a PostgreSQL server of its own with the settings that users
// get, fsync on; the simulator as a process of its own, so that its CPU is not the client's. Then come the sections, each of
// which yields figures:
//
//   - parts (parts.go): the Go benchmarks of single steps, from decode to commit;
//   - whole (whole.go): `sluice run` as a process, beside the floor (floor.go), which is server-side COPY of the same rows into
//     the same table; and what its rooms allocate (allocations.go);
//   - shards (shards.go): the same for one number of shards after the other, and the old system's way (old.go);
//   - latency, quota (latency.go, quota.go): where the API is the limit. They only wait, and are measured at the same time;
//   - skew, duplicates, resume, watched, size: each in the file of its name.
//
// A new section is a function that yields figures, and a line in allSections (sections.go). All that is measured twice is a
// Sample; a Figure is its median and its spread, beside what it is held against, and some are points of the plot (plot.go).
// After every load the table is compared with what the simulator knows it must hold, by count and hash: speed with wrong rows
// is no speed.
package main
