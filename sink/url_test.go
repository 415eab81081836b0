package sink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// TestAPasswordThatCannotBeParsedIsNotRepeated draws passwords and writes them into connection strings as they are. Either the
// string is read as its writer meant it, or the error repeats no piece of it.
func TestAPasswordThatCannotBeParsedIsNotRepeated(t *testing.T) {
	t.Parallel()
	const special = "@@//:#?%& '\"\\[]=+,;$!<>{}|^`~"
	forms := []struct{ text, host, database string }{
		{"postgres://app:%s@db.example:5433/events", "db.example", "events"},
		{"postgres://app:%s@db.example:5433/events?sslmode=disable", "db.example", "events"},
		{"postgresql://app:%s@db.example/events", "db.example", "events"},
		{"postgres://app:%s@10.0.0.1,10.0.0.2/events", "10.0.0.1", "events"},
		{"postgres://app:%s@[::1]:5433/events", "::1", "events"},
		{"postgres://db.example:5433/events?user=app&password=%s", "db.example", "events"},
		{"postgres://db.example:5433/events?password=%s&user=app", "db.example", "events"},
		{"host=db.example user=app password=%s dbname=events", "db.example", "events"},
		{"password='%s' host=db.example user=app dbname=events", "db.example", "events"},
		{"app:%s@db.example:5433/events", "db.example", "events"},
		{"jdbc:postgresql://db.example/events?user=app&password=%s", "db.example", "events"},
		{`"postgres://app:%s@db.example/events?sslmode=disable"`, "db.example", "events"},
		{"postgres:/app:%s@db.example/events", "db.example", "events"},
		{"POSTGRES://app:%s@db.example/events", "db.example", "events"},
	}
	dice := rand.New(rand.NewPCG(24, 0))
	accepted, refused := 0, 0
	for range 20_000 {
		form := forms[dice.IntN(len(forms))]
		var pieces []string
		password := ""
		for n := range 1 + dice.IntN(4) {
			if n > 0 || dice.IntN(5) == 0 {
				password += string(special[dice.IntN(len(special))])
			}
			piece := fmt.Sprintf("k%04dq", dice.IntN(10_000)) // no part of host, database or any message
			password, pieces = password+piece, append(pieces, piece)
		}
		given := strings.Replace(form.text, "%s", password, 1)
		config, err := parseURL(given)
		says := DescribeURL(given)
		if err != nil {
			refused++
			says += err.Error()
			if !errors.Is(err, ErrURL) {
				t.Fatalf("%s: %v is no ErrURL", given, err)
			}
		} else {
			accepted++
			conn := config.ConnConfig
			if conn.Host != form.host || conn.Database != form.database || conn.User != "app" {
				t.Fatalf("%s is read as user %s, host %s, database %s", given, conn.User, conn.Host, conn.Database)
			}
			says += connectError(conn, errors.New("unexpected")).Error()
		}
		for _, piece := range pieces {
			if strings.Contains(says, piece) {
				t.Fatalf("%s: %q repeats a piece of the password", given, says)
			}
		}
	}
	if accepted < 2000 || refused < 2000 {
		t.Errorf("%d accepted, %d refused: the draw is one-sided", accepted, refused)
	}
}

// Every password can be written so that it is read.
func TestAPercentEncodedPasswordIsRead(t *testing.T) {
	t.Parallel()
	const password = `a/b@c:d#e?f%g h'i"j\k&l=m+n`
	for _, given := range []string{
		"postgres://app:" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20") + "@db.example/events",
		"postgres://db.example/events?user=app&password=" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20"),
		`host=db.example user=app dbname=events password='a/b@c:d#e?f%g h\'i"j\\k&l=m+n'`,
	} {
		config, err := parseURL(given)
		if err != nil {
			t.Errorf("%s: %v", given, err)
		} else if got := config.ConnConfig.Password; got != password {
			t.Errorf("%s: password %q", given, got)
		}
	}
}

func TestAnUnreadableURLNamesTheCharacter(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://app:12/34secret@db/x":      "/ is written %2F",
		"postgres://app:12@34secret@db/x":      "@ is written %40",
		"postgres://app:p@ss:w/rd#1%@db/x":     "written %23",
		"postgres://app:12#34secret@db/x":      "written %23",
		"postgres://app:12?34secret@db/x":      "? is written %3F",
		"postgres://app:12%zzsecret@db/x":      "% is written %25",
		"postgres://app:secret%":               "% is written %25",
		"postgres://app:sec ret@db/x":          "written %20",
		"postgres://db/x?password=a&secret":    "& is written %26",
		"postgres://app:secret":                "the port after the host is not a number",
		"jdbc:postgresql://db/x":               "does not begin with postgres://",
		"host=db password=my secret":           "password='…'",
		"postgres://app:secret@db/x?sslmode=q": "sslmode",
	} {
		_, err := parseURL(given)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q in it and nothing of the password", given, err, want)
		}
	}
}

func TestDescribeURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://app:pw@db.example:5433/events":              "db.example:5433/events",
		"postgres://app:pw@db1,db2:6000/events?sslmode=disable": "db1:5432,db2:6000/events",
		"host=db.example user=app dbname=events password=pw":    "db.example:5432/events",
		"postgres://app:p/w@db.example/events":                  "",
	} {
		if got := DescribeURL(given); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
