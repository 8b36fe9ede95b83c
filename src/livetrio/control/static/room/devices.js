// The visitor's camera and microphone: opened, changed, switched, let go.

import { capture, devices as list, release } from "/assets/publish/capture.js";

const CHOSEN = "livetrio.room.devices";

export class Devices {
  /** onstream(stream) is told whenever it is another one; null: there is none any more. */
  constructor(onstream) {
    this.onstream = onstream;
    this.stream = null;
    this.video = true; // is a picture wished for?
    this.on = { microphone: true, camera: true };
    this.chosen = { camera: "", microphone: "", height: 540, ...remembered() };
    this.attempt = 0;
  }

  /** Open what is chosen; with no camera to be had, the microphone alone. Throws what
   * getUserMedia throws. False: something else was asked for meanwhile. */
  async open() {
    const mine = ++this.attempt;
    const fresh = await this.#capture();
    if (mine !== this.attempt) {
      release(fresh.getTracks());
      return false;
    }
    const old = this.stream?.getTracks() ?? [];
    this.stream = fresh;
    this.#apply();
    await this.onstream(fresh);
    release(old);
    return true;
  }

  /** Others from now on: {camera, microphone, height}. */
  async choose(change) {
    Object.assign(this.chosen, change);
    localStorage.setItem(CHOSEN, JSON.stringify(this.chosen));
    return this.open();
  }

  /** What there is: {cameras, microphones}, and what is in use: {camera, microphone}. */
  async found() {
    const used = (kind) =>
      this.stream?.getTracks().find((track) => track.kind === kind)?.getSettings().deviceId ?? "";
    return { ...(await list()), camera: used("video"), microphone: used("audio") };
  }

  /** A medium ("microphone", "camera") on or off: off is silence, or black. */
  turn(medium, on) {
    this.on[medium] = on;
    this.#apply();
  }

  /** Let the devices go. */
  close() {
    this.attempt += 1;
    if (!this.stream) return;
    release(this.stream.getTracks());
    this.stream = null;
    this.onstream(null);
  }

  async #capture() {
    const wanted = { ...this.chosen, voice: true };
    try {
      return await capture({ ...wanted, source: this.video ? "camera" : "none" });
    } catch (error) {
      // gone, or of another machine's list
      const absent = ["NotFoundError", "OverconstrainedError"].includes(error.name);
      if (!absent) throw error;
      const plain = { ...wanted, camera: "", microphone: "" };
      try {
        return await capture({ ...plain, source: this.video ? "camera" : "none" });
      } catch (second) {
        if (second.name !== "NotFoundError" || !this.video) throw second;
        return capture({ ...plain, source: "none" });
      }
    }
  }

  #apply() {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = this.on.microphone;
    for (const track of this.stream?.getVideoTracks() ?? []) track.enabled = this.on.camera;
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(CHOSEN)) ?? {};
  } catch {
    return {};
  }
}
