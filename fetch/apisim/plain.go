package apisim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// serveManifest answers GET /api/v1.
func (x *exchange) serveManifest() {
	if !x.open() {
		return
	}
	x.send(http.StatusOK, contentJSON, []byte(`{"name":"DataSync Analytics API","version":"v1","endpoints":`+
		`{"events":"/api/v1/events","sessions":"/api/v1/sessions","metrics":"/api/v1/metrics"},`+
		`"authentication":{"method":"API Key","header":"X-API-Key"}}`))
}

// serveUnknown answers for a path under /api that is none: it asks for the key, and takes no place in any limit.
func (x *exchange) serveUnknown() {
	if x.open() {
		x.refuse(problem{http.StatusNotFound, "The requested endpoint does not exist", "ENDPOINT_NOT_FOUND"})
	}
}

// serveAlive answers GET /health, as the web server in front does.
func (x *exchange) serveAlive() { x.write(http.StatusOK, "text/plain", []byte("OK")) }

// serveHealth answers GET /internal/health. Nobody recorded its JSON: only that it tells of the database and of Redis.
func (x *exchange) serveHealth() {
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"status":"healthy","timestamp":"%s","services":`+
		`{"database":{"status":"up","latency":2},"redis":{"status":"up","latency":1}}}`, time.Now().UTC().Format(isoMillis)))
}

// serveStats answers GET /internal/stats.
func (x *exchange) serveStats() {
	if !x.config.OpenStats && !x.authorize() || x.disturb() || x.restOther() != nil {
		return
	}
	v := x.data.At(time.Now())
	events := v.Events()
	sessions := min(v.sessionTotal(), events)
	b := fmt.Appendf(nil, `{"counts":{"users":%d,"sessions":%d,"events":%d,"metrics":0},"distributions":{"eventTypes":[`,
		min(x.data.userCount, events), sessions, events+x.config.TotalError)
	b = append(appendShares(b, types, events), `],"deviceTypes":[`...)
	b = append(appendShares(b, devices, sessions), `]},`...)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `"meta":{"generatedAt":"%s"},"cache":{"status":"MISS","ttl":300,`+
		`"redis":{"keys":2,"memory":"7.62M","hitRate":"83.4%%"}}}`, time.Now().UTC().Format(isoMillis)))
}

// appendShares writes how many of a total have each value: as many as expected, and the first one the rest.
func appendShares(b []byte, shares []share, total int64) []byte {
	all, rest := uint64(0), total
	for _, s := range shares {
		all += s.events
	}
	counts := make([]int64, len(shares))
	for i := len(shares) - 1; i > 0; i-- {
		counts[i] = int64(float64(total) * float64(shares[i].events) / float64(all))
		rest -= counts[i]
	}
	counts[0] = rest
	for i, s := range shares {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"type":"%s","count":%d}`, s.value, counts[i])
	}
	return b
}

// serveMetrics answers GET /api/v1/metrics: there are none.
func (x *exchange) serveMetrics() {
	if !x.open() {
		return
	}
	x.log.RequestID = uuid.NewString()
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"data":[],"pagination":{"limit":%d,"hasMore":false,"nextCursor":null,`+
		`"cursorExpiresIn":null},"meta":{"total":0,"returned":0,"requestId":"%s"}}`,
		x.pageLimit(x.r.URL.Query(), x.config.ListDefault), x.log.RequestID))
}

// serveOptions answers 504, as the balancer does to every OPTIONS.
func (x *exchange) serveOptions() { x.sendBalancer(http.StatusGatewayTimeout) }

// serveDashboard answers for every path outside of the API: the dashboard's single page.
func (x *exchange) serveDashboard() {
	x.write(http.StatusOK, "text/html", []byte("<!doctype html><html><head><title>DataSync Analytics</title></head>"+
		`<body><div id="root"></div></body></html>`))
}
