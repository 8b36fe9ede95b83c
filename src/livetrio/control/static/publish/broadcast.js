// A broadcast: a WHIP session that is made again whenever it is lost, until it is stopped.

import { iceServers, Refused, Session } from "/assets/shared/signalling.js";
import { RtcStats } from "/assets/shared/webrtc_stats.js";

const RETRY = [500, 1000, 2000, 3000, 5000]; // milliseconds; the last one repeats
const FINAL = new Set([400, 401, 403, 404, 406, 409, 413, 415]); // trying again changes nothing

/** Names of the video codecs that this browser encodes, the one that plays everywhere first. */
export function codecs() {
  const known = RTCRtpSender.getCapabilities?.("video")?.codecs ?? [];
  const names = new Set(known.map(({ mimeType }) => mimeType.split("/")[1]));
  return ["H264", "VP8", "VP9", "AV1"].filter((name) => names.has(name));
}

export class Broadcast {
  /** target {app, name, key, codec, rate (kbit/s), turn (is there a TURN server?), quiet (send
   * nothing while nobody speaks), layers (of simulcast, 1 by default)};
   * onstate("connecting" | "live" | "away" | "refused", reason). */
  constructor(stream, target, onstate) {
    this.stream = stream;
    this.target = target;
    this.onstate = onstate;
    this.session = null;
    this.stats = null;
    this.failures = 0;
    this.timer = 0;
    this.abort = new AbortController();
    this.#open();
  }

  stop() {
    this.abort.abort();
    clearTimeout(this.timer);
    this.session?.close();
  }

  /** Other tracks from now on, without a new session where the kinds are the same. */
  async replace(stream) {
    const kinds = (tracks) => tracks.map((track) => track.kind).sort().join();
    const same = kinds(stream.getTracks()) === kinds(this.stream.getTracks());
    this.stream = stream;
    if (!this.session || this.session.closed) return;
    if (!same) {
      this.session.close();
      this.#open();
      return;
    }
    for (const sender of this.session.pc.getSenders()) {
      const track = stream.getTracks().find((one) => one.kind === sender.track?.kind);
      if (track) await sender.replaceTrack(track);
    }
  }

  /** Another bit rate (kbit/s) from now on. */
  async setRate(rate) {
    this.target.rate = rate;
    if (this.session && !this.session.closed) await this.#limit(this.session.pc);
  }

  async #open() {
    const { app, name, key, turn } = this.target;
    this.onstate("connecting", "");
    try {
      const servers = turn ? await iceServers(app, name, key) : [];
      if (this.abort.signal.aborted) return;
      const pc = new RTCPeerConnection({ iceServers: servers, bundlePolicy: "max-bundle" });
      const edit = this.target.quiet ? discontinuous : undefined;
      this.session = new Session(pc, { token: key, onlost: () => this.#again(), edit });
      this.stats = new RtcStats(pc);
      pc.addEventListener("connectionstatechange", () => {
        if (pc.connectionState !== "connected") return;
        this.failures = 0;
        this.onstate("live", "");
      });
      for (const track of this.stream.getTracks()) this.#add(pc, track);
      const path = [app, ...name.split("/")].map(encodeURIComponent).join("/");
      await this.session.open(`/${path}/whip`, this.abort.signal);
      await this.#limit(pc);
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.session?.close();
      if (error instanceof Refused && FINAL.has(error.status)) this.onstate("refused", error.message);
      else this.#again();
    }
  }

  #add(pc, track) {
    const video = track.kind === "video";
    const { layers = 1 } = this.target;
    // the largest one last, as the server and Chromium expect it
    const sendEncodings = Array.from({ length: video && layers > 1 ? layers : 0 }, (_, number) => ({
      rid: `l${number}`, scaleResolutionDownBy: 2 ** (layers - 1 - number),
    }));
    const sender = pc.addTransceiver(track, {
      direction: "sendonly", streams: [this.stream], ...(sendEncodings.length && { sendEncodings }),
    });
    if (!video) return;
    const { codecs: known } = RTCRtpSender.getCapabilities("video");
    const first = ({ mimeType }) => mimeType.toLowerCase() === `video/${this.target.codec}`.toLowerCase();
    sender.setCodecPreferences([...known.filter(first), ...known.filter((one) => !first(one))]);
  }

  async #limit(pc) {
    const sender = pc.getSenders().find(({ track }) => track?.kind === "video");
    if (!sender) return;
    const parameters = sender.getParameters();
    const { length } = parameters.encodings;
    parameters.encodings.forEach((encoding, number) => {
      // a quarter of the pixels needs about a third of the bits
      encoding.maxBitrate = Math.round((this.target.rate * 1000) / 3 ** (length - 1 - number));
    });
    parameters.degradationPreference = "balanced";
    await sender.setParameters(parameters);
  }

  #again() {
    if (this.abort.signal.aborted) return;
    this.onstate("away", "");
    const wait = RETRY[Math.min(this.failures, RETRY.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.#open(), wait);
  }
}

/** Opus pauses while nobody speaks, if the receiver says that it may (RFC 7587 section 6.1). */
function discontinuous(sdp) {
  const [, format] = sdp.match(/^a=rtpmap:(\d+) opus\/48000/im) ?? [];
  if (!format) return sdp;
  const line = new RegExp(`^(a=fmtp:${format} )(.*)$`, "m");
  if (line.test(sdp)) return sdp.replace(line, "$1usedtx=1;$2");
  return sdp.replace(/^(a=rtpmap:\d+ opus\/48000.*)$/im, `$1\r\na=fmtp:${format} usedtx=1`);
}
