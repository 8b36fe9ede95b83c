// What the others send: one WHEP session with all slots, made again whenever it is lost.

import { Refused, Session } from "/assets/shared/signalling.js";
import { RtcStats } from "/assets/shared/webrtc_stats.js";

const RETRY = [300, 1000, 2000, 3000, 5000]; // milliseconds; the last one repeats
const FINAL = new Set([401, 403, 406]); // trying again changes nothing

export class Receiver {
  /** ontracks() says that `tracks` has changed; onstate("connecting" | "live" | "away" |
   * "refused", reason). */
  constructor(endpoint, token, { ontracks, onstate }) {
    this.endpoint = endpoint;
    this.token = token;
    this.ontracks = ontracks;
    this.onstate = onstate;
    this.tracks = { video: [], audio: [] }; // by slot
    this.session = null;
    this.stats = null;
    this.failures = 0;
    this.timer = 0;
    this.abort = new AbortController();
    this.#open();
  }

  close() {
    this.abort.abort();
    clearTimeout(this.timer);
    this.session?.close();
  }

  async #open() {
    this.onstate("connecting", "");
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const tracks = { video: [], audio: [] };
    pc.addEventListener("track", ({ track, streams, receiver }) => {
      // no more delay than the network's jitter asks for: people talk to each other
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      const named = streams[0]?.id.match(/^slot-(\d+)$/);
      tracks[track.kind][named ? Number(named[1]) : tracks[track.kind].length] = track;
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc.connectionState !== "connected" || this.abort.signal.aborted) return;
      this.failures = 0;
      this.onstate("live", "");
    });
    this.session = new Session(pc, { token: this.token, onlost: () => this.#again() });
    this.stats = new RtcStats(pc);
    try {
      await this.session.receive(this.endpoint, this.abort.signal);
      if (this.abort.signal.aborted) return;
      this.tracks = tracks;
      this.ontracks();
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.session.close();
      if (error instanceof Refused && FINAL.has(error.status)) this.onstate("refused", error.message);
      else this.#again();
    }
  }

  #again() {
    if (this.abort.signal.aborted) return;
    this.onstate("away", "");
    const wait = RETRY[Math.min(this.failures, RETRY.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.#open(), wait);
  }
}

/** Where each seat is received: a Map from seat to slot; 0 is the guest of a PK. */
export function slotsOf(slots) {
  return new Map((slots ?? []).map((seat, slot) => [seat, slot]).filter(([seat]) => seat !== null));
}
