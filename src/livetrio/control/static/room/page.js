// The room page: from the lobby into a room, and back.

import { ask, el } from "/assets/shared/dom.js";
import { addSwitches, t, translate } from "/assets/shared/i18n.js";
import { becomeGuest, describe, forgetToken, keptToken } from "/assets/shared/identity.js";
import { RoomApi } from "/assets/room/api.js";
import { DeviceForm } from "/assets/room/device_form.js";
import { Devices } from "/assets/room/devices.js";
import { open } from "/assets/room/dialogs.js";
import { Lobby } from "/assets/room/lobby.js";
import { RoomView } from "/assets/room/view.js";
import { Visit } from "/assets/room/visit.js";

const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
let server = { ports: {}, webrtc: false, turn: false, rooms: false, guests: false };
let visit = null;

translate();
addSwitches($("switches"));

const devices = new Devices(async (stream) => {
  lobby.show(stream);
  if (stream) await visit?.onAir.replace(stream);
  if (visit?.state) view.render(visit);
});
devices.video = query.get("kind") !== "voice";
const deviceForm = new DeviceForm(devices, (error) =>
  notify(t("camera.denied", { reason: error.message || error.name })));
const view = new RoomView($, devices, {
  settings: () => {
    const home = deviceForm.root.parentElement;
    open(t("room.settings"), [deviceForm.root], () => home.append(deviceForm.root));
  },
  askToOpen,
});
const lobby = new Lobby(
  {
    root: $("lobby"), form: $("enter"), name: $("name"), place: $("place"), room: $("where"),
    preview: $("preview"), dark: $("dark"), check: $("check"), watch: $("watch"), about: $("about"),
    notice: $("lobby-notice"),
  },
  devices, deviceForm, enter,
);

function notify(text) {
  if (visit) view.notify(text);
  else lobby.notify(text);
}

/** "live/party", or "party" of the application live; null if it is none. */
function placeOf(text) {
  const [first, second, ...more] = text.split("/");
  if (!first || more.length || second === "") return null;
  return second ? { app: first, room: second } : { app: "live", room: first };
}

/** What to open: as the address says, else as the visitor does. */
async function askToOpen() {
  if (query.has("kind") || query.has("free")) {
    const free = query.get("free");
    return { kind: query.get("kind") ?? "video", ...(free !== null && { free: free === "1" }) };
  }
  const kind = el("select", {}, el("option", { value: "video" }, t("room.video")),
    el("option", { value: "voice" }, t("room.voice")));
  const free = el("input", { type: "checkbox" });
  const yes = await ask({
    title: t("room.open-title"), text: t("room.open-text"), ok: t("room.open"), cancel: t("cancel"),
    more: [
      el("label", {}, t("room.kind"), kind),
      el("label", { class: "check" }, free, el("span", {}, t("room.free"))),
    ],
  });
  return yes ? { kind: kind.value, free: free.checked || kind.value === "voice" } : null;
}

/** The token to enter with: the site's, or that of a guest of this name. */
async function tokenFor(name) {
  const kept = keptToken();
  const known = describe(kept);
  if (kept && !known.expired && (!known.guest || known.name === name || !server.guests)) return kept;
  return becomeGuest(name);
}

async function enter({ name, room, seat }, again = false) {
  const place = placeOf(room);
  if (!place) {
    lobby.notify(t("room.bad-name"));
    return;
  }
  let token = keptToken();
  try {
    if (!token && !server.guests) throw new Error(t("room.no-guests"));
    token = await tokenFor(name);
  } catch (error) {
    lobby.notify(error.message);
    return;
  }
  const { user, roles, guest } = describe(token);
  if (!query.get("room")) {
    query.set("room", `${place.app}/${place.room}`);
    history.replaceState(null, "", `/room?${query}`);
  }
  const given = query.has("kind") || query.has("free") ? await askToOpen() : null;
  lobby.close();
  $("room").hidden = false;
  view.start(place);
  visit = new Visit({ ...place, token, me: { user, roles }, server, seat, open: given }, devices, view,
    (reason, unknown) => {
      visit = null;
      view.stop();
      devices.close();
      $("room").hidden = true;
      if (unknown) forgetToken();
      // a guest of a server that has another secret by now
      if (unknown && guest && server.guests && !again) enter({ name, room, seat }, true);
      else {
        lobby.open({ fresh: false });
        lobby.notify(reason);
        peek();
      }
    });
  view.visit = visit;
}

/** Which room it is, and what is going on there, as far as one may know before one enters. */
async function peek() {
  const place = placeOf(query.get("room") ?? "");
  if (!place || visit) return;
  const { app, room } = place;
  const token = keptToken();
  lobby.about(`${app}/${room}`, "");
  try {
    const state = await new RoomApi(app, room, token).state();
    if (visit) return; // entered meanwhile
    const taken = Object.values(state.seats ?? {}).filter((one) => one.state === "taken").length;
    devices.video = state.kind === "video";
    lobby.about(`${app}/${room}`, t("room.about", {
      name: state.title || state.owner.name, kind: t(`room.${state.kind}`),
      taken, seats: Object.keys(state.seats ?? {}).length,
    }));
  } catch (error) {
    if (error.status !== 404) return; // the lobby is complete without it
    const { roles } = describe(token);
    const host = roles.includes("host") || roles.includes("admin");
    lobby.about(`${app}/${room}`, t(host ? "room.about-new" : "room.about-closed"));
  }
}

async function prepare() {
  try {
    server = await (await fetch("/v1/public/streams?per_page=1")).json();
  } catch {
    lobby.notify(t("error.unreachable"));
    setTimeout(prepare, 3000);
    return;
  }
  const named = describe(keptToken());
  if (named.user && !named.guest) {
    $("name").value = named.name || named.user;
    $("name").disabled = true; // the site has said who this is
  }
  $("where").value = query.get("room") ?? "";
  $("where-field").hidden = query.has("room");
  await peek();
  await lobby.open({ fresh: true });
  if (!server.rooms || !server.webrtc) {
    lobby.notify(t("room.off"));
    lobby.busy(true);
  }
}

addEventListener("pagehide", () => visit?.close());
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
await prepare();
