// The console: tabs, tiles, and the beat at which the shown page is made anew.

import { api, listen } from "/assets/console/api.js";
import { clientsPage } from "/assets/console/clients.js";
import { publishPage } from "/assets/console/publish.js";
import { recordingsPage } from "/assets/console/recordings.js";
import { relaysPage } from "/assets/console/relays.js";
import { streamsPage } from "/assets/console/streams.js";
import { treePage } from "/assets/console/tree.js";
import { el, kbits, show } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";

const $ = (id) => document.getElementById(id);
const BEAT = 2000; // milliseconds

/** Each page: render(state) -> nodes; beat: is it made anew regularly? */
const pages = {
  streams: { make: streamsPage, beat: true },
  publish: { make: publishPage, beat: false },
  clients: { make: clientsPage, beat: true },
  relays: { make: relaysPage, beat: true },
  recordings: { make: recordingsPage, beat: false },
  tree: { make: treePage, beat: true },
};

const state = { node: { ports: {}, apps: [] }, streams: [], notify, refresh: () => beat(true) };
let page = null;
let timer = 0;
let running = false;

translate();
addSwitches($("switches"));

/** Say something above the page for a while. */
function notify(text, kind = "") {
  const notice = el(
    "div", { class: `card notice row ${kind}` }, el("span", {}, text),
    el("button", { class: "plain push", "aria-label": t("cancel"), onclick: () => notice.remove() }, "×"),
  );
  $("notices").prepend(notice);
  setTimeout(() => notice.remove(), kind === "error" ? 15000 : 10000);
}

function open() {
  const name = location.hash.slice(1) in pages ? location.hash.slice(1) : "streams";
  for (const link of $("tabs").children) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  page = { ...pages[name], frame: el("div", { class: "stack" }) };
  page.update = page.make(page.frame, state);
  show($("page"), page.frame);
  beat(true);
}

function tiles() {
  const { now } = state.node;
  const told = [
    [now.live, t("tile.streams")],
    [now.viewers, t("tile.viewers")],
    [kbits(now.received_kbits), t("tile.in")],
    [kbits(now.sent_kbits), t("tile.out")],
  ];
  show($("tiles"), told.map(([value, name]) =>
    el("div", { class: "card tile" }, el("b", {}, String(value)), el("span", {}, name))));
}

async function beat(first = false) {
  clearTimeout(timer);
  timer = setTimeout(beat, BEAT);
  if (running) return;
  running = true;
  const shown = page;
  try {
    Object.assign(state.node, await api("/v1/node"));
    state.streams = (await api("/v1/streams?per_page=500")).items;
    tiles();
    if (shown.beat || first) await shown.update();
  } catch (error) {
    show($("tiles"), el("p", { class: "card tile notice error" }, error instanceof TypeError ? t("error.unreachable") : error.message));
  }
  running = false;
  if (shown !== page) beat(true); // the tab was changed while this one was asked for
}

let soon = 0;
function happened() {
  clearTimeout(soon);
  soon = setTimeout(() => beat(), 150);
}

function connected(on) {
  $("pulse").className = on ? "badge live" : "badge";
  $("pulse").title = t("events.title");
}

addEventListener("hashchange", open);
try {
  state.node = await api("/v1/node");
  $("version").textContent = state.node.version;
} catch (error) {
  notify(error.message, "error");
}
listen(happened, connected);
open();
