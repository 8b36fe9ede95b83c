// The public page: the list of live streams, and one of them playing.

import { copyText, el, kbits, path, show } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";
import { Player } from "/assets/player/player.js";

const $ = (id) => document.getElementById(id);
const REFRESH = 3000; // milliseconds

let chosen = fromAddress();
let ports = {};
let streams = [];
let known = "";

translate();
addSwitches($("switches"));
const player = new Player($("video"), showState);

function fromAddress() {
  const [app, ...name] = (new URLSearchParams(location.search).get("stream") ?? "").split("/");
  return name.length ? { app, name: name.join("/") } : null;
}

const same = (a, b) => a && b && a.app === b.app && a.name === b.name;
const title = (stream) => `${stream.app}/${stream.name}`;

function flvUrl(stream, transport) {
  const { port, tls } = ports.httpflv;
  const scheme = transport === "ws" ? (tls ? "wss" : "ws") : tls ? "https" : "http";
  return `${scheme}://${location.hostname}:${port}/${path(stream.app, stream.name)}.flv`;
}

function rtmpUrl(stream) {
  const bound = ports.rtmp ?? ports.rtmps;
  if (!bound) return null;
  const scheme = bound.tls ? "rtmps" : "rtmp";
  const port = !bound.tls && bound.port === 1935 ? "" : `:${bound.port}`;
  return `${scheme}://${location.hostname}${port}/${path(stream.app, stream.name)}`;
}

function showState(state) {
  const texts = { connecting: t("player.connecting"), away: t("player.retry"), playing: "" };
  if (state === "blocked") {
    show($("veil"), el("button", { onclick: () => player.resume() }, t("player.start")));
  } else {
    show($("veil"), texts[state] ? el("p", {}, texts[state]) : null);
  }
  $("controls").hidden = !chosen;
}

function hindrance() {
  if (!Player.supported()) return t("player.unsupported");
  if (!ports.httpflv) return t("player.no-port");
  if (location.protocol === "https:" && !ports.httpflv.tls) return t("player.mixed");
  return "";
}

function choose(stream, { push = true } = {}) {
  chosen = stream;
  if (push) history.pushState(null, "", `/player?stream=${encodeURIComponent(title(stream))}`);
  start();
  render();
}

function start() {
  if (!chosen) {
    player.stop();
    show($("veil"), el("p", {}, t("player.choose")));
    return;
  }
  const why = hindrance();
  if (why) show($("veil"), el("p", {}, why));
  else player.play(flvUrl(chosen, $("transport").value));
}

function render() {
  const listed = streams.map((stream) =>
    el(
      "a",
      {
        href: `/player?stream=${encodeURIComponent(title(stream))}`,
        "aria-current": same(stream, chosen) ? "true" : null,
        data: { key: title(stream) },
        onclick: (event) => {
          event.preventDefault();
          choose({ app: stream.app, name: stream.name });
        },
      },
      el("h3", {}, title(stream)),
      el(
        "div", { class: "row small quiet" },
        el("span", {}, t("viewers", { count: stream.viewers })),
        el("span", {}, stream.codecs.join(" + ")),
        stream.playable ? null : el("span", { class: "badge warn" }, t("no")),
      ),
    ));
  show($("list"), listed.length ? listed : el("p", { class: "card quiet" }, t("player.none")));
  const here = streams.find((stream) => same(stream, chosen));
  $("about").hidden = !here;
  $("elsewhere").hidden = !here;
  if (here) renderHere(here);
}

function renderHere(stream) {
  $("name").textContent = title(stream);
  $("watching").textContent = t("viewers", { count: stream.viewers });
  const facts = player.facts();
  const picture = facts.width ? `${facts.width} × ${facts.height}` : "–";
  const rows = [
    [t("player.size"), picture],
    [t("player.codec"), stream.codecs.join(" + ") || "–"],
    [t("player.rate"), facts.rate ? kbits(Math.round(facts.rate * 8)) : "–"],
    [t("player.delay"), `${facts.buffer.toFixed(1)} s`],
    [t("player.dropped"), String(facts.dropped)],
  ];
  show($("facts"), rows.map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const urls = [["RTMP", rtmpUrl(stream)]];
  if (ports.httpflv) {
    urls.push(["HTTP-FLV", flvUrl(stream, "http")], ["WS-FLV", flvUrl(stream, "ws")]);
  }
  show($("elsewhere"), el("h2", {}, t("player.elsewhere")), urls.filter(([, url]) => url).map(copyRow));
}

function copyRow([name, url]) {
  const button = el("button", {
    class: "tiny", type: "button", data: { key: `copy ${name}` },
    onclick: async () => {
      await copyText(url);
      button.textContent = t("copied");
    },
  }, t("copy"));
  return el(
    "div", { class: "copy" },
    el("span", { class: "name quiet small" }, name), el("span", { class: "value" }, url), button,
  );
}

async function refresh() {
  try {
    const answer = await fetch("/v1/public/streams?per_page=200");
    const told = await answer.json();
    ports = told.ports;
    streams = told.items;
    const listed = JSON.stringify([ports, streams.map(title)]);
    if (!known) start();
    known = listed;
    if (!chosen && streams.length) choose({ app: streams[0].app, name: streams[0].name }, { push: false });
    else render();
  } catch {
    show($("list"), el("p", { class: "card quiet" }, t("error.unreachable")));
  }
  setTimeout(refresh, REFRESH);
}

$("transport").addEventListener("change", start);
$("mute").addEventListener("click", () => {
  $("video").muted = !$("video").muted;
});
$("video").addEventListener("volumechange", showMute);
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen();
});
addEventListener("popstate", () => {
  chosen = fromAddress();
  start();
  render();
});

function showMute() {
  $("mute").textContent = t($("video").muted ? "player.unmute" : "player.mute");
}

showMute();
show($("veil"), el("p", {}, t("player.connecting")));
refresh();
