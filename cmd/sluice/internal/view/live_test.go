package view

import "testing"

func TestWhichQuotaIsScarce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, stream int // callers that wait for a slot, of 8 fetchers
		want         string
	}{
		{0, 0, ""},
		{3, 3, ""},
		{8, 8, "the API's quotas"},
		{4, 4, "the API's quotas"},
		{6, 1, "the quota of the API's list"},
		{2, 5, "the quota of the API's stream"},
	} {
		v := View{Quotas: []Quota{{Endpoint: "list", Waiting: c.list}, {Endpoint: "stream", Waiting: c.stream}}}
		if got := v.scarceQuotas(8); got != c.want {
			t.Errorf("%d wait for the list, %d for the stream: %q, want %q", c.list, c.stream, got, c.want)
		}
	}
}
