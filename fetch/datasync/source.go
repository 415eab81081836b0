package datasync

import (
	"context"
	"encoding/json"
	"fmt"

	"sluice/coordinator/ledger"
)

// What follows makes a Client the Source of package coordinator/job.

// Requests is how many pages were requested so far, from all endpoints.
func (c *Client) Requests() (n int64) {
	for _, door := range c.Traffic().Doors {
		n += door.Requests
	}
	return n
}

// Windows reports whether a window can be asked for by its end.
func (c *Client) Windows() bool { return c.Capabilities().Windows() }

// Learned returns the capabilities as JSON.
func (c *Client) Learned() (json.RawMessage, error) { return json.Marshal(c.Capabilities()) }

// Recall takes over what Learned returned in an earlier run.
func (c *Client) Recall(learned json.RawMessage) error {
	var caps Capabilities
	if err := json.Unmarshal(learned, &caps); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	c.SetCapabilities(caps)
	return nil
}

// Join makes the quotas begin with what earlier runs wrote down, and spend the same as those that run beside this one.
func (c *Client) Join(ctx context.Context, store ledger.Quotas, source, run string) error {
	return c.pacer.Join(ctx, store, source, run)
}

// Share tells the other runs what was spent, and learns what they spent.
func (c *Client) Share(ctx context.Context) error { return c.pacer.Share(ctx) }

// Leave writes the quotas down for the next run.
func (c *Client) Leave(ctx context.Context) error { return c.pacer.Leave(ctx) }
