// What is seen of a room: seats, bars, lists, made of the visit's state.

import { t } from "/assets/shared/i18n.js";
import { Applicants } from "/assets/room/applicants.js";
import { Controls } from "/assets/room/controls.js";
import { share } from "/assets/room/dialogs.js";
import { closeMenus } from "/assets/room/menu.js";
import { Battle } from "/assets/room/pk.js";
import { Quality } from "/assets/room/quality.js";
import { Seats } from "/assets/room/seats.js";
import { Sound } from "/assets/room/sound.js";
import { rights } from "/assets/room/state.js";

export class RoomView {
  /** $(id) finds elements; acts: settings(), askToOpen(). */
  constructor($, devices, { settings, askToOpen }) {
    this.$ = $;
    this.devices = devices;
    this.askToOpen = askToOpen;
    this.visit = null;
    this.place = null;
    this.blocked = false;
    this.chat = $("chat");
    this.screen = $("screen");
    const act = (name) => (...given) => this.visit?.[name](...given);
    const run = act("command");
    this.seats = new Seats($("stage"), $("spare"), run);
    this.applicants = new Applicants($("applicants"), run);
    this.sound = null;
    this.battle = null;
    this.quality = null;
    this.controls = new Controls($("controls"), {
      join: act("join"), leave: () => run({ path: "seats/own/leave" }), turn: act("turn"),
      raise: act("raise"), settings, useProgram: act("useProgram"), battle: () => act("battle")(""), end: act("end"), exit: act("exit"),
      share: () => share(this.#address()),
      sound: () => this.sound?.resume(),
    });
    closeMenus(document);
  }

  /** place: {app, room} that is being entered. */
  start(place) {
    const { $ } = this;
    this.place = place;
    $("title").textContent = `${place.app}/${place.room}`;
    $("count").textContent = "";
    this.notify("");
    for (const badge of ["receiving", "sending", "waiting"]) $(badge).hidden = true;
    this.controls.wait();
    this.sound = new Sound($("sounds"), (blocked) => {
      this.blocked = blocked;
      if (this.visit?.state) this.render(this.visit);
    });
    this.battle = new Battle($("battle"), {
      ask: (other, seconds) => this.visit?.battle(other, seconds),
      end: () => this.visit?.endBattle(),
      decline: (other) => this.visit?.endBattle(other),
    });
    this.quality = new Quality($("quality"), () => this.visit?.stats ?? {});
  }

  stop() {
    this.visit = null;
    this.blocked = false;
    this.seats.clear();
    this.sound.close();
    this.battle.close();
    this.quality.close();
    this.applicants.clear();
  }

  /** Everything, of a visit whose state is known. */
  render(visit) {
    const { state, me, tracks, mine } = visit;
    const { $ } = this;
    const may = rights(state, me.user, me.roles);
    const seats = Object.values(state.seats ?? {});
    const taken = seats.filter((seat) => seat.state === "taken").length;
    $("title").textContent = state.title || t("room.of", { name: state.owner.name });
    $("count").textContent = t("room.count", { taken, seats: seats.length });
    if (!mine || visit.external) $("sending").hidden = true;
    $("waiting").hidden = state.phase !== "waiting";
    this.seats.render(state, me, tracks.video, this.devices.stream);
    this.sound.play(tracks.audio);
    this.battle.render(state, may);
    this.applicants.render(state, may);
    this.controls.render({
      kind: state.kind, free: state.free, mine, rights: may, battling: Boolean(state.pk),
      applied: Boolean(state.applications?.[me.user]), blocked: this.blocked,
      external: visit.external,
    });
  }

  notify(text) {
    this.$("notice").textContent = text;
    this.$("notice").hidden = !text;
  }

  /** way: "sending" or "receiving"; state: "connecting", "live", "away", "refused". */
  state(way, state, reason) {
    const badge = this.$(way);
    badge.hidden = state === "live" && way === "receiving";
    badge.textContent = t(`room.${way}-${state}`, { reason });
    badge.className = `badge ${{ live: "live", connecting: "connecting", away: "warn", refused: "error" }[state]}`;
  }

  #address() {
    const { kind } = this.visit?.state ?? {};
    const url = new URL("/room", location);
    url.searchParams.set("room", `${this.place.app}/${this.place.room}`);
    if (kind === "voice") url.searchParams.set("kind", kind); // so that nobody is asked for a camera
    return url.href.replaceAll("%2F", "/");
  }
}
