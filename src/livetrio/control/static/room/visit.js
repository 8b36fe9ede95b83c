// A visit to a room: its state followed, one's seat on air, the others received, commands given.

import { ask } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { Chat } from "/assets/player/chat.js";
import { announcement } from "/assets/room/announce.js";
import { Problem, RoomApi } from "/assets/room/api.js";
import { choosePerson, program } from "/assets/room/dialogs.js";
import { OnAir } from "/assets/room/on_air.js";
import { askForBattle } from "/assets/room/pk.js";
import { Receiver } from "/assets/room/receiver.js";
import { RoomState, rights, seatOf } from "/assets/room/state.js";

const GONE = new Set([404, 410]);
const LOOK = { alone: 2000, seated: 5000, audience: 20000 }; // milliseconds: events are enough, mostly

export class Visit {
  /** asked: {app, room, token, me {user, roles}, server {ports, turn}, seat (take one), open
   * (options of a room that is not there yet; null: ask)}; devices: a Devices; view: render(now),
   * notify(text), state(medium, state, reason), chat (element), screen (element);
   * onend(reason) is called once. */
  constructor(asked, devices, view, onend) {
    this.asked = asked;
    this.me = asked.me;
    this.devices = devices;
    this.view = view;
    this.onend = onend;
    this.api = new RoomApi(asked.app, asked.room, asked.token);
    this.model = new RoomState(
      () => this.api.state(), (...change) => this.#changed(...change), (error) => this.#failed(error),
    );
    this.mine = null;
    this.silent = !asked.seat; // who only came to watch is not on air by a seat that he had before
    this.receiver = null;
    this.external = false; // does another program publish from our seat?
    this.first = true; // until the state is known
    this.opening = false;
    this.closed = false;
    this.onAir = new OnAir(asked, devices, {
      onstate: (state, reason) => view.state("sending", state, reason),
      ondenied: (error) => view.notify(t("camera.denied", { reason: error.message || error.name })),
    });
    this.chat = new Chat(view.chat, view.screen, {
      onevent: (data) => this.model.hear(data),
      onjoined: ({ recovered }) => recovered || this.model.sync(),
    });
    this.chat.enter({ app: asked.app, name: asked.room }, asked.server.ports.im);
    this.timer = 0;
    this.model.sync();
    this.#lookAgain();
  }

  get state() {
    return this.model.state;
  }

  get tracks() {
    return this.receiver?.tracks ?? { video: [], audio: [] };
  }

  get stats() {
    return { receiving: this.receiver?.stats ?? null, sending: this.onAir.stats };
  }

  /** Everything of it; what the room knows of us it finds out by itself. */
  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.model.close();
    this.onAir.close();
    this.receiver?.close();
    this.chat.close();
  }

  /** Give a command; what came of it is shown, and why it was refused. */
  async command({ path, body = {} }) {
    if (path === "invite") {
      await this.#invite(body.seat);
      return;
    }
    await this.#try(async () => {
      const { events } = await this.api.do(path, body);
      for (const event of events) this.model.hear(event); // sooner than by the channel
    });
  }

  /** Take a seat where one may, apply where not, or take the application back. */
  async join() {
    const { state, me } = this;
    if (state.applications?.[me.user]) {
      await this.command({ path: "applications/withdraw" });
      return;
    }
    if (!(await this.#ready())) return;
    this.silent = false;
    const take = state.free || rights(state, me.user, me.roles).staff;
    await this.command({ path: take ? "seats/any/take" : "applications" });
  }

  async turn(medium) {
    const on = this.mine?.[medium] === "on";
    if (on) this.devices.turn(medium, false); // before anybody was asked
    await this.command({ path: `seats/own/${on ? "mute" : "unmute"}`, body: { medium } });
    this.#followSeat();
  }

  async raise() {
    if (!this.mine) return;
    const path = this.mine.hand ? `seats/${this.mine.number}/lower` : "seats/own/raise";
    await this.command({ path });
  }

  async battle(other, seconds) {
    if (!other) {
      const chosen = await askForBattle();
      if (chosen) await this.#try(() => this.api.battle(chosen.other, chosen.seconds));
    } else await this.#try(() => this.api.battle(other, seconds));
  }

  async endBattle(other = "") {
    await this.#try(() => this.api.endBattle(other));
  }

  /** Publish by another program in place of this page; or by this page again. */
  async useProgram() {
    if (this.external) {
      if (!(await this.#ready())) return;
      this.external = false;
      this.#followSeat();
      this.view.render(this);
      return;
    }
    await this.#try(async () => {
      const told = await this.api.do("seats/own/key");
      this.external = true; // else each would take the seat's stream from the other, for ever
      this.#followSeat();
      this.view.render(this);
      program(told);
    });
  }

  /** End the room, for everybody. */
  async end() {
    const sure = await ask({
      title: t("room.end-title"), text: t("room.end-text"), ok: t("room.end"), cancel: t("cancel"),
    });
    if (sure) await this.#try(() => this.api.close());
  }

  /** Out of the room, and of one's seat; an owner's is kept for a while. */
  async exit() {
    if (this.mine?.state === "taken" && this.state.owner?.user !== this.me.user) {
      await this.command({ path: "seats/own/leave" });
    }
    this.#end("");
  }

  async #try(act) {
    try {
      await act();
      this.view.notify("");
    } catch (error) {
      this.view.notify(error instanceof Problem ? t("room.refused", { reason: error.message }) : t("error.unreachable"));
    }
  }

  async #ready() {
    this.devices.video = this.state.kind === "video";
    if (this.devices.stream) return true;
    try {
      return await this.devices.open();
    } catch (error) {
      this.view.notify(t("camera.denied", { reason: error.message || error.name }));
      return false;
    }
  }

  async #invite(seat) {
    await this.#try(async () => {
      const people = await this.chat.present();
      const user = await choosePerson(people.filter((one) => !seatOf(this.state, one.user)));
      if (user) await this.api.do("invitations", { user, seat });
    });
  }

  #changed(state, event, known) {
    if (this.closed) return;
    if (state.phase === "ended") {
      this.#end(t("room.ended"));
      return;
    }
    this.opening = false;
    const before = this.mine;
    this.mine = seatOf(state, this.me.user);
    this.devices.video = state.kind === "video";
    this.#receive();
    this.#followSeat();
    if (event) {
      const said = announcement(event, state, known, this.me.user);
      if (said) this.chat.panel.notice(said);
    }
    if (this.mine?.state === "reserved" && before?.state !== "reserved") this.#invited();
    if (this.first) this.#arrive();
    this.first = false;
    this.view.render(this);
  }

  /** What was chosen in the lobby: a seat, or none. */
  #arrive() {
    this.view.notify("");
    if (this.asked.seat && !this.mine) this.join();
    if (!this.asked.seat && this.mine?.state === "taken") this.command({ path: "seats/own/leave" });
  }

  #followSeat() {
    if (this.mine?.state !== "taken") this.external = false;
    this.onAir.follow(this.silent || this.external ? null : this.mine);
  }

  #receive() {
    const { api, asked } = this;
    this.receiver ??= new Receiver(`${api.base}/whep`, asked.token, {
      ontracks: () => this.view.render(this),
      onstate: (state, reason) => this.view.state("receiving", state, reason),
    });
  }

  async #invited() {
    const seat = this.mine.number;
    const yes = await ask({
      title: t("room.invited-title"), text: t("room.invited", { seat }),
      ok: t("room.accept"), cancel: t("room.decline"),
    });
    if (this.closed || this.mine?.state !== "reserved") return;
    const comes = yes && (await this.#ready());
    this.silent &&= !comes;
    await this.command({ path: `invitations/${comes ? "accept" : "decline"}` });
  }

  #failed(error) {
    if (!(error instanceof Problem)) this.view.notify(t("error.unreachable"));
    else if (error.status === 401) this.#end(error.message, true);
    else if (!GONE.has(error.status)) this.view.notify(error.message);
    else if (this.state) this.#end(t("room.ended"));
    else this.#open();
  }

  /** There is no such room: whoever may opens it, others wait for somebody who does. */
  async #open() {
    const { roles } = this.me;
    if (this.opening) return;
    this.opening = true;
    this.view.notify(t("room.not-open"));
    const host = roles.includes("host") || roles.includes("admin");
    if (!host && !this.asked.open) return; // with rooms.create: anyone the address says what to open
    const options = this.asked.open ?? (await this.view.askToOpen());
    if (!options || this.closed) return;
    try {
      await this.api.open(options);
      this.view.notify("");
    } catch (error) {
      // CONFLICT: somebody else has opened it meanwhile, which is as good
      if (error.status === 403 && !host) return;
      if (error.status !== 409) this.view.notify(t("room.refused", { reason: error.message }));
    }
    this.model.sync();
  }

  #lookAgain() {
    const { ports } = this.asked.server;
    const wait = !ports.im ? LOOK.alone : this.mine ? LOOK.seated : LOOK.audience;
    this.timer = setTimeout(() => {
      if (this.state) this.model.sync(); // until there is one, it asks by itself
      this.#lookAgain();
    }, wait);
  }

  #end(reason, unknown = false) {
    if (this.closed) return;
    this.close();
    this.onend(reason, unknown);
  }
}
