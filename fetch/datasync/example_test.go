package datasync_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/datasync"
	"sluice/fetch/quota"
	"sluice/shard"
)

// A client surveys the API, here the simulator, and then reads its events from the newest to the oldest.
func Example() {
	sim, err := apisim.New(apisim.Config{Events: 250, PageCap: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(sim)
	defer server.Close()
	log := slog.New(slog.DiscardHandler)
	none := quota.Limit{N: quota.Unlimited}
	pacer, err := quota.NewPacer(quota.Config{Quotas: datasync.Quotas(none, none), Log: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := datasync.New(datasync.Config{BaseURL: server.URL, Key: "ds_example", Fetch: fetch.Config{Pacer: pacer, Log: log}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx := context.Background()
	found, err := client.Survey(ctx, shard.Past)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Total, "events;", client.Capabilities().Step())
	for page, err := range client.Pages(ctx, shard.Position{End: shard.Future}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("a page of", len(page.Events))
	}
	// Output:
	// 250 events; the stream can be asked by timestamp, and its cursors lead on at the list
	// a page of 100
	// a page of 100
	// a page of 50
}
