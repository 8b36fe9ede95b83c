// The publish page: a preview, what is set, and the broadcast.

import { Broadcast, codecs } from "/assets/publish/broadcast.js";
import { capture, devices, release } from "/assets/publish/capture.js";
import { copyText, el, kbits, show, span } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";

const $ = (id) => document.getElementById(id);
const LOOK = 1000; // milliseconds between two looks at the statistics

let stream = null; // what the preview shows and the broadcast sends
let opening = 0; // number of the newest attempt to open devices
let broadcast = null;
let began = 0;
let muted = false;
let dark = false;
let turn = false; // has the server a TURN server for us?

translate();
addSwitches($("switches"));

function fill(select, entries, chosen = select.value) {
  show(select, entries.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

async function listDevices() {
  const { cameras, microphones } = await devices();
  const named = (list, kind) =>
    list.map(({ deviceId, label }, number) => [deviceId, label || `${t(kind)} ${number + 1}`]);
  const used = (kind) => stream?.getTracks().find((track) => track.kind === kind)?.getSettings().deviceId;
  fill($("camera"), named(cameras, "camera.device"), used("video"));
  const silent = $("microphone").value === "none" ? "none" : used("audio");
  fill($("microphone"), [...named(microphones, "camera.microphone"), ["none", t("camera.silent")]], silent);
}

/** Open what is chosen now; the old tracks go once the new ones are there. */
async function open() {
  const mine = ++opening;
  const source = $("source").value;
  $("devices").hidden = source !== "camera";
  let fresh;
  try {
    fresh = await capture({
      source, camera: $("camera").value, microphone: $("microphone").value, height: Number($("size").value),
    });
  } catch (error) {
    if (mine === opening) notify(t("camera.denied", { reason: error.message || error.name }));
    return;
  }
  if (mine !== opening) {
    release(fresh.getTracks());
    return;
  }
  notify("");
  const old = stream?.getTracks() ?? [];
  stream = fresh;
  for (const track of fresh.getVideoTracks()) {
    // the browser's own "stop sharing"
    track.addEventListener("ended", () => stream === fresh && chooseCamera());
  }
  $("preview").srcObject = fresh;
  apply();
  await broadcast?.replace(fresh);
  release(old);
  await listDevices();
}

function chooseCamera() {
  $("source").value = "camera";
  open();
}

/** Show and obey the switches. */
function apply() {
  for (const track of stream?.getAudioTracks() ?? []) track.enabled = !muted;
  for (const track of stream?.getVideoTracks() ?? []) track.enabled = !dark;
  $("mute").textContent = t(muted ? "camera.unmute" : "camera.mute");
  $("mute").setAttribute("aria-pressed", muted);
  $("dark").textContent = t(dark ? "camera.light" : "camera.dark");
  $("dark").setAttribute("aria-pressed", dark);
  const mirrored = $("mirror").checked && $("source").value === "camera";
  $("preview").classList.toggle("mirrored", mirrored);
  $("go").disabled = !stream?.getTracks().length;
  $("go").textContent = t(broadcast ? "camera.stop" : "camera.start");
  $("target").disabled = Boolean(broadcast);
}

function notify(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function showState(state, reason = "") {
  const badge = $("state");
  badge.textContent = t(`camera.${state}`, { reason });
  badge.className = `badge state ${{ live: "live", connecting: "connecting", away: "warn" }[state] ?? ""}`;
  if (state === "live") {
    notify("");
    began ||= Date.now();
  }
}

function start() {
  const app = $("app").value.trim();
  const name = $("name").value.trim();
  const target = { app, name, key: $("key").value.trim(), codec: $("codec").value, rate: Number($("rate").value), turn };
  localStorage.setItem("livetrio.publish", JSON.stringify({ app, name }));
  began = 0;
  broadcast = new Broadcast(stream, target, (state, reason) => {
    if (state === "refused") {
      stop();
      notify(t("camera.refused", { reason }));
    } else showState(state);
  });
  const url = new URL(`/player?stream=${encodeURIComponent(`${app}/${name}`)}`, location).href;
  const copy = el("button", {
    class: "tiny", type: "button",
    onclick: async () => {
      await copyText(url);
      copy.textContent = t("copied");
    },
  }, t("copy"));
  show($("share"), el(
    "div", { class: "copy" }, el("span", { class: "name quiet small" }, t("camera.share")),
    el("a", { class: "value", href: url, target: "_blank", rel: "noopener" }, url), copy,
  ));
  apply();
}

function stop() {
  broadcast?.stop();
  broadcast = null;
  showState("idle");
  apply();
}

async function look() {
  const told = await broadcast?.stats?.look();
  $("live").hidden = $("share").hidden = !broadcast;
  if (!told || !broadcast) return;
  const rows = [
    [t("camera.sent"), kbits(Math.round(told.rate / 1000))],
    [t("player.size"), told.width ? `${told.width} × ${told.height}` : "–"],
    [t("camera.fps"), told.width ? String(Math.round(told.fps)) : "–"],
    [t("camera.coded"), told.codec || "–"],
    [t("camera.rtt"), told.rtt === null ? "–" : `${Math.round(told.rtt * 1000)} ms`],
    [t("camera.lost"), `${(told.lost * 100).toFixed(1)} %`],
    [t("camera.since"), began ? span((Date.now() - began) / 1000) : "–"],
  ];
  show($("facts"), rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const limits = { cpu: t("camera.limited.cpu"), bandwidth: t("camera.limited.bandwidth") };
  $("limited").textContent = limits[told.limited] ?? "";
}

function remembered() {
  const asked = (new URLSearchParams(location.search).get("stream") ?? "").split("/");
  if (asked.length > 1) return { app: asked[0], name: asked.slice(1).join("/") };
  try {
    return JSON.parse(localStorage.getItem("livetrio.publish")) ?? {};
  } catch {
    return {};
  }
}

async function hindrance() {
  if (!navigator.mediaDevices) return t("camera.insecure");
  try {
    const told = await (await fetch("/v1/public/streams?per_page=1")).json();
    turn = told.turn;
    return told.webrtc ? "" : t("camera.webrtc-off");
  } catch {
    return t("error.unreachable");
  }
}

const { app = "live", name = "" } = remembered();
$("app").value = app;
$("name").value = name;
fill($("codec"), codecs().map((codec, number) => [codec, number ? codec : t("camera.plays", { codec })]));
showState("idle");
apply();

for (const id of ["source", "camera", "microphone", "size"]) $(id).addEventListener("change", open);
$("rate").addEventListener("change", () => broadcast?.setRate(Number($("rate").value)));
$("mirror").addEventListener("change", apply);
$("mute").addEventListener("click", () => {
  muted = !muted;
  apply();
});
$("dark").addEventListener("click", () => {
  dark = !dark;
  apply();
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (broadcast) stop();
  else start();
});
addEventListener("pagehide", () => broadcast?.stop());
setInterval(look, LOOK);

const why = await hindrance();
if (why) notify(why);
else {
  navigator.mediaDevices.addEventListener("devicechange", listDevices);
  await open();
}
