// The server renders the page anew and this swaps what changed: there is one place that puts figures into words.
const shown = ["job", "source", "phase", "verdict", "total", "stored", "of", "rate", "mean", "left", "took", "limit", "lastcommit", "done", "failed", "requests", "refused", "line", "caption", "shards", "quotas", "letters", "warnings", "stamp"];
const parser = new DOMParser();
const byId = id => document.getElementById(id);

function swap(html) {
  const next = parser.parseFromString(html, "text/html");
  for (const id of shown) {
    const now = byId(id), then = next.getElementById(id);
    if (now && then && !now.isEqualNode(then)) settle(now, then);
  }
}

// settle makes now like then, and keeps the elements where it can, so that bars glide and a selection stays.
function settle(now, then) {
  for (const a of [...now.attributes]) if (!then.hasAttribute(a.name)) now.removeAttribute(a.name);
  for (const a of then.attributes) if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
  if (now.childNodes.length !== then.childNodes.length || [...now.childNodes].some((n, i) => n.nodeName !== then.childNodes[i].nodeName)) {
    now.replaceChildren(...[...then.childNodes].map(n => document.importNode(n, true)));
    return;
  }
  now.childNodes.forEach((n, i) => {
    const m = then.childNodes[i];
    if (n.nodeType === Node.TEXT_NODE) { if (n.data !== m.data) n.data = m.data; } else if (!n.isEqualNode(m)) settle(n, m);
  });
}

const svg = (name, attributes) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
};

// plot draws lines of [x, y] with x in 0..1 and y in 0..top.
function plot(chart, lines, top) {
  const place = ([x, y]) => `${(600 * x).toFixed(1)},${(155 - 148 * y / (top || 1)).toFixed(1)}`;
  chart.replaceChildren(...lines.filter(l => l.points.length > 1).map(l => svg("path", { class: l.kind, d: "M" + l.points.map(place).join("L") })));
}

function charts(view) {
  const past = view.history || [];
  if (past.length < 3) return;
  const first = Date.parse(past[0].at), span = Date.parse(past.at(-1).at) - first || 1;
  const at = p => (Date.parse(p.at) - first) / span;
  const rates = [];
  for (let i = 1, j = 0; i < past.length; i++) {
    while (j < i - 1 && Date.parse(past[i].at) - Date.parse(past[j].at) > Math.max(3000, span / 60)) j++;
    const d = (Date.parse(past[i].at) - Date.parse(past[j].at)) / 1000;
    if (d > 0) rates.push([at(past[i]), Math.max(0, past[i].stored - past[j].stored) / d]);
  }
  const top = Math.max(1, ...rates.map(r => r[1]));
  plot(byId("c-rate"), [{ kind: "one", points: rates }], top);
  byId("n-rate").textContent = `${Math.round(span / 1000)} s; the top is ${Math.round(top).toLocaleString("en")} a second`;
  byId("f-rate").hidden = false;
  const quotas = (view.quotas || []).filter(q => q.limit > 0);
  byId("f-quota").hidden = quotas.length === 0;
  if (!quotas.length) return;
  const most = Math.max(...quotas.map(q => q.limit), ...past.flatMap(p => p.recent || []));
  const lines = view.quotas.map((q, i) => ({ kind: i ? "two" : "one", points: past.filter(p => p.recent).map(p => [at(p), p.recent[i] || 0]) }));
  plot(byId("c-quota"), [...quotas.map(q => ({ kind: "top", points: [[0, q.limit], [1, q.limit]] })), ...lines], most);
  byId("legend").replaceChildren(...view.quotas.flatMap((q, i) => { const b = document.createElement("b"); b.textContent = q.endpoint; return i ? [" ", b] : [b]; }));
  byId("n-quota").textContent = "dashed: what is allowed: " + quotas.map(q => `${q.endpoint} ${q.limit} in ${q.window_seconds} s`).join(", ");
}

let over = false;
const source = new EventSource("live");
source.addEventListener("page", e => {
  const { html, view } = JSON.parse(e.data);
  swap(html);
  charts(view);
  over = view.phase === "ended";
  if (over) source.close();
});
source.addEventListener("error", () => {
  if (over) return;
  const phase = byId("phase");
  phase.className = "phase lost";
  phase.textContent = source.readyState === EventSource.CLOSED ? "the run no longer answers" : "connection lost, trying again";
});
