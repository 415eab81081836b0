package job_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/fetch/apisim"
)

// fixedAnswers are written scenarios of answers that once ended a run, or cost it more than they should: each must be complete.
var fixedAnswers = []struct {
	name, story string
	write       func(*scenario)
}{
	{"a stored cursor", "the process is killed, and cursors of another process are answered 404", func(s *scenario) {
		s.patience, s.made, s.windows = 4, false, thirds(s)
		s.plot = []act{{do: load}, {do: byHand, name: "kill", after: 4 * time.Second, kills: true}}
		s.tamper.answer = cursorsOfOthers()
	}},
	{"a single 404", "one page is answered 404 once", func(s *scenario) {
		s.patience, s.windows = 1, thirds(s)
		s.tamper.answer = once(func(r *http.Request, a *answered) bool { return a.refuse(r, http.StatusNotFound) })
	}},
	{"a single 401", "one page is answered 401 once", func(s *scenario) {
		s.patience, s.windows = 1, thirds(s)
		s.tamper.answer = once(func(r *http.Request, a *answered) bool { return a.refuse(r, http.StatusUnauthorized) })
	}},
	{"a list that refuses the key", "the list answers 401 to everything after the survey: the stream goes on", func(s *scenario) {
		s.patience, s.windows = 1, thirds(s)
		s.tamper.answer = func(_ *simulation, _ *process, r *http.Request, a *answered) {
			if strings.HasSuffix(r.URL.Path, "/events") && r.URL.Query().Has("cursor") {
				a.refuse(r, http.StatusUnauthorized)
			}
		}
	}},
	{"a total in quotes", `the API writes its total as a string: "total":"120"`, func(s *scenario) {
		s.patience = 1
		s.tamper.answer = func(_ *simulation, _ *process, _ *http.Request, a *answered) {
			a.rewrite(regexp.MustCompile(`"total":(\d+)`), `"total":"$1"`)
		}
	}},
	{"a zone without a colon", "the API writes +0000 in place of Z", func(s *scenario) {
		s.tamper.answer = func(_ *simulation, _ *process, _ *http.Request, a *answered) {
			a.rewrite(regexp.MustCompile(`("timestamp":"[^"]*)Z"`), `$1+0000"`)
		}
	}},
}

func TestSimulationFixedAnswers(t *testing.T) {
	for _, fault := range fixedAnswers {
		t.Run(fault.name, func(t *testing.T) {
			sc := plain()
			fault.write(sc)
			if s := play(t, sc); s.wrong != nil {
				t.Errorf("%s: %v\n%s", fault.story, s.wrong, tail(s))
			}
		})
	}
}

// drawForms draws how an API writes what can be written in several ways: all of its answers, or some of them.
func (s *scenario) drawForms(intN func(int) int) {
	var forms []func(*answered)
	pick := func(what string, by ...string) {
		if n := intN(2 * len(by)); n < len(by) {
			find := regexp.MustCompile(what)
			forms = append(forms, func(a *answered) { a.rewrite(find, by[n]) })
		}
	}
	pick(`"total":(\d+)`, `"total":"$1"`, `"total":$1.0`, `"total":${1}e0`)
	pick(`"returned":(\d+)`, `"returned":"$1"`, `"returned":$1.0`, `"returned":null`)
	pick(`"cursorExpiresIn":(\d+)`, `"cursorExpiresIn":"$1"`, `"cursorExpiresIn":$1.0`)
	pick(`"pagination":{"limit":(\d+)`, `"pagination":{"limit":"$1"`, `"pagination":{"limit":null`, `"error":null,"pagination":{"limit":$1.0`)
	if s.api.MalformedShare == 0 { // a dead letter keeps its bytes
		pick(`("timestamp":"[^"]*)Z"`, `$1+0000"`, `${1}z"`, `$1+00"`, `$1 UTC"`)
		pick(`("timestamp":"[^"T]*)T`, `$1 `, `${1}t`)
		pick(`"timestamp":(\d+)`, `"timestamp":"$1"`, `"timestamp":$1.0`, `"timestamp":"$1.000"`)
	}
	s.tamper.answer = func(_ *simulation, _ *process, _ *http.Request, a *answered) {
		for _, form := range forms {
			form(a)
		}
	}
}

// mistake is an answer of another status, at one endpoint: once, or until it is over.
type mistake struct {
	until  time.Time
	status int
}

var mistakes = [...]int{301, 400, 401, 403, 404, 405, 409, 410, 413, 418, 422, 423, 425, 451}

// mistaken returns the status with which an endpoint answers by mistake now, or 0.
func (s *simulation) mistaken(e apisim.Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.weather.calm.Load() {
		return 0
	}
	if now := time.Now(); s.weather.strikes(badMistake) {
		m := mistake{until: now, status: mistakes[s.weather.dice.IntN(len(mistakes))]}
		if !s.single && s.weather.dice.IntN(4) == 0 {
			m.until = now.Add(time.Minute)
		}
		s.mistakes[e] = m
		return m.status
	} else if now.Before(s.mistakes[e].until) {
		return s.mistakes[e].status
	}
	return 0
}

// poison writes a wrong figure into the headers of an answer, or a right one in another form.
func (s *simulation) poison(a *answered) {
	if wait, err := strconv.Atoi(strings.Join(a.header["Retry-After"], "")); err == nil && s.weather.strikes(badForm) {
		a.header["Retry-After"] = []string{fmt.Sprint(time.Now().Unix() + int64(wait))}
	}
	if a.status == http.StatusOK && s.weather.strikes(badHeader) {
		reset := []string{"86400", "0", "1000000000000", fmt.Sprint(time.Now().Add(24 * time.Hour).Unix()), "Fri, 31 Dec 2100 23:59:59 GMT"}
		a.header["X-RateLimit-Limit"] = []string{[]string{"1", "10", "100000"}[s.weather.dice.IntN(3)]}
		a.header["X-RateLimit-Remaining"] = []string{[]string{"0", "9", "99999"}[s.weather.dice.IntN(3)]}
		a.header["X-RateLimit-Reset"] = []string{reset[s.weather.dice.IntN(len(reset))]}
	}
}
