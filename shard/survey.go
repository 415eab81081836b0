package shard

// Survey is what a source showed of itself before the first window is planned.
type Survey struct {
	Newest   Instant
	Oldest   Instant  // of all events, nearly; or where the span begins, if that was given
	Total    int64    // events there are; -1 if the source gives no number
	Empty    bool     // there are no events
	Requests int      // for pages that it took
	PageSize int      // records in a page; 0 if it is not known
	Step     string   // how windows can be read, for people
	Samples  []Sample // newest first
}

// Latest is what the newest page shows.
type Latest struct {
	Newest Instant // event; 0 if the page holds none that can be read
	Oldest Instant // of the page, as far as its order shows
	Events int
	Keys   []Key // of the events
	Total  int64 // events there are; -1 if the source gives no number
}
