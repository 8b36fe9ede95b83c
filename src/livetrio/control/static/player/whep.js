// Watch by WebRTC (WHEP): below a quarter of a second, from the page's own server.

import { iceServers, Session } from "/assets/shared/signalling.js";
import { RtcStats } from "/assets/shared/webrtc_stats.js";

const LOOK = 1000; // milliseconds between two looks at the statistics

export class WhepPlayer {
  static patience = 8000; // milliseconds until the first picture

  static supported() {
    return typeof RTCPeerConnection !== "undefined";
  }

  /** tell("lost" | "refused", reason) says why it does not go on. */
  constructor(video, { url, app, name, turn }, tell) {
    this.video = video;
    this.tell = tell;
    this.stats = null;
    this.timer = 0;
    this.abort = new AbortController();
    this.session = null;
    this.told = null;
    this.#open(url, turn ? () => iceServers(app, name, "") : () => []);
  }

  facts() {
    const { rate = 0, delay = null, dropped = 0 } = this.told ?? {};
    return { rate, delay, dropped };
  }

  close() {
    this.abort.abort();
    clearInterval(this.timer);
    this.session?.close();
    this.video.srcObject = null;
  }

  async #open(url, findServers) {
    try {
      const servers = await findServers();
      if (this.abort.signal.aborted) return;
      const pc = new RTCPeerConnection({ iceServers: servers, bundlePolicy: "max-bundle" });
      const media = new MediaStream();
      pc.addEventListener("track", ({ track, receiver }) => {
        // no more delay than the network's jitter asks for
        if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
        media.addTrack(track);
      });
      for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
      this.session = new Session(pc, { onlost: (why) => this.tell("lost", why) });
      this.stats = new RtcStats(pc);
      this.timer = setInterval(() => this.#look(), LOOK);
      this.video.srcObject = media;
      await this.session.open(url, this.abort.signal);
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.tell(error.status === 404 ? "away" : "refused", error.message);
    }
  }

  async #look() {
    this.told = (await this.stats.look()) ?? this.told;
  }
}
