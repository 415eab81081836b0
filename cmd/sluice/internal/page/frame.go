package page

import (
	"bytes"
	_ "embed" // the pages are files
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"sluice/cmd/sluice/internal/view"
)

//go:embed parts.html
var partsHTML string

//go:embed page.html
var pageHTML string

//go:embed report.html
var reportHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var page, report = parse(pageHTML), parse(reportHTML)

// parse returns the template of a page, with the parts that pages share.
func parse(text string) *template.Template {
	pieces := template.New("page").Funcs(template.FuncMap{
		"css":     func() template.CSS { return template.CSS(pageCSS) },
		"js":      func() template.JS { return template.JS(pageJS) },
		"percent": percent, "ratio": ratio, "number": func(n any) string { return view.Number(integer(n)) }, "edge": edge,
	})
	return template.Must(template.Must(pieces.Parse(partsHTML)).Parse(text))
}

// part is an element of the page that is sent when it changes, named by its id. Of a list with the same items as before, only those that
// changed are sent.
type part struct {
	id, html string
	items    []part
}

// frame is a view in parts, made once for all viewers.
type frame struct {
	number int // a viewer that was sent the frame before gets only what changed
	run    string
	title  string
	over   bool
	page   []byte
	parts  []part
	step   []byte // the event that leads from the frame before to this one
}

// blocks are the parts by their ids, which are also the names of their templates, in the order of the page.
var blocks = []string{"who", "phase", "verdict", "progress", "ages", "caption", "charts", "rounds", "quotas", "letters", "warnings", "stamp"}

// next returns the frame that follows f.
func (f *frame) next(v *view.View) (*frame, error) {
	w := put(v)
	parts, err := w.parts()
	if err != nil {
		return nil, err
	}
	n := &frame{number: f.number + 1, run: w.Run, title: w.Title, over: v.Phase == view.Ended, parts: parts}
	if n.page, err = w.page(parts); err != nil {
		return nil, err
	}
	n.step, err = n.event(changes(f.parts, parts))
	return n, err
}

func (w *words) parts() ([]part, error) {
	var r renderer
	var parts []part
	for _, name := range blocks {
		parts = append(parts, part{id: name, html: r.execute(name, w)})
	}
	var line, rows []part
	for i := range w.Line {
		line = append(line, part{id: w.Line[i].ID, html: r.execute("piece", &w.Line[i])})
	}
	for i := range w.Rows {
		rows = append(rows, part{id: fmt.Sprintf("w%d", w.Rows[i].Number), html: r.execute("row", w.Rows[i])})
	}
	parts = append(parts, r.list("line", line), r.list("shards", rows))
	return parts, r.err
}

// renderer executes templates and remembers the first error.
type renderer struct{ err error }

func (r *renderer) execute(name string, data any) string {
	var out bytes.Buffer
	if err := page.ExecuteTemplate(&out, name, data); err != nil && r.err == nil {
		r.err = err
	}
	return out.String()
}

// list returns a part made of its items, which are HTML already.
func (r *renderer) list(name string, items []part) part {
	var inner strings.Builder
	for _, one := range items {
		inner.WriteString(one.html)
	}
	return part{id: name, html: r.execute(name, template.HTML(inner.String())), items: items}
}

func (w *words) page(parts []part) ([]byte, error) {
	shown := struct {
		*words
		Part map[string]template.HTML
	}{w, map[string]template.HTML{}}
	for _, p := range parts {
		shown.Part[p.id] = template.HTML(p.html)
	}
	var out bytes.Buffer
	err := page.Execute(&out, shown)
	return out.Bytes(), err
}

// changes returns the HTML of the parts that changed, by their ids.
func changes(before, after []part) map[string]string {
	known := make(map[string]*part, len(before))
	for i := range before {
		known[before[i].id] = &before[i]
	}
	changed := map[string]string{}
	for i := range after {
		now, then := &after[i], known[after[i].id]
		switch {
		case then != nil && then.html == now.html:
		case then != nil && sameItems(then.items, now.items):
			for k := range now.items {
				if now.items[k].html != then.items[k].html {
					changed[now.items[k].id] = now.items[k].html
				}
			}
		default:
			changed[now.id] = now.html
		}
	}
	return changed
}

// sameItems reports whether two lists have the same items in the same order; an empty list has none.
func sameItems(a, b []part) bool {
	return len(a) > 0 && slices.EqualFunc(a, b, func(x, y part) bool { return x.id == y.id })
}

func (f *frame) event(changed map[string]string) ([]byte, error) {
	data, err := json.Marshal(struct {
		Run   string            `json:"run"`
		Title string            `json:"title"`
		Over  bool              `json:"over"`
		Parts map[string]string `json:"parts"`
	}{f.run, f.title, f.over, changed})
	return fmt.Appendf(nil, "event: parts\nretry: 2000\ndata: %s\n\n", data), err
}

// Fact is a line of a report.
type Fact struct{ Name, Value string }

// Facts are lines that belong together.
type Facts struct {
	Name  string
	Facts []Fact
}

// Report writes one self-contained page about a job, as its tables show it.
func Report(w io.Writer, v *view.View, groups []Facts) error {
	shown := struct {
		*words
		Groups []Facts
	}{put(v), groups}
	shown.Title, shown.Follows = "report on "+v.Job, false
	shown.Charts = []chart{storedOf(v.History), ratesOf(v.History, true)}
	shown.Phase = phase{"unfinished", "lost", "◐"}
	if v.Phase == view.Ended {
		shown.Phase = phase{"complete and verified", "good", "✓"}
	}
	return report.Execute(w, shown)
}
