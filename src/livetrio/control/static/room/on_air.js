// The visitor's own seat on air: published as long as he has it, by WHIP.

import { Broadcast, codecs } from "/assets/publish/broadcast.js";

const AGAIN = 3000; // milliseconds until the server is asked again after it has refused
const RATES = { 360: 600, 540: 1000, 720: 1800 }; // kbit/s by lines
const LAYERED = 540; // lines from which on there is a smaller layer, for smaller tiles

export class OnAir {
  /** target: {app, room, token, turn}; devices: a Devices; onstate(state, reason): as
   * Broadcast's; ondenied(error): there is no microphone for us. */
  constructor(target, devices, { onstate, ondenied }) {
    this.target = target;
    this.devices = devices;
    this.onstate = onstate;
    this.ondenied = ondenied;
    this.seat = 0; // that we are to publish from
    this.broadcast = null;
    this.timer = 0;
  }

  get stats() {
    return this.broadcast?.stats ?? null;
  }

  /** The seat that is ours by now, or null. */
  follow(seat) {
    const number = seat?.state === "taken" ? seat.number : 0;
    if (number) {
      this.devices.turn("microphone", seat.microphone === "on");
      this.devices.turn("camera", seat.camera === "on");
    }
    if (number === this.seat) return;
    const stood = this.seat && !number;
    this.seat = number;
    this.#stop();
    if (number) this.#start();
    else if (stood) this.devices.close(); // the light of the camera goes out
  }

  /** Other tracks from now on; or the first that there are, where they were not to be had. */
  async replace(stream) {
    if (this.broadcast) await this.broadcast.replace(stream);
    else if (this.seat && stream) this.#publish(this.seat);
  }

  close() {
    this.seat = 0;
    this.#stop();
  }

  async #start() {
    const { seat, devices } = this;
    try {
      const pictured = Boolean(devices.stream?.getVideoTracks().length);
      if (!devices.stream || (pictured && !devices.video)) await devices.open();
    } catch (error) {
      this.ondenied(error);
      return;
    }
    if (seat !== this.seat || this.broadcast || !devices.stream) return;
    this.#publish(seat);
  }

  #publish(seat) {
    const { app, room, token, turn } = this.target;
    const height = Number(this.devices.chosen.height);
    const layers = this.devices.video && height >= LAYERED ? 2 : 1;
    const broadcast = new Broadcast(
      this.devices.stream,
      {
        app, name: `${room}/${seat}`, key: token, codec: codecs()[0], turn,
        rate: RATES[height] ?? RATES[540], quiet: true, layers,
      },
      (state, reason) => {
        if (this.broadcast !== null && this.broadcast !== broadcast) return;
        this.onstate(state, reason);
        // The seat is ours by the room's state: the publisher there may be our lost one's ghost.
        if (state === "refused") this.#again(seat);
      },
    );
    this.broadcast = broadcast;
  }

  #again(seat) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (seat !== this.seat) return;
      this.#stop();
      this.#publish(seat);
    }, AGAIN);
  }

  #stop() {
    clearTimeout(this.timer);
    this.broadcast?.stop();
    this.broadcast = null;
  }
}
