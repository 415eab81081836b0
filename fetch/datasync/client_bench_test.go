package datasync

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"sluice/fetch"
)

// BenchmarkPages walks pages of 5,000 events, from the question to the decoded records, without a network.
func BenchmarkPages(b *testing.B) {
	const events = 5000
	records := make([]string, events)
	for i := range records {
		r := strings.Replace(soundRecord, "000000000001", fmt.Sprintf("%012d", i), 1)
		records[i] = strings.Replace(r, "1769541612369", strconv.Itoa(pagedNewest-i), 1)
	}
	raw := fmt.Appendf(nil, `{"data":[%s],"pagination":{"limit":5000,"hasMore":true,"nextCursor":"abc","cursorExpiresIn":116},"meta":{"returned":%d}}`,
		strings.Join(records, ","), events)
	answer := roundTrip(func(*http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {jsonType}}
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(bytes.NewReader(raw)), ContentLength: int64(len(raw))}, nil
	})
	c, err := New(Config{BaseURL: "http://127.0.0.1", Key: canary, Fetch: fetch.Config{Pacer: newTestPacer(b, unlimited), Transport: answer}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		for page, err := range c.Pages(b.Context(), top) {
			if err != nil || len(page.Events) != events {
				b.Fatal(len(page.Events), err)
			}
			if n++; n == b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
