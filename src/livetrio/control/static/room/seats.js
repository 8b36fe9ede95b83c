// All seats: those taken as tiles, the others as a row of what one may do there.

import { el } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { mainAct, menuActs } from "/assets/room/acts.js";
import { icon } from "/assets/room/icons.js";
import { button, menu, refresh } from "/assets/room/menu.js";
import { slotsOf } from "/assets/room/receiver.js";
import { Tile } from "/assets/room/tile.js";

const GUEST = 0; // in place of a seat: the host of the other room of a PK

export class Seats {
  /** stage: for the taken ones; spare: for the others; run(act) does what was chosen. */
  constructor(stage, spare, run) {
    this.stage = stage;
    this.spare = spare;
    this.run = run;
    this.tiles = new Map(); // by seat
  }

  /** state: of the room; me: {user, roles}; tracks: of video by slot; own: our preview. */
  render(state, me, tracks, own) {
    const voice = state.kind === "voice";
    this.stage.classList.toggle("voice", voice);
    const slots = slotsOf(state.slots?.video);
    const shown = taken(state);
    for (const number of this.tiles.keys()) if (!shown.has(number)) this.#drop(number);
    for (const [number, seat] of shown) {
      const mine = Boolean(me.user) && seat.user === me.user && number !== GUEST;
      const track = tracks[slots.get(number)];
      this.#tile(number).render({ ...seat, number }, {
        own: mine, voice,
        owner: number !== GUEST && state.owner?.user === seat.user,
        manager: Boolean(state.managers?.[seat.user]),
        speaking: (state.speaking ?? []).includes(number),
        stream: mine ? own : track ? new MediaStream([track]) : null,
        acts: number === GUEST ? [] : menuActs(state, number, me),
        run: this.run,
      });
    }
    this.stage.dataset.count = String(Math.min(shown.size, 9));
    this.#renderSpare(state, me);
  }

  clear() {
    for (const number of [...this.tiles.keys()]) this.#drop(number);
    refresh(this.spare, null, () => []);
  }

  #tile(number) {
    if (!this.tiles.has(number)) {
      const tile = new Tile();
      this.tiles.set(number, tile);
      // in the order of their numbers, the guest last, without touching those that play
      const place = (one) => (one === GUEST ? Infinity : one);
      const [next] = [...this.tiles.keys()]
        .filter((one) => place(one) > place(number)).sort((one, other) => place(one) - place(other));
      this.stage.insertBefore(tile.root, this.tiles.get(next)?.root ?? null);
    }
    return this.tiles.get(number);
  }

  #drop(number) {
    const tile = this.tiles.get(number);
    this.tiles.delete(number);
    tile.video.srcObject = null;
    tile.root.remove();
  }

  #renderSpare(state, me) {
    const others = Object.entries(state.seats ?? {})
      .filter(([, seat]) => seat.state !== "taken")
      .map(([number, seat]) => ({
        number: Number(number), state: seat.state,
        act: mainAct(state, Number(number), me), acts: menuActs(state, Number(number), me),
      }));
    refresh(this.spare, others, () => others.map((seat) => this.#chip(seat)));
  }

  #chip({ number, state, act, acts }) {
    return el(
      "div", { class: `chip ${state}`, role: "group", "aria-label": t("room.seat", { seat: number }) },
      state === "locked" ? icon("lock") : icon("seat"),
      el("span", { class: "number" }, number),
      state === "empty" ? null : el("span", { class: "small quiet" }, t(`room.is-${state}`)),
      act ? button({ id: act.id, text: act.text, run: () => this.run(act) }) : null,
      acts.length
        ? menu(
          t("room.acts", { name: t("room.seat", { seat: number }) }),
          acts.map((one) => ({ ...one, run: () => this.run(one) })),
        )
        : null,
    );
  }
}

/** Who is to be seen, by seat; the other side's host last. */
function taken(state) {
  const found = new Map();
  for (const [number, seat] of Object.entries(state.seats ?? {})) {
    if (seat.state === "taken") found.set(Number(number), seat);
  }
  const host = state.pk?.phase === "running" ? state.pk.host : null;
  if (host?.user) {
    found.set(GUEST, { ...host, microphone: "on", camera: "on", hand: false, state: "taken" });
  }
  return found;
}
