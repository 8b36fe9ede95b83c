// What getStats() tells, as numbers for people; rates are of the time between two looks.

const NTP = 2208988800000; // milliseconds from 1900 to 1970

export class RtcStats {
  constructor(pc) {
    this.pc = pc;
    this.bytes = null;
    this.at = 0;
    this.rate = 0;
    this.offset = null; // milliseconds that the server's clock is behind ours
  }

  /** Look. {rate (bit/s), fps, width, height, rtt (s), lost (share), codec, delay (s)} */
  async look() {
    const found = { video: null, audio: null, pair: null, remote: {}, inbound: [] };
    const all = await this.pc.getStats();
    for (const report of all.values()) {
      if (report.type === "inbound-rtp" || report.type === "outbound-rtp") {
        const known = found[report.kind];
        if (report.type === "inbound-rtp") found.inbound.push(report);
        if (!known || (report.frameWidth ?? 0) > (known.frameWidth ?? 0)) found[report.kind] = report;
      } else if (report.type === "remote-inbound-rtp" || report.type === "remote-outbound-rtp") {
        found.remote[report.kind] = report;
      } else if (report.type === "transport") {
        found.pair = all.get(report.selectedCandidatePairId) ?? null;
      }
    }
    const { video, audio, pair } = found;
    const main = video ?? audio;
    if (!main) return null;
    const sending = main.type === "outbound-rtp";
    this.#measure(pair ? (sending ? pair.bytesSent : pair.bytesReceived) : 0);
    const rtt = pair?.currentRoundTripTime ?? null;
    return {
      rate: this.rate,
      fps: video?.framesPerSecond ?? 0,
      width: video?.frameWidth ?? 0,
      height: video?.frameHeight ?? 0,
      rtt,
      lost: sending ? (found.remote[main.kind]?.fractionLost ?? 0) : lostShare(found.inbound),
      dropped: (video?.framesDropped ?? 0) + (video?.freezeCount ?? 0),
      codec: all.get(video?.codecId)?.mimeType.split("/")[1] ?? "",
      limited: video?.qualityLimitationReason ?? "none",
      delay: sending ? null : this.#delay(main, found.remote[main.kind], rtt),
    };
  }

  #measure(bytes) {
    const now = performance.now();
    if (this.bytes !== null && now > this.at) {
      this.rate = (8000 * (bytes - this.bytes)) / (now - this.at);
    }
    this.bytes = bytes;
    this.at = now;
  }

  /** Seconds from the server to the eye. The server's sender reports carry its clock; how far it
   * is from ours is what the fastest of them needed, less half a round trip. Without them: what
   * waits in the jitter buffer, and half a round trip. */
  #delay(inbound, report, rtt) {
    const way = (rtt ?? 0) / 2;
    if (report?.remoteTimestamp && inbound.estimatedPlayoutTimestamp) {
      const offset = report.timestamp - report.remoteTimestamp - way * 1000;
      this.offset = Math.min(this.offset ?? offset, offset);
      const played = inbound.estimatedPlayoutTimestamp - NTP + this.offset;
      const delay = (performance.timeOrigin + performance.now() - played) / 1000;
      if (delay > 0 && delay < 30) return delay;
    }
    const { jitterBufferDelay: waited, jitterBufferEmittedCount: count } = inbound;
    return count ? waited / count + way : null;
  }
}

/** Of all that is received: a room comes in many streams. */
function lostShare(inbound) {
  let [lost, all] = [0, 0];
  for (const { packetsLost = 0, packetsReceived = 0 } of inbound) {
    lost += Math.max(0, packetsLost);
    all += Math.max(0, packetsLost) + packetsReceived;
  }
  return all ? lost / all : 0;
}
