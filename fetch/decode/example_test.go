package decode_test

import (
	"fmt"

	"sluice/fetch/decode"
)

// The second record has a UUID that is too short: it becomes a reject, and the first one is an event all the same.
func ExampleDecoder_Page() {
	body := []byte(`{"data":[
		{"id":"56a349b5-7243-4e0c-9fd8-f2c1eb2a5d35","sessionId":"0ae5e27f-bcc5-4d99-b744-3ce64d3623a9",
		 "userId":"1f2a12b4-1bdc-463d-ba74-f6d849f5b76f","type":"click","name":"buy","properties":{"page":"/home"},
		 "timestamp":1769541612369,"session":{"deviceType":"tablet","browser":"Edge"}},
		{"id":"56a349b5"}
	],"hasMore":true,"nextCursor":"b2Zmc2V0"}`)

	page, err := decode.New().Page(body, "list")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range page.Events {
		fmt.Println("event:", e.At, e.Type, e.Name, e.Properties)
	}
	for _, r := range page.Rejects {
		fmt.Printf("reject: %s (%s): %s\n", r.Reason, r.Detail, r.Raw)
	}
	fmt.Println("more:", page.More(), page.Cursor())
	// Output:
	// event: 2026-01-27T19:20:12.369Z click buy {"page":"/home"}
	// reject: uuid (id "56a349b5" does not have the 36-character form of a UUID): {"id":"56a349b5"}
	// more: true b2Zmc2V0
}
