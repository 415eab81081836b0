package apisim

import (
	"testing"
	"time"
)

func TestCounts(t *testing.T) {
	a := start(t, Config{Events: 1000, List: Limit{Requests: 2, Window: time.Hour}, CacheLife: time.Hour})
	for range 3 {
		a.page(List, "limit", "10")
	}
	a.page(Feed, "limit", "7")
	a.Script(Feed, Drop())
	a.page(Feed)
	list, feed, access := a.Counts(List), a.Counts(Feed), a.Counts(Access)
	if list.Requests != 3 || list.OK != 2 || list.Limited != 1 || list.Hits != 1 || list.Events != 20 || list.Peak != 3 || list.First.IsZero() {
		t.Errorf("list %+v", list)
	}
	if feed.Requests != 2 || feed.OK != 1 || feed.Failed != 1 || feed.Events != 7 || access.OK != 1 || a.Counts(Other).Requests != 0 {
		t.Errorf("feed %+v, access %+v", feed, access)
	}
	log := a.Requests()
	if len(log) != 6 || log[1].Cache != "HIT" || log[2].Status != 429 || log[4].Query != "limit=7" || log[5].Fault != "drop" || log[5].Status != 0 {
		t.Errorf("%+v", log)
	}
}

// TestJournalIsBounded: the particulars of the oldest requests are forgotten, their counts are not.
func TestJournalIsBounded(t *testing.T) {
	s, err := New(Config{Events: 10})
	if err != nil {
		t.Fatal(err)
	}
	for range maxRequests + 10 {
		s.journal.begin(List, time.Now(), 0)
		s.journal.end(Request{Endpoint: List, Status: 200, Bytes: int(s.Counts(List).Requests)})
	}
	log := s.Requests()
	if len(log) != maxRequests || log[0].Bytes != 11 || log[len(log)-1].Bytes != maxRequests+10 || s.Counts(List).OK != maxRequests+10 {
		t.Errorf("%d requests from %d to %d, %+v", len(log), log[0].Bytes, log[len(log)-1].Bytes, s.Counts(List))
	}
}
