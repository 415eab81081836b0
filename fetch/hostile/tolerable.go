package hostile

import (
	"fmt"
	"strings"
)

// Tolerable are records that look wrong and are not: they are events, and nothing in them may be changed.
var Tolerable = []Case{
	{"U+FFFE and U+FFFF", "", value("\ufffe\uffff")},
	{"byte order mark inside", "", value("a\ufeffb")},
	{"right-to-left override", "", name("\"\u202eevent\"")},
	{"joined emoji", "", value("👩‍👩‍👧‍👦")},
	{"whole surrogate pair", "", value(`\ud83d\ude00`)},
	{"decomposed letters", "", name("\"e\u0301\"")},
	{"U+FFFD itself", "", value("\ufffd")},
	{"escaped backslash before u0000", "", value(`\\u0000`)},

	{"ID beside id", "", beside(`"ID":"00000000-0000-4000-8000-000000000003"`)},
	{"long s in a name", "", beside("\"\u017fe\u017f\u017fionId\":1")},
	{"Kelvin sign in a name", "", beside("\"to\u212aen\":1")},
	{"escaped name of a field", "", func(r *record) { r.session += `,"\u006edue":1` }},
	{"empty name of a field", "", beside(`"":1`)},

	{"id in capitals", "", func(r *record) { r.id = strings.ToUpper(r.id) }},
	{"nil id", "", id(`"00000000-0000-0000-0000-000000000000"`)},
	{"largest id", "", id(`"ffffffff-ffff-ffff-ffff-ffffffffffff"`)},

	{"timestamp with a fraction", "", timestamp(`1769541612369.5`)},
	{"timestamp with an exponent", "", timestamp(`1.7e12`)},
	{"timestamp a number in quotes", "", timestamp(`"1.7e12"`)},
	{"timestamp with a small t", "", clock(`t10:00:00Z`)},
	{"timestamp with a small z", "", clock(`T10:00:00z`)},
	{"timestamp with a space", "", clock(` 10:00:00Z`)},
	{"timestamp with a comma", "", clock(`T10:00:00,5Z`)},
	{"timestamp with a zero fraction", "", timestamp(`1769541612369.0`)},
	{"timestamp in quotes", "", timestamp(`"1769541612369"`)},
	{"timestamp without seconds", "", clock(`T10:00Z`)},
	{"timestamp at +0000", "", clock(`T10:00:00+0000`)},
	{"timestamp at -03", "", clock(`T10:00:00.5-03`)},
	{"timestamp at UTC", "", clock(` 10:00:00 UTC`)},
	{"timestamp at the end of 2199", "", timestamp(`"2199-12-31T23:59:59.999Z"`)},
	{"timestamp in ten years", "", timestamp(`"2036-01-01T00:00:00Z"`)},
	{"timestamp with nanoseconds", "", clock(`T10:00:00.999999999Z`)},
	{"timestamp at -00:00", "", clock(`T10:00:00-00:00`)},
	{"timestamp at +14:00", "", clock(`T10:00:00+14:00`)},

	{"2^53+1", "", number(`9007199254740993`)},
	{"2^63", "", number(`9223372036854775808`)},
	{"2^64", "", number(`-18446744073709551616`)},
	{"40 digits", "", number(repeated(40, "9"))},
	{"1e308", "", number(`1e308`)},
	{"numbers in several forms", "", number(`[-0,1.0,1.10,1e2,0.1e-5]`)},

	{"nested 63 deep", "", nested(63)},

	{"type of 50 emoji", "", kind(quoted(repeated(50, "😀")))},
	{"type empty", "", kind(`""`)},
	{"name of spaces", "", name(`"   "`)},
	{"type unknown", "", kind(`"PAGE_VIEW"`)},
	{"properties missing", "", properties(``)},
	{"properties null", "", properties(`null`)},
	{"properties a string", "", properties(`""`)},
	{"properties a number", "", properties(`1`)},

	{"what COPY reads in text form", "", value(`\\N\n\\.\t\r\n\"\\`)},
	{"SQL", "", name(`"'); drop table ingested_events; --"`)},
	{"placeholders", "", value(`$1 %s {{.}} ${jndi:ldap://x} <script>`)},
	{"escape sequence, escaped", "", name(`"\u001b[2J\u001b]0;owned\u0007"`)},
	{"white space between everything", "", func(r *record) { r.session += " ,\r\n\t\"more\" : [ 1 , { } ] " }},
}

// Heavy are tolerable records that cost the reader more than others.
var Heavy = []Case{
	{"100,000 empty objects", "", properties(`[` + repeated(99_999, `{},`) + `{}]`)},
	{"100,000 keys", "", properties(keys(100_000))},
	{"key of 1 MB", "", properties(`{"` + repeated(1_000_000, "k") + `":1}`)},
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	return "{" + b.String()[1:] + "}"
}
