package quota_test

import (
	"context"
	"fmt"
	"time"

	"sluice/fetch/quota"
)

// Two endpoints serve the same pages. The pacer prefers the first one, takes what it can't serve from the second, and waits when both
// are used up.
func ExamplePacer() {
	pacer, err := quota.NewPacer(quota.Config{Quotas: []quota.Spec{
		{Name: "search", Limit: quota.Limit{N: 1, Window: time.Minute}},
		{Name: "export", Limit: quota.Limit{N: 2, Window: time.Minute}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for {
		slot, err := pacer.Take(ctx, func(string) bool { return true })
		if err != nil {
			fmt.Println("no free slot within a second:", err)
			break
		}
		// Send the request here, and report what the answer says about the quota.
		pacer.Observe(slot, quota.Answer{})
		fmt.Println("a request to", slot.Quota)
	}
	for _, s := range pacer.Status() {
		fmt.Printf("%s: %d of %s\n", s.Name, s.Recent, s.Limit)
	}
	// Output:
	// a request to search
	// a request to export
	// a request to export
	// no free slot within a second: context deadline exceeded
	// search: 1 of 1/60s
	// export: 2 of 2/60s
}

func ExampleParseLimit() {
	for _, text := range []string{"50/60s", "200/5m", "none", "auto", "50 a minute"} {
		limit, err := quota.ParseLimit(text)
		fmt.Println(limit, err)
	}
	// Output:
	// 50/60s <nil>
	// 200/300s <nil>
	// none <nil>
	// auto <nil>
	// auto parse limit "50 a minute": want requests/window as in 50/60s, or none, or auto
}
