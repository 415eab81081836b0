package apisim

// admit does what stands before every answer of an endpoint: the key, the limit, the faults. If it returns false, the request
// is answered.
func (x *exchange) admit() bool {
	return x.authorize() && x.limit() && !x.disturb()
}

// open is admit for an endpoint whose answers all take the same time.
func (x *exchange) open() bool { return x.admit() && x.restOther() == nil }

func (x *exchange) restOther() error { return x.rest(x.config.Latency.scaled(x.config.Latency.Other)) }

// authorize asks for the key.
func (x *exchange) authorize() bool {
	x.key = x.r.Header.Get("X-API-Key")
	if x.key == "" {
		query := x.r.URL.Query()
		x.key, x.inQuery = query.Get("api_key")+query.Get("apiKey"), true
	}
	if refused := x.keys.check(x.key, x.arrived); refused != nil {
		x.refuse(*refused)
		return false
	}
	return true
}

// limitOf returns the limit of an endpoint.
func (s *Server) limitOf(e Endpoint) Limit {
	switch e {
	case List, Single:
		return s.config.List
	case Feed:
		if s.config.FeedShared {
			return Limit{s.config.List.Requests, s.config.List.Window, true}
		}
		return s.config.Feed
	case Sessions:
		return s.config.Sessions
	case Metrics:
		return s.config.Metrics
	case Bulk:
		return s.config.Bulk
	}
	return Limit{}
}

// limit counts the request against its endpoint's limit, and tells the count in the headers.
func (x *exchange) limit() bool {
	limit := x.limitOf(x.endpoint)
	if limit.Requests == 0 {
		return true
	}
	name := bucketName{endpoint: x.endpoint, key: x.key}
	if x.endpoint == Single || x.endpoint == Feed && x.config.FeedShared {
		name.endpoint = List
	}
	if x.inQuery && name.endpoint == List {
		limit.Requests, name.inQuery = x.config.QueryLimit, x.config.QuerySeparate
	}
	v := x.buckets.take(name, limit, x.arrived)
	if !limit.Hidden {
		x.tellLimit(v)
	}
	if !v.allowed {
		x.refuseForNow(v.limit, seconds(v.reset))
	}
	return v.allowed
}
