// What every page does in the browser: the live stream, changed panels, labels, keyboard, errors.
//
// Stream (/notify/stream?audiences=a+b): an unnamed SSE message is a hint, one JSON object
// {audience, topic, partition, offset, type}, with an id. "gap": the server cannot resume after
// our last id. "bye": it is shutting down, come back. "ping": alive, with the bank's time and pace.
// A hint becomes the DOM event guanxi:<audience> on body (detail: the hint); a panel with
// hx-trigger="guanxi:party:P1 from:body" then asks again with ?at=topic:partition:offset. An
// answer that holds [data-stale] is asked for again. After a gap: guanxi:gap.
//
// Markup: data-label="party:P1" data-row data-ack data-key data-hold data-quiet data-draft
// data-width data-retry-s data-help.
"use strict";
(() => {
const body = document.body, byId = (id) => document.getElementById(id);
const texts = JSON.parse(byId("gx-texts")?.textContent || "{}");
const say = (key, values = {}) => (texts[key] || key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
const cookie = (name) => document.cookie.split("; ").find((c) => c.startsWith(name + "="))?.slice(name.length + 1) || "";
const csrf = () => cookie("__Host-guanxi_csrf") || cookie("guanxi_csrf");
const all = (selector, root) => [...root.querySelectorAll(selector)];
const within = (selector, root) => (root.matches?.(selector) ? [root] : []).concat(all(selector, root));

// --- Live stream ------------------------------------------------------------------------
const FLUSH_MS = 250, QUIET_MS = 45000, RETRY_MAX_MS = 15000, STALE_TRIES = 6;
const audiences = [...new Set((body.dataset.audiences || "").split(/\s+/).filter(Boolean))];
let stream = null, lastId = "", tries = 0, heardAt = Date.now(), reconnect = 0, flushing = 0, flushedAt = 0, signedOut = false;
const waiting = new Map(); // one hint per audience and partition: the newest says it all

function live(state) {
  const dot = byId("gx-live");
  if (!dot || dot.dataset.state === state) return;
  dot.dataset.state = state;
  dot.title = dot.firstElementChild.textContent = say(state);
}
function connect() {
  clearTimeout(reconnect);
  if (!body.dataset.stream || !audiences.length) return;
  stream?.close();
  const query = new URLSearchParams({ audiences: audiences.join(" ") });
  if (lastId) query.set("last_event_id", lastId);
  stream = new EventSource(`${body.dataset.stream}?${query}`);
  const heard = (event) => { heardAt = Date.now(); if (event.lastEventId) lastId = event.lastEventId; };
  stream.onopen = () => { heardAt = Date.now(); tries = 0; signedOut = false; live("streaming"); online(); localStorage.guanxiOpened = heardAt; };
  stream.onmessage = (event) => { heard(event); take(JSON.parse(event.data)); };
  stream.addEventListener("hint", stream.onmessage);
  stream.addEventListener("ping", (event) => { heard(event); setClock(JSON.parse(event.data)); });
  stream.addEventListener("bye", () => again(500 + Math.random() * 1500));
  stream.addEventListener("gap", (event) => { heard(event); gap(); });
  stream.onerror = ({ target }) => {
    again(Math.min(RETRY_MAX_MS, 500 * 2 ** tries++) * (0.5 + Math.random()));
    if (target.readyState === EventSource.CLOSED) refused();
  };
}
// Why, a stream does not tell. Without a session: what the page shows and what is typed stays, the
// sign-in opens beside it; when a stream opens there (storage), or who comes back, this goes on.
async function refused() {
  const answer = await fetch("/notify/count", { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status !== 401) return;
  clearTimeout(reconnect);
  signedOut = true;
  live("ended");
  const box = byId("gx-offline");
  box.textContent = `${say("ended")} ${say("asOf", { time: heardTime() })} `;
  box.append(Object.assign(document.createElement("a"), { textContent: say("signIn"), href: "/sign-in", target: "_blank", rel: "noopener" }));
  box.hidden = false;
}
for (const name of ["focus", "storage"]) addEventListener(name, () => { if (signedOut) connect(); });
function again(delay) {
  stream?.close();
  stream = null;
  live(tries > 3 ? "paused" : "reconnecting");
  if (tries > 2) offline();
  clearTimeout(reconnect);
  reconnect = setTimeout(connect, delay);
}
function gap() {
  body.dispatchEvent(new CustomEvent("guanxi:gap", { detail: {} }));
  pill(say("gap"), () => location.reload());
}
// htmx reads a slash in hx-trigger as the start of a quoted text: the name of the event has none.
const eventOf = (audience) => `guanxi:${audience.replaceAll("/", "_")}`;
function take(hint) {
  const key = `${hint.audience} ${hint.topic} ${hint.partition}`, held = waiting.get(key);
  if (held && held.offset >= hint.offset) return;
  waiting.set(key, hint);
  // The first of a burst goes at once, the rest together: a person waits for none, a server
  // answers four times a second at most.
  if (!flushing) flushing = setTimeout(flush, Math.max(0, FLUSH_MS - (performance.now() - flushedAt)));
}
function flush() {
  flushing = 0;
  if (document.hidden) return; // nobody looks: flushed when the page is seen again
  flushedAt = performance.now();
  const hints = [...waiting.values()];
  waiting.clear();
  for (const hint of hints) body.dispatchEvent(new CustomEvent(eventOf(hint.audience), { detail: hint }));
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  flush();
  if (stream && Date.now() - heardAt > QUIET_MS) connect();
});
setInterval(() => { if (stream && Date.now() - heardAt > QUIET_MS) again(0); }, 5000);
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted) { connect(); gap(); } });

// --- The bank's date: moves with the bank's clock, which may run faster than ours ------------
const day = document.querySelector(".gx-day");
let clock = null; // {bank: ms since the epoch as the bank's wall shows it, wall: ours, factor}
function setClock({ bank_now: now, factor }) {
  if (!day || !now) return;
  clock = { bank: Date.parse(now.slice(0, 19) + "Z"), wall: Date.now(), factor };
  showDay();
}
function showDay() {
  if (!clock) return;
  const at = new Date(clock.bank + (Date.now() - clock.wall) * clock.factor), time = day.querySelector("time");
  const shown = at.toISOString().slice(0, 10);
  if (time.textContent === shown) return;
  time.dateTime = time.textContent = shown;
  time.title = at.toLocaleDateString(document.documentElement.lang, { dateStyle: "full", timeZone: "UTC" });
}
if (day) { setClock({ bank_now: day.dataset.bankNow, factor: Number(day.dataset.factor) }); setInterval(showDay, 1000); }

// --- Offline: the last truth and its time -------------------------------------------------
const heardTime = () => new Date(heardAt).toLocaleTimeString(document.documentElement.lang);
function offline() {
  const box = byId("gx-offline");
  if (!box || !box.hidden) return;
  box.textContent = say("offline", { time: heardTime() });
  box.hidden = false;
}
function online() { const box = byId("gx-offline"); if (box) box.hidden = true; }
addEventListener("offline", () => { live("paused"); offline(); });
addEventListener("online", connect);

// --- Requests: position, token, panels that must not move ----------------------------------
const isHint = (event) => event?.type?.startsWith("guanxi:");
const asks = new WeakMap(); // how a panel that asked by itself asks once more
const held = new Map(); // panels the reader reads far down or types in: they wait behind the pill
// A panel in which somebody types, chooses or has opened something is not taken from under him.
const FIELDS = "input:not([type=hidden]), textarea, select";
const typed = (field) => field.matches("[type=checkbox], [type=radio]") ? field.checked !== field.defaultChecked
  : field.tagName === "SELECT" ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected))
  : field.value !== field.defaultValue;
const busy = (panel) => within(FIELDS, panel).some((field) => field === document.activeElement || typed(field))
  || panel.querySelector("details[open] form, details[open] [hx-get]") !== null;
function unhold(panel) {
  if (held.delete(panel) && !held.size) byId("gx-pill").hidden = true;
}
function release() { // what nobody is busy with any more follows by itself
  for (const [panel, one] of held) {
    if (!panel.isConnected) unhold(panel);
    else if (one.busy && !busy(panel)) { unhold(panel); one.issueRequest(true); }
  }
}
for (const name of ["focusout", "toggle", "change"]) body.addEventListener(name, () => setTimeout(release, 200), true);
body.addEventListener("htmx:configRequest", (event) => {
  const { headers, parameters, verb, triggeringEvent, elt } = event.detail;
  if (verb !== "get") headers["X-CSRF-Token"] = csrf();
  const hint = isHint(triggeringEvent) ? triggeringEvent.detail : null;
  if (hint?.topic && hint.offset >= 0) parameters.at = // below 0: moved by the clock, at no position
    elt.guanxiAt = `${hint.topic}:${hint.partition}:${hint.offset}`;
});
body.addEventListener("htmx:confirm", (event) => {
  const { elt, triggeringEvent, issueRequest } = event.detail;
  const asked = triggeringEvent && !isHint(triggeringEvent);
  const inUse = !asked && event.detail.verb === "get" && elt.childElementCount > 0 && busy(elt);
  if (!triggeringEvent && inUse) event.preventDefault(); // asked by the clock: it asks again
  if (!asked) asks.set(elt, issueRequest);
  if (!isHint(triggeringEvent) || !(inUse || (elt.hasAttribute("data-hold") && scrollY >= 150))) return;
  event.preventDefault();
  hold(elt, issueRequest, inUse);
});
function hold(panel, issueRequest, inUse) {
  const entry = held.get(panel) || { count: 0 };
  held.set(panel, { count: entry.count + 1, issueRequest, busy: inUse });
  const count = [...held.values()].reduce((sum, one) => sum + one.count, 0);
  pill(say("fresh", { count }), () => {
    scrollTo({ top: 0 });
    for (const one of held.values()) one.issueRequest(true);
    held.clear();
  });
}
function pill(text, act) {
  const button = byId("gx-pill");
  if (!button) return;
  button.textContent = text;
  button.hidden = false;
  button.onclick = () => { button.hidden = true; act(); };
}

// --- After a swap: glow what changed, fill labels, ask again when stale ----------------------
const before = new WeakMap();
const summary = (one) => one.querySelector("summary")?.textContent;
const opened = (panel) => new Set(all("details[open]", panel).map(summary));
const keyed = (panel) => new Map(all("[data-key]", panel).map((one) => [one.dataset.key, one.textContent]));
body.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, requestConfig } = event.detail;
  if (xhr.status === 422 && !/html/.test(xhr.getResponseHeader("content-type") || "")) {
    event.detail.shouldSwap = false;
    event.detail.isError = true;
  }
  const ofItself = requestConfig?.verb === "get" && (!requestConfig.triggeringEvent || isHint(requestConfig.triggeringEvent));
  if (ofItself && asks.has(target) && busy(target)) { // somebody began to type while it was on its way
    event.detail.shouldSwap = false;
    hold(target, asks.get(target), true);
    return;
  }
  if (isHint(requestConfig?.triggeringEvent)) before.set(target, { keys: keyed(target), text: target.textContent, open: opened(target) });
});
body.addEventListener("htmx:afterSettle", (event) => {
  const { target, requestConfig } = event.detail;
  const panel = target?.isConnected ? target : event.detail.elt;
  if (!panel?.isConnected) return;
  for (const one of [...held.keys()]) if (one === panel || !one.isConnected) unhold(one);
  dress(panel, isHint(requestConfig?.triggeringEvent) ? LABEL_TRIES : 0);
  const old = before.get(target);
  before.delete(target);
  if (old?.open.size) all("details", panel).forEach((one) => { if (old.open.has(summary(one))) one.open = true; });
  if (old) {
    const rows = all("[data-key]", panel);
    const changed = rows.filter((one) => old.keys.get(one.dataset.key) !== one.textContent);
    if (rows.length) changed.forEach(glow);
    else if (old.text !== panel.textContent) glow(panel);
  }
  askAgain(panel, requestConfig);
});
function glow(one) {
  one.classList.add("gx-glow");
  setTimeout(() => one.classList.remove("gx-glow"), 2000);
}
function askAgain(panel, config) {
  const asker = config?.elt;
  if (!asker?.isConnected || config.verb !== "get") return;
  if (!within("[data-stale]", panel).length) { asker.guanxiTries = 0; return; }
  asker.guanxiTries = (asker.guanxiTries || 0) + 1;
  if (asker.guanxiTries > STALE_TRIES) return;
  const url = new URL(config.path, location.href);
  if (asker.guanxiAt) url.searchParams.set("at", asker.guanxiAt);
  setTimeout(() => {
    if (asker.isConnected) htmx.ajax("get", url.pathname + url.search, { source: asker, target: panel, swap: asker.getAttribute("hx-swap") || "innerHTML" });
  }, 300 * 2 ** asker.guanxiTries);
}

// --- Labels: names are not on topics; one request per owner and panel ------------------------
const OWNERS = { party: "/customer/labels", staff: "/workflow/labels" };
// What a hint brought may be here before the names' owner has heard of it: it is asked again.
const LABELS_PER_REQUEST = 100, LABEL_TRIES = 3, known = new Map();
async function label(root, tries) {
  const spots = within("[data-label]", root), unknown = {};
  const fill = () => spots.forEach((spot) => { const name = known.get(spot.dataset.label); if (name) spot.textContent = name; });
  fill();
  for (const { dataset: { label: id } } of spots) {
    const owner = OWNERS[id.split(":")[0]];
    if (owner && (tries ? !known.get(id) : !known.has(id))) (unknown[owner] ||= new Set()).add(id);
  }
  await Promise.all(Object.entries(unknown).flatMap(([owner, set]) => {
    const ids = [...set], requests = [];
    for (let at = 0; at < ids.length; at += LABELS_PER_REQUEST) requests.push(ask(owner, ids.slice(at, at + LABELS_PER_REQUEST)));
    return requests;
  }));
  fill();
  const unnamed = spots.some((spot) => spot.isConnected && known.get(spot.dataset.label) === "");
  if (tries && unnamed) setTimeout(() => label(root, tries - 1), 4000 / 2 ** tries);
}
async function ask(owner, ids) {
  ids.forEach((id) => known.set(id, "")); // asked: other panels do not ask twice
  try {
    const answer = await fetch(`${owner}?ids=${encodeURIComponent(ids.join(","))}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    for (const [id, name] of Object.entries(await answer.json())) known.set(id, name);
  } catch {
    ids.forEach((id) => known.delete(id)); // the ids stay readable; the next panel asks again
  }
}

// --- Small markup ----------------------------------------------------------------------------
const scrolled = (root) => within(".table-responsive", root).forEach((one) => { if (one.scrollWidth > one.clientWidth) one.tabIndex = 0; }); // by keys
addEventListener("resize", () => scrolled(body));
function dress(root, tries = 0) {
  within("[data-width]", root).forEach((one) => { one.style.width = one.dataset.width; });
  within("form[data-draft]", root).forEach(restore);
  scrolled(root);
  label(root, tries);
}
const draftKey = (form) => `draft:${form.dataset.draft}`;
function restore(form) {
  const draft = JSON.parse(sessionStorage.getItem(draftKey(form)) || "{}");
  for (const [name, value] of Object.entries(draft)) { const field = form.elements[name]; if (field && !field.value) field.value = value; }
}
body.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.draft) return;
  const fields = [...form.elements].filter((one) => one.name && !/^(password|file|hidden|checkbox|radio)$/.test(one.type));
  sessionStorage.setItem(draftKey(form), JSON.stringify(Object.fromEntries(fields.map((one) => [one.name, one.value]))));
});
body.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt;
  if (event.detail.successful && form?.dataset?.draft) sessionStorage.removeItem(draftKey(form));
});

// --- Errors: what happened, the number for the help desk --------------------------------------
function toast(title, detail, number, link) {
  const box = document.createElement("div"), add = (tag, text) => box.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
  box.className = "alert alert-danger gx-toast";
  add("strong", title);
  if (detail) add("p", detail);
  if (link) Object.assign(add("a", link.text), { href: link.href, target: "_blank", rel: "noopener" });
  if (number) add("p", `${say("number")}: ${number}`).className = "small";
  const close = add("button", "");
  Object.assign(close, { type: "button", className: "btn-close", onclick: () => box.remove() });
  close.setAttribute("aria-label", say("close"));
  byId("gx-toasts")?.append(box);
  if (!link) setTimeout(() => box.remove(), 12000);
}
body.addEventListener("htmx:responseError", (event) => {
  const { xhr, elt } = event.detail;
  if (elt.matches("[data-quiet]")) return unfilled(elt);
  // Signed out while the page was open: what is typed stays, the sign-in opens beside it.
  if (xhr.status === 401) return toast(say("ended"), "", "", { text: say("signIn"), href: "/sign-in" });
  let problem = {};
  try { problem = JSON.parse(xhr.responseText); } catch { /* a page, not a problem document */ }
  const fields = (problem.errors || problem.fields || []).map((one) => [one.field, one.reason].filter(Boolean).join(": ")).join(" · ");
  toast(problem.message || problem.title || say("failed"), fields || problem.detail || "", problem.correlation_id || xhr.getResponseHeader("x-correlation-id"));
});
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  body.addEventListener(name, ({ detail: { elt } }) => elt.matches("[data-quiet]") ? unfilled(elt) : toast(say("failed"), say("unreachable")));
}
function unfilled(panel) { // what never came must not look as if it were on its way
  const wait = panel.querySelector(".gx-skeleton");
  if (wait) { wait.className = "text-danger"; wait.textContent = say("failed"); }
}

// --- Keyboard ----------------------------------------------------------------------------------
let here = null;
const rows = () => all("[data-row], .gx-table tbody tr", byId("content")).filter((one) => one.offsetParent);
function move(step) {
  const list = rows();
  if (!list.length) return;
  here?.classList.remove("gx-here");
  const next = list.indexOf(here) + step;
  here = list[Math.max(0, Math.min(list.length - 1, here?.isConnected ? next : 0))];
  here.classList.add("gx-here");
  here.scrollIntoView({ block: "nearest" });
  (here.querySelector("a[href], button") || here).focus({ preventScroll: true });
}
const KEYS = {
  "/": () => { const box = byId("gx-search"); box?.focus(); box?.select(); },
  j: () => move(1),
  k: () => move(-1),
  e: () => here?.querySelector("[data-ack]")?.click(),
  "?": () => byId("gx-help")?.showModal?.(),
};
addEventListener("keydown", (event) => {
  const field = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field?.form) { field.form.requestSubmit(); return; }
  if (event.key === "Escape") { field?.blur(); all("details[open]", body).forEach((one) => { one.open = false; }); }
  if (field || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && here?.isConnected && !event.target.closest("a, button, summary")) { here.querySelector("a[href]")?.click(); return; }
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
body.addEventListener("click", (event) => {
  if (event.target.closest("[data-help]")) KEYS["?"]();
  all("details.gx-who[open]", body).forEach((one) => { if (!one.contains(event.target)) one.open = false; });
});

dress(body);
connect();
document.querySelector(".gx-menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // a phone's menu is a strip
const retry = document.querySelector("[data-retry-s]");
if (retry) setTimeout(() => location.reload(), 1000 * retry.dataset.retryS);
})();
