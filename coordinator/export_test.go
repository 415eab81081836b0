package coordinator

// Seed makes the pauses of c those of a simulation that can be repeated.
func (c *Coordinator) Seed(n uint64) { c.seed = n }
