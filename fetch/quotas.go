package fetch

import (
	"sluice/fetch/quota"
	"sluice/shard"
)

// Quotas returns the quotas of the API's two endpoints, the preferred one first. The zero Limit means a limit is learned.
func Quotas(list, stream quota.Limit) []quota.Spec {
	return []quota.Spec{
		{Name: shard.List.String(), Limit: list, Announced: true}, // in the X-RateLimit headers
		{Name: shard.Stream.String(), Limit: stream},
	}
}

// endpointOf returns the endpoint that a quota limits.
func endpointOf(name string) shard.Endpoint {
	if name == shard.List.String() {
		return shard.List
	}
	return shard.Stream
}
