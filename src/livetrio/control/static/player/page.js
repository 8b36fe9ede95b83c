// The public page: the list of live streams, and one of them playing.

import { copyText, el, kbits, path, show } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";
import { Chat } from "/assets/player/chat.js";
import { Fallback } from "/assets/player/fallback.js";
import { addresses, ways } from "/assets/player/ways.js";

const $ = (id) => document.getElementById(id);
const REFRESH = 3000; // milliseconds

let chosen = fromAddress();
let server = { ports: {}, webrtc: false, turn: false, guests: false };
let streams = [];
let known = "";

translate();
addSwitches($("switches"));
const player = new Fallback($("video"), showState);
const chat = new Chat($("chat"), $("screen"));

function fromAddress() {
  const [app, ...name] = (new URLSearchParams(location.search).get("stream") ?? "").split("/");
  return name.length ? { app, name: name.join("/") } : null;
}

const same = (a, b) => a && b && a.app === b.app && a.name === b.name;
const title = (stream) => `${stream.app}/${stream.name}`;

function showState(state, way) {
  const texts = {
    connecting: t("player.connecting"), away: t("player.retry"), playing: "",
    unsupported: t("player.unsupported"),
  };
  if (state === "blocked") {
    show($("veil"), el("button", { onclick: () => player.resume() }, t("player.start")));
  } else {
    show($("veil"), texts[state] ? el("p", {}, texts[state]) : null);
  }
  $("way").hidden = state !== "playing";
  $("way").textContent = way?.label ?? "";
  $("controls").hidden = !chosen;
}

function hindrance(found) {
  if (found.length) return "";
  const any = Object.values(addresses(chosen, server)).some(Boolean);
  return any && location.protocol === "https:" ? t("player.mixed") : t("player.no-port");
}

function choose(stream, { push = true } = {}) {
  chosen = stream;
  if (push) history.pushState(null, "", `/player?stream=${encodeURIComponent(title(stream))}`);
  start();
  render();
}

function start() {
  chat.enter(chosen, server.ports.im, server.guests);
  if (!chosen) {
    player.stop();
    show($("veil"), el("p", {}, t("player.choose")));
    return;
  }
  const found = ways(chosen, server, $("transport").value);
  const why = hindrance(found);
  if (why) {
    player.stop();
    show($("veil"), el("p", {}, why));
  } else player.play(found);
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
        stream.playable || server.webrtc ? null : el("span", { class: "badge warn" }, t("no")),
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
    [t("player.rate"), facts.rate ? kbits(Math.round(facts.rate / 1000)) : "–"],
    [t("player.delay"), delay(facts.delay)],
    [t("player.dropped"), String(facts.dropped)],
  ];
  show($("facts"), rows.map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const at = addresses(stream, server);
  const urls = [
    ["RTMP", at.rtmp], ["HTTP-FLV", at.http], ["WS-FLV", at.ws], ["HLS", at.hls],
    ["WHEP", at.webrtc],
  ];
  show($("elsewhere"), el("h2", {}, t("player.elsewhere")), urls.filter(([, url]) => url).map(copyRow));
}

const delay = (seconds) =>
  seconds === null ? "–" : seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;

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
    server = { ports: told.ports, webrtc: told.webrtc, turn: told.turn, guests: told.guests };
    streams = told.items;
    const listed = JSON.stringify([server, streams.map(title)]);
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
