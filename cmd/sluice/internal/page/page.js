// The server renders the parts of the page; this script puts those that changed in their place and draws nothing itself.
const byId = id => document.getElementById(id);

function parse(html) {
  const t = document.createElement("template");
  t.innerHTML = html;
  return t.content.firstElementChild;
}

// settle makes now like then, and keeps elements if it can, so that bars glide, and focus and selection stay.
function settle(now, then) {
  for (const a of [...now.attributes]) if (!then.hasAttribute(a.name)) now.removeAttribute(a.name);
  for (const a of then.attributes) if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
  if (now.childNodes.length !== then.childNodes.length || [...now.childNodes].some((n, i) => n.nodeName !== then.childNodes[i].nodeName || n.id !== then.childNodes[i].id)) {
    now.replaceChildren(...[...then.childNodes].map(n => document.importNode(n, true)));
    return;
  }
  now.childNodes.forEach((n, i) => {
    const m = then.childNodes[i];
    if (n.nodeType === Node.TEXT_NODE) { if (n.data !== m.data) n.data = m.data; } else if (!n.isEqualNode(m)) settle(n, m);
  });
}

let run = document.documentElement.dataset.run, over = false, again = "";
const clock = () => new Date().toISOString().slice(11, 19) + " UTC";

function notice(text) {
  const at = byId("notice");
  if (at.textContent !== text) at.textContent = text;
  at.hidden = !text;
}

const source = new EventSource("live");

source.addEventListener("parts", e => {
  const said = JSON.parse(e.data);
  if (said.run !== run) again = `The server restarted at ${clock()}: this is its new run.`;
  run = said.run;
  over = said.over;
  lost = "";
  notice(again);
  document.title = said.title + " · Sluice";
  for (const [id, html] of Object.entries(said.parts)) {
    const now = byId(id), then = parse(html);
    if (now && then) settle(now, then);
  }
});

let lost = "";
source.addEventListener("error", () => {
  lost ||= over ? `The run has ended, and its server stopped at ${clock()}. This is the final state.`
    : `Connection lost at ${clock()}, reconnecting. These figures are from then.`;
  notice(source.readyState === EventSource.CLOSED ? lost.replace(", reconnecting.", ": reload the page.") : lost);
});
